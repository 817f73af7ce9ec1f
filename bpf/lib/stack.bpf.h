/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The whole frame-pointer chain of the current task, and the slot of the stack table that holds it.
 *
 *   ip 0x4011d6, sp ..e3c0, bp ..e3d0   ->  [e3d0] = e410, 0x4012a0   [e410] = e450, 0x4012ff   [e450] = 0,
 * ... chain {4011d6, 4012a0, 4012ff, ...} ->  hash 0x0beef1...  ->  stack_hash[0x0beef] = hash,
 * stacks[0x0beef] = frames
 *
 * One loop, and one read_frame() that hides where a frame comes from:
 *   direct: the task's page table is walked once for each page of stack, and the page is read through the
 * kernel's direct map with guarded loads. No helper touches user memory. (2-3 ns a frame) bulk:   2 KiB from
 * the frame on by bpf_probe_read_user, then plain loads until a frame lies outside. Every fault walks the
 * whole chain: a memo of a part of it would merge stacks. Frames are kept raw; what is no code is dropped in
 * userspace. A page that migrates during the walk can give one wrong word.
 */
#ifndef MEMWHY_STACK_BPF_H
#define MEMWHY_STACK_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"
#include "filter.bpf.h"

#define PAGE_BYTES	4096ull
#define HUGE_PAGE_BYTES (2ull << 20)
#define STACK_REACH	(8ull << 20) /* a frame further above sp is not believed */
#define PTE_PRESENT	1ull
#define PTE_LEAF	0x80ull
#define PTE_ADDRESS	0x00003ffffffff000ull /* without the encryption bit of SEV and NX */
#define TABLE_INDEX(va, n)                                                                                   \
	(((va) >> ((n)-3)) & 0xff8) /* of the entry for va in the table whose entries span 2^n bytes */

struct reader {
	u64 pgd;   /* direct: top of the page table, a kernel address */
	u64 start; /* direct: user address of the page that can be read by plain loads, or NO_WINDOW */
	u64 delta; /* direct: kernel address - user address within it */
	struct scratch *scratch; /* bulk, and where frames are kept */
	struct mw_counters *counters;
	u32 which; /* enum scratch_of */
};

#define NO_WINDOW (~0ull >> 1) /* no frame is within reach of it */

/* How this kernel maps: where its direct map of physical memory starts, and whether tables have 5 levels. */
struct paging {
	u64 base;
	bool five;
};

/* Kernel address of the 4 KiB page that holds va; 0: not present. */
static __always_inline u64 page_at(struct paging map, u64 pgd, u64 va)
{
	u64 entry;

	if (map.five) {
		entry = kernel_word(pgd + TABLE_INDEX(va, 48));
		if (!(entry & PTE_PRESENT))
			return 0;
		pgd = map.base + (entry & PTE_ADDRESS);
	}
	entry = kernel_word(pgd + TABLE_INDEX(va, 39));
	if (!(entry & PTE_PRESENT))
		return 0;
	entry = kernel_word(map.base + (entry & PTE_ADDRESS) + TABLE_INDEX(va, 30));
	if ((entry & (PTE_PRESENT | PTE_LEAF)) != PTE_PRESENT)
		return 0;
	entry = kernel_word(map.base + (entry & PTE_ADDRESS) + TABLE_INDEX(va, 21));
	if (!(entry & PTE_PRESENT))
		return 0;
	if (entry & PTE_LEAF)
		return map.base + (entry & PTE_ADDRESS & ~(HUGE_PAGE_BYTES - 1)) +
		       (va & (HUGE_PAGE_BYTES - PAGE_BYTES));
	entry = kernel_word(map.base + (entry & PTE_ADDRESS) + TABLE_INDEX(va, 12));
	return entry & PTE_PRESENT ? map.base + (entry & PTE_ADDRESS) : 0;
}

/*
 * The functions below that are not static are verified once, each by itself; inlined into the walk they would
 * multiply what the verifier has to look at by hundreds. They run once for each page or window, not for each
 * frame.
 */

