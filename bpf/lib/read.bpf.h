/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The current task's user stack through a window: a part of it that plain loads can read, and that moves with the walk.
 * Two kinds:
 *
 *   direct: a page of the stack where the kernel's direct map has it. The task's page table is walked once for each
 *           page, and loads are guarded. No helper touches user memory. (2-3 ns a frame; enum mw_read_how says in which
 *           two forms)
 *   bulk:   a copy of up to 2 KiB of a page, by bpf_probe_read_user, from a bit below the word that was wanted, where saved
 *           registers lie.
 *
 *   user     7ffd'1000         7ffd'1f90  va         7ffd'2000
 *            |---------------------^------------------|          room: the last word is at 7ffd'1ff8
 *   kernel   ffff8881'2a60'3000    ^ va + delta
 *
 * A word outside of any window (an absent page) is read alone. A page that migrates during the walk can give one wrong word.
 */
#ifndef MEMWHY_READ_BPF_H
#define MEMWHY_READ_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"

#define STACK_REACH (8ull << 20) /* a frame further above sp is not believed */

struct window {
	u64 start, room;    /* its first byte; offset of its last word */
	u64 delta;	    /* direct: kernel address - user address */
	const void *memory; /* MW_READ_MEMORY: so placed that a user address is an offset in it */
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

/*
 * The functions below that are not static are verified once, each by itself; inlined into the walk they would
 * multiply what the verifier has to look at. They run for few windows.
 */

__noinline u64 direct_page(u64 pgd, u64 va)
{
	struct paging map = {direct_map, la57};

	return read_how ? page_at(map, pgd, va) : 0;
}

#define NO_WORD 1ull /* no address, and no frame pointer */

/* One word by the helper, or NO_WORD. */
__noinline u64 word_alone(u64 va)
{
	u64 word = 0;
	struct mw_counters *c = cpu_counters();

	if (c)
		c->fault[MW_FRAMES_BY_HELPER]++;
	return bpf_probe_read_user(&word, sizeof(word), (void *)va) ? NO_WORD : word;
}

#define BELOW 128u /* bytes that are copied below the word that was wanted */

/* Copies the bytes around va. Never from the next page before the chain gets there: it may not exist, and a read that
 * fails costs ten that do not. Bytes copied; 0: it cannot be read. */
__noinline u32 copy_around(u32 which, u64 va)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u64 at = va & (PAGE_BYTES - 1), start = va - (at < BELOW ? at : BELOW);
	u32 bytes = PAGE_BYTES - (start & (PAGE_BYTES - 1));

	if (!s)
		return 0;
	if (bytes > WINDOW_BYTES)
		bytes = WINDOW_BYTES;
	return bpf_probe_read_user(s->window, bytes, (void *)start) ? 0 : bytes;
}

/* One in which no aligned word is. */
static __always_inline struct window no_window(enum mw_read_how how)
{
	return (struct window){.start = 1, .memory = how == MW_READ_MEMORY ? KERNEL_MEMORY(0) : NULL};
}

/* Moves the window to the word at va, which is aligned. how: a constant. */
static __always_inline bool window_at(struct window *w, enum mw_read_how how, u64 pgd, u32 which, u64 va)
{
	u64 at = va & (PAGE_BYTES - 1);

	if (how == MW_READ_BULK) {
		u32 bytes = copy_around(which, va);

		w->start = va - (at < BELOW ? at : BELOW);
		w->room = bytes - 8;
		return bytes >= 8;
	}
	u64 page = direct_page(pgd, va);

	w->start = va - at;
	w->room = PAGE_BYTES - 8;
	w->delta = page - w->start;
	if (how == MW_READ_MEMORY)
		w->memory = KERNEL_MEMORY(w->delta);
	return page;
}

static __always_inline bool in_window(const struct window *w, u64 va)
{
	return va - w->start <= w->room;
}

/* The word at va, which must be in the window. */
static __always_inline u64 word_in(const struct window *w, enum mw_read_how how, const struct scratch *s,
				   u64 va)
{
	if (how == MW_READ_MEMORY)
		return *(const u64 *)(w->memory + va);
	if (how == MW_READ_WORDS)
		return FIRST_WORD(KERNEL_PAIR(va + w->delta));
	return s->window[((va - w->start) >> 3) & (WINDOW_WORDS - 1)];
}

/* The word at va, wherever it is, or NO_WORD. */
static __always_inline u64 any_word(u64 pgd, u64 va)
{
	if (read_how != MW_READ_BULK && (va & (PAGE_BYTES - 1)) <= PAGE_BYTES - 8) {
		u64 page = direct_page(pgd, va);

		if (page)
			return kernel_word(page + (va & (PAGE_BYTES - 1)));
	}
	return word_alone(va);
}

#endif
