/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The mmap family. What takes pages away (munmap, madvise, a lower brk, MAP_FIXED, the tail of mremap) is
 * logged when the call is entered: another thread may get the range before it returns. mmap, mremap and a
 * higher brk are logged when they return, with what they returned. Each event carries the caller's stack.
 *
 * Arguments come from the saved user registers, at entry and at exit alike; so a program is the same whether
 * it hangs on the tracepoints of its system calls (9 ns for every other system call) or on all of them (26 ns).
 * One program for all entries and one for all returns: each program that can read a stack takes the verifier 30-100 ms.
 */
#include "lib/maps.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/filter.bpf.h"

extern u32 caller_stack(u32 which); /* fault.bpf.c */

#define PROT_EXEC	    4
#define MAP_FIXED	    0x10
#define MAP_FIXED_NOREPLACE 0x100000
#define MREMAP_FIXED	    2

enum advice {
	ADVICE_DONTNEED = 4,
	ADVICE_FREE = 8,
	ADVICE_REMOVE = 9,
	ADVICE_HUGEPAGE = 14,
	ADVICE_NOHUGEPAGE = 15,
	ADVICE_COLD =
	    20, /* to COLLAPSE: COLD, PAGEOUT, POPULATE_READ, POPULATE_WRITE, (DONTNEED_LOCKED), COLLAPSE */
	ADVICE_DONTNEED_LOCKED = 24,
	ADVICE_COLLAPSE = 25,
	ADVICE_GUARD_INSTALL = 102,
};

