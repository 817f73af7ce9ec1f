/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Trails: the walk depends only on the group of rules, ip, sp, fp, the rules and the words that it reads. When the same walk
 * happens twice in a row, those words and their places are noted. At the next fault with the same ip, sp and fp they are
 * gathered and compared, without a branch for each; if none has changed, the stack is the same.
 *
 *   key memset, sp ..e3c8   page 0: [3c8] 5555'1234  [408] 5555'1300  [4f8] 7f12'0a10    page 1: [018] ..   -> slot 0x0beef
 *
 * It cannot be wrong: each word is compared, every time. Where paths with the same ip, sp and fp alternate, a trail never
 * matches: after TRAIL_MISSES in a row it is tried one time in TRAIL_REST.
 */
#ifndef MEMWHY_TRAIL_BPF_H
#define MEMWHY_TRAIL_BPF_H

#include "rules.bpf.h"

#define TRAIL_MISSES 8u
#define TRAIL_REST   64u

/* Each has one place. Call sites at equal distances are at equal distances after one multiplication too, and with one factor in sixty
 * many of them in the same place; after a second one they are not. */
static __always_inline u64 trail_number(u64 key, u64 sp)
{
	u64 mixed = (key ^ sp << 20) * chunk_factor;

	return ((mixed ^ mixed >> 29) * chunk_factor) >> 53;
}

/* Looks where the pages of a trail are now. Not static: it is rare, and verified once. */
__noinline int trail_moved(u64 n, u64 pgd)
{
	struct mw_trail *t = &trails[n & (MW_TRAILS - 1)];
	u32 version = t->version;

	if (version & 1 || __sync_val_compare_and_swap(&t->version, version, version + 1) != version)
		return 0;
	for (u32 i = 0; i < MW_TRAIL_FOURS && i < t->fours; i++)
		t->guess[i] = direct_page(pgd, t->sp + ((u64)t->page[i] << PTE_SHIFT));
	__sync_lock_test_and_set(&t->version, version + 2);
	return 0;
}

/* 0 when all words are as they were, and where they were. */
static __always_inline u64 words_differ(enum mw_read_how how, const struct mw_trail *t)
{
	const void *memory = how == MW_READ_MEMORY ? KERNEL_MEMORY(0) : NULL;
	u64 differ = 0;

	for (u64 i = 0; i < MW_TRAIL_FOURS && i < t->fours; i++) {
		u64 page = t->guess[i];

#pragma unroll
		for (u32 k = 0; k < 4; k++) {
			u64 at = page + t->at[4 * i + k];

			differ |= t->word[4 * i + k] ^
				  (how == MW_READ_MEMORY ? *(const u64 *)(memory + at) : kernel_word(at));
		}
		OPAQUE(differ); /* to the verifier all rounds look alike */
	}
	return differ;
}

/* 0 when the pages are where they were. Not static: its registers would be too much for the stack of all (512 bytes). */
__noinline u64 pages_differ(u64 n, u64 pgd)
{
	const struct mw_trail *t = &trails[n & (MW_TRAILS - 1)];
	struct paging map = {direct_map, la57};
	u64 differ = 0, fours = t->fours, last = ~0ull;

	if (read_how == MW_READ_BULK)
		return 1;
	for (u64 i = 0; i < MW_TRAIL_FOURS && i < fours; i++) {
		u64 above = t->page[i], page;

		if (above == last)
			continue;
		last = above;
		page = page_at(map, pgd, t->sp + (above << PTE_SHIFT));
		differ |= page ? page ^ t->guess[i] : 1; /* absent is never where it was */
		OPAQUE(differ);
		OPAQUE(last);
	}
	return differ;
}

/* The slot of this stack if a trail matches; ~0: walk. */
static __always_inline u32 trail_slot(struct task_struct *task, u64 key, u64 sp, u64 fp)
{
	struct mw_trail *t = &trails[trail_number(key, sp) & (MW_TRAILS - 1)];
	u32 version = *(volatile u32 *)&t->version, misses = t->misses;

	if (t->key != key || t->sp != sp || (t->fp != fp && t->by_fp) || !t->fours)
		return ~0u;
	if (misses > TRAIL_MISSES) {
		t->misses = misses + 1;
		if (misses < TRAIL_MISSES + TRAIL_REST)
			return ~0u;
	}
	u64 pgd = number(task->mm->pgd);

	if (pages_differ(trail_number(key, sp), pgd))
		trail_moved(trail_number(key, sp), pgd);
	if (read_how == MW_READ_MEMORY ? words_differ(MW_READ_MEMORY, t) : words_differ(MW_READ_WORDS, t)) {
		t->misses = misses < TRAIL_MISSES ? misses + 1 : TRAIL_MISSES + 1;
		return ~0u;
	}
	u32 slot = t->slot;

	if (stack_hash[slot & stack_mask] != t->hash || version & 1 ||
	    *(volatile u32 *)&t->version != version)
		return ~0u;
	if (misses)
		t->misses = 0;
	return slot;
}

/* Is it the second time in a row that this walk found this stack? One that differs each time leaves but its hash. */
static __always_inline bool trail_wanted(u64 key, u64 sp, u64 hash)
{
	struct mw_trail *t = &trails[trail_number(key, sp) & (MW_TRAILS - 1)];
	u32 version = t->version;

	if (version & 1)
		return false;
	if (t->key == key && t->sp == sp && t->hash == hash)
		return ++t->seen == 2;
	if (t->key == key && t->sp == sp && t->fours && t->misses > TRAIL_MISSES + 1)
		return false; /* paths alternate; after a try that failed, this one may be the one that stays */
	if (__sync_val_compare_and_swap(&t->version, version, version + 1) != version)
		return false;
	t->misses = t->key == key && t->sp == sp ? t->misses : 0;
	t->key = key;
	t->sp = sp;
	t->hash = hash;
	t->seen = t->fours = 0;
	__sync_lock_test_and_set(&t->version, version + 2);
	return false;
}

static __always_inline void trail_make(u64 key, u64 sp, u64 fp, u64 hash, u32 slot, const struct notes *n)
{
	struct mw_trail *t = &trails[trail_number(key, sp) & (MW_TRAILS - 1)];
	u32 version = t->version;

	if (version & 1 || t->key != key || t->sp != sp || t->hash != hash ||
	    __sync_val_compare_and_swap(&t->version, version, version + 1) != version)
		return;
	t->fp = fp;
	t->by_fp = n->by_fp;
	t->slot = slot;
	t->fours = (n->words + 3) / 4;
	__builtin_memcpy(t->page, n->page, sizeof(t->page));
	__builtin_memcpy(t->at, n->at, sizeof(t->at));
	__builtin_memcpy(t->word, n->word, sizeof(t->word));
	__sync_lock_test_and_set(&t->version, version + 2);
}

#endif
