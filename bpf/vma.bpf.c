/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The mmap family. What takes pages away (munmap, madvise, a lower brk, MAP_FIXED, the tail of mremap) is
 * logged when the call is entered: another thread may get the range before it returns. mmap, mremap and a
 * higher brk are logged when they return, with what they returned. Each event carries the caller's stack.
 *
 * Arguments come from the saved user registers, at entry and at exit alike; so a program is the same whether
 * it hangs on the tracepoints of its system calls (9 ns for every other system call) or on all of them (26 ns).
 * One program for all entries and one for all returns: each that can read a stack costs the verifier 30-100 ms.
 */
#include "lib/maps.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/filter.bpf.h"

extern u32 caller_stack(u32 which); /* fault.bpf.c */

#define PAGE_BYTES	    4096ull
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

enum call_number { NR_MMAP = 9, NR_MUNMAP = 11, NR_BRK = 12, NR_MREMAP = 25, NR_MADVISE = 28 };

static __always_inline u64 page_up(u64 bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/* kind: VMA_UNMAP, or VMA_ADVISE when the pages stay. start must be on a page: else the call fails, and
 * nothing leaves. */
static __always_inline void log_range(enum mw_event_kind kind, struct task_struct *task, u32 space, u64 start,
				      u64 bytes, u32 why, u32 advice)
{
	if (start & (PAGE_BYTES - 1) || !bytes)
		return;

	u32 stack = caller_stack(SCRATCH_ENTER);

	EMIT(struct mw_vma_unmap, kind, space, task, e->start = start; e->bytes = page_up(bytes);
	     e->why = why; e->advice = advice; e->stack = stack; e->pad = 0);
}

static __always_inline int enter_munmap(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *s = current_space(task);

	if (!s)
		return 0;
	struct pt_regs *u = user_regs(task);

	log_range(MW_EVENT_VMA_UNMAP, task, s->space, u->di, u->si, MW_UNMAP_MUNMAP, 0);
	return 0;
}

static __always_inline int enter_madvise(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *s = current_space(task);

	if (!s)
		return 0;
	struct pt_regs *u = user_regs(task);
	u32 advice = u->dx;

	if (advice == ADVICE_DONTNEED || advice == ADVICE_REMOVE || advice == ADVICE_DONTNEED_LOCKED ||
	    advice == ADVICE_GUARD_INSTALL)
		log_range(MW_EVENT_VMA_UNMAP, task, s->space, u->di, u->si, MW_UNMAP_MADVISE, advice);
	else if (advice == ADVICE_FREE || advice == ADVICE_HUGEPAGE || advice == ADVICE_NOHUGEPAGE ||
		 (advice >= ADVICE_COLD && advice <= ADVICE_COLLAPSE))
		log_range(MW_EVENT_VMA_ADVISE, task, s->space, u->di, u->si, MW_UNMAP_MADVISE, advice);
	return 0;
}

static __always_inline int enter_brk(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *s = current_space(task);

	if (!s)
		return 0;
	u64 end = page_up(user_regs(task)->di), old = page_up(task->mm->brk);

	if (end && end < old)
		log_range(MW_EVENT_VMA_UNMAP, task, s->space, end, old - end, MW_UNMAP_BRK, 0);
	return 0;
}

static __always_inline int enter_mmap(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *s = current_space(task);

	if (!s)
		return 0;
	struct pt_regs *u = user_regs(task);

	if (u->r10 & MAP_FIXED && !(u->r10 & MAP_FIXED_NOREPLACE))
		log_range(MW_EVENT_VMA_UNMAP, task, s->space, u->di, u->si, MW_UNMAP_FIXED, 0);
	return 0;
}

static __always_inline int enter_mremap(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *s = current_space(task);

	if (!s)
		return 0;
	struct pt_regs *u = user_regs(task);
	u64 old_bytes = page_up(u->si), new_bytes = page_up(u->dx);

	if (u->r10 & MREMAP_FIXED)
		log_range(MW_EVENT_VMA_UNMAP, task, s->space, u->r8, new_bytes, MW_UNMAP_FIXED, 0);
	if (new_bytes && new_bytes < old_bytes)
		log_range(MW_EVENT_VMA_UNMAP, task, s->space, u->di + new_bytes, old_bytes - new_bytes,
			  MW_UNMAP_MUNMAP, 0);
	return 0;
}

static __always_inline bool failed(s64 ret)
{
	return ret < 0 && ret >= -4095;
}

static __always_inline int exit_mmap_call(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *s = current_space(task);

	if (!s)
		return 0;
	struct pt_regs *u = user_regs(task);

	if (failed(u->ax))
		return 0;
	u32 stack = caller_stack(SCRATCH_EXIT);

	EMIT(struct mw_vma_map, MW_EVENT_VMA_MAP, s->space, task, e->start = u->ax; e->bytes = page_up(u->si);
	     e->prot = u->dx; e->flags = u->r10; e->fd = u->r8; e->stack = stack; e->offset = u->r9);
	return 0;
}

static __always_inline int exit_mremap(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *s = current_space(task);

	if (!s)
		return 0;
	struct pt_regs *u = user_regs(task);

	if (failed(u->ax))
		return 0;
	u32 stack = caller_stack(SCRATCH_EXIT);

	EMIT(struct mw_vma_move, MW_EVENT_VMA_MOVE, s->space, task, e->old_start = u->di;
	     e->old_bytes = page_up(u->si); e->new_start = u->ax; e->new_bytes = page_up(u->dx);
	     e->stack = stack; e->flags = u->r10);
	return 0;
}

/* The kernel answers with the end of the heap, moved or not; the end as last seen is kept with the space. */
static __always_inline int exit_brk(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 at = space_index(number(task->mm));

	if (at >= MW_SPACES)
		return 0;
	u64 end = user_regs(task)->ax, old = space_brk[at];

	space_brk[at] = end;
	if (page_up(end) <= page_up(old))
		return 0;
	u32 stack = caller_stack(SCRATCH_EXIT);

	EMIT(struct mw_vma_brk, MW_EVENT_VMA_BRK, spaces[at].space, task, e->old_end = page_up(old);
	     e->new_end = page_up(end); e->stack = stack; e->pad = 0);
	return 0;
}

static __always_inline int entered(u64 number)
{
	switch (number) {
	case NR_MUNMAP:
		return enter_munmap();
	case NR_MADVISE:
		return enter_madvise();
	case NR_BRK:
		return enter_brk();
	case NR_MMAP:
		return enter_mmap();
	case NR_MREMAP:
		return enter_mremap();
	}
	return 0;
}

static __always_inline int returns(u64 number)
{
	switch (number) {
	case NR_MMAP:
		return exit_mmap_call();
	case NR_MREMAP:
		return exit_mremap();
	case NR_BRK:
		return exit_brk();
	}
	return 0;
}

/* What the classic tracepoints of system calls begin with, at entry and at exit. */
struct call_record {
	u64 common;
	int number;
};

SEC("tp")
int call_enter(struct call_record *ctx)
{
	return entered(ctx->number);
}

SEC("tp")
int call_exit(struct call_record *ctx)
{
	return returns(ctx->number);
}

/* Where the tracepoints of single system calls cannot be had: all system calls. */
SEC("raw_tp/sys_enter")
int calls_enter(struct bpf_raw_tracepoint_args *ctx)
{
	return entered(ctx->args[1]);
}

SEC("raw_tp/sys_exit")
int calls_exit(struct bpf_raw_tracepoint_args *ctx)
{
	return returns(user_regs(bpf_get_current_task_btf())->orig_ax);
}