__noinline u64 stack_page(u64 pgd, u64 va)
{
	struct paging map = {direct_map, la57};

	return read_direct ? page_at(map, pgd, va) : 0;
}

/* One frame by the helper, into scratch->alone: absent page, or a frame across the end of a page. 0: it was
 * read. */
__noinline int read_alone(u32 which, u64 bp)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct mw_counters *c = cpu_counters();

	if (!s || !c)
		return -1;
	c->fault[MW_FRAMES_BY_HELPER]++;
	return bpf_probe_read_user(&s->alone, sizeof(s->alone), (void *)bp) ? -1 : 0;
}

/* Moves the window to va: 2 KiB, or what is left of its page when that meets memory that cannot be read. 0:
 * moved. */
__noinline int move_window(u32 which, u64 va)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 bytes = sizeof(s->window);

	if (!s)
		return -1;
	s->start = NO_WINDOW;
	if (bpf_probe_read_user(s->window, bytes, (void *)va)) {
		bytes = PAGE_BYTES - (va & (PAGE_BYTES - 1));
		if (bytes < sizeof(struct frame) || bytes > sizeof(s->window) ||
		    bpf_probe_read_user(s->window, bytes, (void *)va))
			return -1;
	}
	s->start = va;
	s->reach = bytes - sizeof(struct frame);
	return 0;
}

/* Keeps the compiler from merging loads through different kinds of pointer, which the verifier refuses. */
#define SETTLE(word) asm volatile("" : "+r"(word))

static __always_inline bool take_alone(struct reader *r, u64 bp, struct frame *f)
{
	if (read_alone(r->which, bp))
		return false;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &r->which);

	if (!s)
		return false;
	f->next = s->alone.next;
	f->ret = s->alone.ret;
	SETTLE(f->next);
	SETTLE(f->ret);
	return true;
}

static __always_inline bool read_frame_direct(struct reader *r, u64 bp, struct frame *f)
{
	if (bp - r->start > PAGE_BYTES - sizeof(*f)) {
		u64 page = stack_page(r->pgd, bp);

		r->start = bp & ~(PAGE_BYTES - 1);
		r->delta = page - r->start;
		if (!page || bp - r->start > PAGE_BYTES - sizeof(*f)) {
			r->start = NO_WINDOW;
			return take_alone(r, bp, f);
		}
	}
	struct timespec64 *words = KERNEL_PAIR(bp + r->delta);

	f->next = FIRST_WORD(words);
	f->ret = SECOND_WORD(words);
	SETTLE(f->next);
	SETTLE(f->ret);
	return true;
}

static __always_inline bool read_frame_bulk(struct reader *r, u64 bp, struct frame *f)
{
	struct scratch *s = r->scratch;

	if (bp - s->start > s->reach && move_window(r->which, bp))
		return take_alone(r, bp, f);
	u32 at = ((bp - s->start) >> 3) & (WINDOW_WORDS - 1);

	f->next = s->window[at];
	f->ret = s->window[(at + 1) & (WINDOW_WORDS - 1)];
	SETTLE(f->next);
	SETTLE(f->ret);
	return true;
}

/* Through memory: the verifier forgets what it knows of the value, so that all rounds of the loop look alike
 * to it. */
static __always_inline u64 forget(u64 *cell, u64 value)
{
	*(volatile u64 *)cell = value;
	return *(volatile u64 *)cell;
}

static __always_inline bool read_frame(struct reader *r, u64 bp, struct frame *f)
{
	return read_direct ? read_frame_direct(r, bp, f) : read_frame_bulk(r, bp, f);
}

struct chain {
	u64 hash; /* of ip and every return address; never EMPTY or TOMB */
	u32 n;	  /* with frames only */
	u32 flags;
};

