/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The current task's user stack through a window: a part of it that plain loads can read, and that is moved as the walk
 * leaves it. Two kinds:
 *
 *   direct: a page of the stack where the kernel's direct map has it. The task's page table is walked once for each
 *           page, and loads are guarded. No helper touches user memory. (2-3 ns a frame; enum mw_read_how says in which
 *           two forms)
 *   bulk:   a copy of the next 2 KiB of a page, by bpf_probe_read_user.
 *
 *   user     7ffd'1000         7ffd'1f90  bp         7ffd'2000
 *            |---------------------^------------------|          room 96: the last whole frame is at 7ffd'1ff0
 *   kernel   ffff8881'2a60'3000    ^ bp + delta
 *
 * What neither can give (an absent page, a frame across the end of a page) is read alone: a window of one frame.
 * A page that migrates during the walk can give one wrong word.
 */
#ifndef MEMWHY_READ_BPF_H
#define MEMWHY_READ_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"

#define STACK_REACH (8ull << 20) /* a frame further above sp is not believed */

struct window {
	u64 room;	    /* how far above the current frame a whole frame may still lie in it */
	u64 delta;	    /* direct: kernel address - user address */
	u64 start;	    /* bulk: user address of its first byte */
	const void *memory; /* MW_READ_MEMORY: where the page of the frame begins, or would */
};

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
		entry = kernel_word(pgd + TABLE_INDEX(va, PGD_SHIFT));
		if (!(entry & PTE_PRESENT))
			return 0;
		pgd = map.base + (entry & PTE_ADDRESS);
	}
	entry = kernel_word(pgd + TABLE_INDEX(va, P4D_SHIFT));
	if (!(entry & PTE_PRESENT))
		return 0;
	entry = kernel_word(map.base + (entry & PTE_ADDRESS) + TABLE_INDEX(va, PUD_SHIFT));
	if ((entry & (PTE_PRESENT | PTE_LEAF)) != PTE_PRESENT)
		return 0;
	entry = kernel_word(map.base + (entry & PTE_ADDRESS) + TABLE_INDEX(va, PMD_SHIFT));
	if (!(entry & PTE_PRESENT))
		return 0;
	if (entry & PTE_LEAF)
		return map.base + (entry & PTE_ADDRESS & ~(HUGE_PAGE_BYTES - 1)) +
		       (va & (HUGE_PAGE_BYTES - PAGE_BYTES));
	entry = kernel_word(map.base + (entry & PTE_ADDRESS) + TABLE_INDEX(va, PTE_SHIFT));
	return entry & PTE_PRESENT ? map.base + (entry & PTE_ADDRESS) : 0;
}

static __always_inline u64 stack_page(u64 pgd, u64 va)
{
	struct paging map = {direct_map, la57};

	return read_how ? page_at(map, pgd, va) : 0;
}

/*
 * The functions below that are not static are verified once, each by itself; inlined into the walk they would
 * multiply what the verifier has to look at. They run for few windows.
 */

/* Reads one frame by the helper; kernel address of the copy, 0: it cannot be read. */
__noinline u64 frame_alone(u32 which, u64 bp)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct mw_counters *c = cpu_counters();

	if (!s || !c)
		return 0;
	c->fault[MW_FRAMES_BY_HELPER]++;
	return bpf_probe_read_user(s->window, sizeof(struct frame), (void *)bp) ? 0 : number(s->window);
}

/*
 * Copies from va on: 2 KiB, or what is left of va's page. Never from the next page before the chain gets there: it may not
 * exist, and a read that fails costs ten that do not. Bytes copied; 0: it cannot be read.
 */
__noinline u32 copy_stack(u32 which, u64 va)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 bytes = PAGE_BYTES - (va & (PAGE_BYTES - 1));

	if (!s)
		return 0;
	if (bytes < sizeof(struct frame))
		return frame_alone(which, va) ? sizeof(struct frame) : 0;
	if (bytes > WINDOW_BYTES)
		bytes = WINDOW_BYTES;
	return bpf_probe_read_user(s->window, bytes, (void *)va) ? 0 : bytes;
}

/* Moves the window so that the frame at bp is in it. how: a constant. */
static __always_inline bool move_window(struct window *w, enum mw_read_how how, u64 pgd, u32 which, u64 bp)
{
	if (how == MW_READ_BULK) {
		u32 bytes = copy_stack(which, bp);

		w->start = bp;
		w->room = bytes - sizeof(struct frame);
		return bytes >= sizeof(struct frame);
	}
	u64 page = stack_page(pgd, bp), at = bp & (PAGE_BYTES - 1);

	w->room = PAGE_BYTES - sizeof(struct frame) - at;
	if (!page || at > PAGE_BYTES - sizeof(struct frame)) {
		page = frame_alone(which, bp);
		at = 0;
		w->room = 0;
	}
	w->delta = page + at - bp;
	if (how == MW_READ_MEMORY)
		w->memory = KERNEL_MEMORY(page + at - (bp & (PAGE_BYTES - 1)));
	return page;
}

/*
 * Is the next frame, `step` above the current one, in the window and aligned? Then the room shrinks by it. One comparison
 * for "above" and "within": 0 and what is negative become the largest numbers.
 */
static __always_inline bool in_window(struct window *w, u64 step)
{
	if (step - 1 >= w->room || step & 7)
		return false;
	w->room -= step;
	OPAQUE(w->room); /* to the verifier all rounds look alike */
	return true;
}

/* The frame at bp, which must be in the window. */
static __always_inline struct frame frame_in(const struct window *w, enum mw_read_how how,
					     const struct scratch *s, u64 bp)
{
	struct frame f;

	if (how == MW_READ_MEMORY) {
		const u64 *words = w->memory + (bp & (PAGE_BYTES - 8));

		f.next = words[0];
		f.ret = words[1];
	} else if (how == MW_READ_WORDS) {
		struct timespec64 *words = KERNEL_PAIR(bp + w->delta);

		f.next = FIRST_WORD(words);
		f.ret = SECOND_WORD(words);
	} else {
		const u64 *words = s->window + (((bp - w->start) >> 3) & (WINDOW_WORDS - 1));

		f.next = words[0];
		f.ret = words[1];
	}
	return f;
}

#endif