static __always_inline u64 page_up(u64 bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/* One of the calls, of a process that is traced. */
struct call {
	struct task_struct *task;
	struct mw_space *space;
	struct pt_regs *user;
};

/* i-th argument of the call c */
#define ARG(i) call_argument(c.user, i)

/* kind: VMA_UNMAP, or VMA_ADVISE when the pages stay. start must be on a page: else the call fails, and
 * nothing leaves. */
static __always_inline void log_range(struct call c, enum mw_event_kind kind, u64 start, u64 bytes, u32 why,
				      u32 advice)
{
	if (start & (PAGE_BYTES - 1) || !bytes)
		return;
	if (why == MW_UNMAP_MUNMAP || why == MW_UNMAP_FIXED)
		code_leaves(c.space, start, page_up(bytes));

	u32 stack = caller_stack(SCRATCH_ENTER);

	EMIT(struct mw_vma_unmap, kind, c.space->space, c.task, e->start = start; e->bytes = page_up(bytes);
	     e->why = why; e->advice = advice; e->stack = stack; e->pad = 0);
}

static __always_inline void enter_munmap(struct call c)
{
	log_range(c, MW_EVENT_VMA_UNMAP, ARG(0), ARG(1), MW_UNMAP_MUNMAP, 0);
}

static __always_inline void enter_madvise(struct call c)
{
	u32 advice = ARG(2);

	if (advice == ADVICE_DONTNEED || advice == ADVICE_REMOVE || advice == ADVICE_DONTNEED_LOCKED ||
	    advice == ADVICE_GUARD_INSTALL)
		log_range(c, MW_EVENT_VMA_UNMAP, ARG(0), ARG(1), MW_UNMAP_MADVISE, advice);
	else if (advice == ADVICE_FREE || advice == ADVICE_HUGEPAGE || advice == ADVICE_NOHUGEPAGE ||
		 (advice >= ADVICE_COLD && advice <= ADVICE_COLLAPSE))
		log_range(c, MW_EVENT_VMA_ADVISE, ARG(0), ARG(1), MW_UNMAP_MADVISE, advice);
}

static __always_inline void enter_brk(struct call c)
{
	u64 end = page_up(ARG(0)), old = page_up(c.task->mm->brk);

	if (end && end < old)
		log_range(c, MW_EVENT_VMA_UNMAP, end, old - end, MW_UNMAP_BRK, 0);
}

static __always_inline void enter_mmap(struct call c)
{
	if (ARG(2) & PROT_EXEC)
		code_comes(c.space);
	if (ARG(3) & MAP_FIXED && !(ARG(3) & MAP_FIXED_NOREPLACE))
		log_range(c, MW_EVENT_VMA_UNMAP, ARG(0), ARG(1), MW_UNMAP_FIXED, 0);
}

static __always_inline void enter_mremap(struct call c)
{
	u64 old_bytes = page_up(ARG(1)), new_bytes = page_up(ARG(2));

	code_leaves(c.space, ARG(0), old_bytes); /* it may move */
	if (ARG(3) & MREMAP_FIXED)
		log_range(c, MW_EVENT_VMA_UNMAP, ARG(4), new_bytes, MW_UNMAP_FIXED, 0);
	if (new_bytes && new_bytes < old_bytes)
		log_range(c, MW_EVENT_VMA_UNMAP, ARG(0) + new_bytes, old_bytes - new_bytes, MW_UNMAP_MUNMAP,
			  0);
}

static __always_inline bool failed(s64 ret)
{
	return ret < 0 && ret >= -4095;
}

static __always_inline void exit_mmap(struct call c)
{
	if (failed(call_result(c.user)))
		return;
	u32 stack = caller_stack(SCRATCH_EXIT);

	if (ARG(2) & PROT_EXEC)
		code_comes(c.space);
	EMIT(struct mw_vma_map, MW_EVENT_VMA_MAP, c.space->space, c.task, e->start = call_result(c.user);
	     e->bytes = page_up(ARG(1)); e->prot = ARG(2); e->flags = ARG(3); e->fd = ARG(4);
	     e->stack = stack; e->offset = ARG(5));
}

static __always_inline void exit_mremap(struct call c)
{
	if (failed(call_result(c.user)))
		return;
	u32 stack = caller_stack(SCRATCH_EXIT);

	EMIT(struct mw_vma_move, MW_EVENT_VMA_MOVE, c.space->space, c.task, e->old_start = ARG(0);
	     e->old_bytes = page_up(ARG(1)); e->new_start = call_result(c.user);
	     e->new_bytes = page_up(ARG(2)); e->stack = stack; e->flags = ARG(3));
}

/* The kernel answers with the end of the heap, moved or not; the end as last seen is kept with the space. */
static __always_inline void exit_brk(struct call c)
{
	u32 at = space_index(number(c.task->mm));

	if (at >= MW_SPACES)
		return;
	u64 end = call_result(c.user), old = space_brk[at];

	space_brk[at] = end;
	if (page_up(end) <= page_up(old))
		return;
	u32 stack = caller_stack(SCRATCH_EXIT);

	EMIT(struct mw_vma_brk, MW_EVENT_VMA_BRK, c.space->space, c.task, e->old_end = page_up(old);
	     e->new_end = page_up(end); e->stack = stack; e->pad = 0);
}

/*
 * false: it is another system call, or it was made by a process that is not traced. Its number is taken from the registers too: where it stands
 * in a tracepoint's record differs between kernels (those for real time have a longer header).
 */
static __always_inline bool current_call(struct call *c)
{
	c->task = bpf_get_current_task_btf();
	c->user = user_regs(c->task);
	switch (call_number(c->user)) {
	case NR_MMAP:
	case NR_MUNMAP:
	case NR_BRK:
	case NR_MREMAP:
	case NR_MADVISE:
		c->space = current_space(c->task);
		return c->space;
	}
	return false;
}

static __always_inline int entered(void)
{
	struct call c;

	if (!current_call(&c))
		return 0;
	switch (call_number(c.user)) {
	case NR_MUNMAP:
		enter_munmap(c);
		break;
	case NR_MADVISE:
		enter_madvise(c);
		break;
	case NR_BRK:
		enter_brk(c);
		break;
	case NR_MMAP:
		enter_mmap(c);
		break;
	case NR_MREMAP:
		enter_mremap(c);
		break;
	}
	return 0;
}

static __always_inline int returned(void)
{
	struct call c;

	if (!current_call(&c))
		return 0;
	switch (call_number(c.user)) {
	case NR_MMAP:
		exit_mmap(c);
		break;
	case NR_MREMAP:
		exit_mremap(c);
		break;
	case NR_BRK:
		exit_brk(c);
		break;
	}
	return 0;
}

SEC("tp")
int call_enter(void *ctx)
{
	return entered();
}

SEC("tp")
int call_exit(void *ctx)
{
	return returned();
}

/* Where the tracepoints of single system calls cannot be had: all system calls. */
SEC("raw_tp/sys_enter")
int calls_enter(void *ctx)
{
	return entered();
}

SEC("raw_tp/sys_exit")
int calls_exit(void *ctx)
{
	return returned();
}