/* frames: NULL, or where to keep the chain (MW_STACK_FRAMES words). A constant at each call. */
static __always_inline struct chain walk(struct reader *r, u64 ip, u64 sp, u64 bp, u64 *frames)
{
	struct chain chain = {.n = 1};
	u64 hash = ip * HASH_FACTOR;

	sp &= ~7ull;
	r->start = NO_WINDOW;
	if (!read_direct)
		r->scratch->start = NO_WINDOW, r->scratch->reach = 0;
	if (frames)
		frames[0] = ip;
	for (u32 i = 1;; i++) {
		struct frame f;

		if (frames || !read_direct) {
			bp = forget(&r->scratch->bp, bp);
			hash = forget(&r->scratch->hash, hash);
		}
		/* unaligned, below sp, or far above: the chain ends, and nothing is read */
		if ((bp - sp) & ~(STACK_REACH - 8))
			break;
		if (i == MW_STACK_FRAMES) {
			chain.flags = MW_STACK_CUT;
			break;
		}
		if (!read_frame(r, bp, &f)) {
			chain.flags = MW_STACK_UNREADABLE;
			break;
		}
		if (f.ret < PAGE_BYTES)
			break;
		hash = (hash ^ f.ret) * HASH_FACTOR;
		if (frames) {
			frames[i] = f.ret;
			chain.n = i + 1;
		}
		if (f.next <= bp)
			break;
		bp = f.next;
	}
	hash ^= hash >> 32;
	chain.hash = (hash * HASH_FACTOR) | 2;
	return chain;
}

/*
 * First time this stack is met (or its slot is being freed): walks again, keeping the frames, and claims a
 * slot for what this second walk saw: frames and hash always belong together. Not static: verified once, not
 * at each call.
 */
__noinline u32 stack_store(u64 ip, u64 sp, u64 bp, u32 which)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_counters *c = cpu_counters();
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &which);

	if (!c || !scratch)
		return MW_ENTRY_STACK_LOST;
	struct reader r = {.pgd = number(task->mm->pgd), .scratch = scratch, .counters = c, .which = which};
	struct chain chain = walk(&r, ip, sp, bp, scratch->frames);
	u32 home = chain.hash >> 44;

	if (chain.flags & MW_STACK_UNREADABLE)
		c->fault[MW_STACKS_UNREADABLE]++;
	for (u32 i = 0; i < MW_STACK_PROBES; i++) {
		u32 at = (home + i) & stack_mask;

		if (stack_hash[at] == chain.hash)
			return at;
	}
	for (u32 i = 0; i < MW_STACK_PROBES; i++) {
		u32 at = (home + i) & stack_mask;
		u64 old = __sync_val_compare_and_swap(&stack_hash[at], MW_SLOT_EMPTY, chain.hash);

		if (old == chain.hash)
			return at;
		if (old != MW_SLOT_EMPTY)
			continue;

		struct mw_stack *s = bpf_map_lookup_elem(&stacks, &at);

		if (!s)
			break;
		__builtin_memcpy(s->ip, scratch->frames, sizeof(s->ip));
		s->flags = chain.flags;
		__sync_lock_test_and_set(&s->n, chain.n);
		c->fault[MW_STACKS_NEW]++;
		return at;
	}
	c->fault[MW_STACKS_LOST]++;
	return MW_ENTRY_STACK_LOST;
}

/* Slot of the current task's user stack, or MW_ENTRY_STACK_*. which: enum scratch_of, a constant at each
 * call. */
static __always_inline u32 stack_slot(struct task_struct *task, struct pt_regs *user, struct mw_counters *c,
				      u32 which)
{
	u64 ip = user->ip, sp = user->sp, bp = user->bp;
	struct reader r = {.counters = c, .which = which};

	if (task->flags & PF_KTHREAD || !ip) /* on a borrowed mm, or an io_uring worker: no user stack */
		return MW_ENTRY_STACK_NONE;
	if (!read_direct) {
		r.scratch = bpf_map_lookup_elem(&scratches, &which);
		if (!r.scratch)
			return MW_ENTRY_STACK_LOST;
	}
	r.pgd = number(task->mm->pgd);

	u64 hash = walk(&r, ip, sp, bp, NULL).hash;
	u32 home = hash >> 44;

	for (u32 i = 0; i < MW_HOT_PROBES; i++)
		if (stack_hash[(home + i) & stack_mask] == hash)
			return (home + i) & stack_mask;
	return stack_store(ip, sp, bp, which);
}

#endif
