/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One frame of the current task's user stack, by either way; read_frame() hides which.
 *
 *   direct: the task's page table is walked once for each page of stack, and the page is read through the kernel's
 *           direct map with guarded loads. No helper touches user memory. (2-3 ns a frame)
 *   bulk:   2 KiB from the frame on by bpf_probe_read_user, then plain loads until a frame lies outside.
 *
 * A page that migrates during the walk can give one wrong word.
 */
#ifndef MEMWHY_READ_BPF_H
#define MEMWHY_READ_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"

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

#endif
