/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a walk reads, noted for a trail (trail.bpf.h): each word that its result depends on.
 *
 *   memset   [..e3c8] a return address          page 0  at 0x3c8
 *   load     [..e400] saved fp: not yet needed; [..e408] a return address
 *   main     found by fp: so [..e400] mattered, and is noted now
 *
 * A saved frame pointer that leads to no frame is a variable like any other. The verifier checks these functions once;
 * inlined into the walk they would multiply its states.
 */
#ifndef MEMWHY_NOTES_BPF_H
#define MEMWHY_NOTES_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"

/* Words are compared in fours, each within one page: what is left of one where the page ends repeats words of it. */
static __always_inline void note(struct notes *notes, u64 va, u64 word)
{
	u64 page = (va - notes->base) >> PTE_SHIFT, i = notes->words;

	if (i && notes->page[(i - 1) / 4 & (MW_TRAIL_FOURS - 1)] != page)
		i = (i + 3) & ~3ull;
	if (i >= MW_TRAIL_WORDS || page > 255)
		notes->bad = 1;
	notes->words = i + 1;
	notes->page[i / 4 & (MW_TRAIL_FOURS - 1)] = page;
	for (u32 rest = 0; rest < 4; rest++) {
		u64 at = (i | rest) & (MW_TRAIL_WORDS - 1);

		notes->at[at] = va & (PAGE_BYTES - 8);
		notes->word[at] = word;
	}
}

/* A frame is found by fp. */
static __always_inline void note_use_of_fp(struct notes *n)
{
	if (!n->restored)
		n->by_fp = 1;
	if (n->fp_at)
		note(n, n->fp_at, n->fp);
	n->fp_at = 0;
}

__noinline int note_word(u32 which, u64 va, u64 word, bool by_fp)
{
	struct notes *n = bpf_map_lookup_elem(&all_notes, &which);

	if (!n)
		return 0;
	if (by_fp)
		note_use_of_fp(n);
	note(n, va, word);
	if (va & 7)
		n->bad = 1;
	return 0;
}

__noinline int note_saved_fp(u32 which, u64 va, u64 fp)
{
	struct notes *n = bpf_map_lookup_elem(&all_notes, &which);

	if (!n)
		return 0;
	n->fp_at = va;
	n->fp = fp;
	n->restored = 1;
	if (va & 7)
		n->bad = 1;
	return 0;
}

__noinline int note_fp(u32 which)
{
	struct notes *n = bpf_map_lookup_elem(&all_notes, &which);

	if (n)
		note_use_of_fp(n);
	return 0;
}

__noinline int notes_begin(u32 which, u64 sp)
{
	struct notes *n = bpf_map_lookup_elem(&all_notes, &which);

	if (!n)
		return 0;
	n->base = sp & ~(PAGE_BYTES - 1);
	n->bad = n->words = n->fp_at = n->restored = n->by_fp = 0;
	return 0;
}

#endif
