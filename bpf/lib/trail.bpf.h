/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Trails: the walk depends only on the group of rules, ip, sp, fp, the rules and the words that it reads. When the same walk
 * happens twice in a row, those words and their places are noted. At the next fault with the same ip, sp and fp they are
 * gathered and compared, without a branch for each; if none has changed, the stack is the same. Where the kernel's direct map has
 * their pages is noted too, and looked up again when a page of this process may have moved.
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

/* Looks where the pages of a trail are now; its version after that. 0: one is absent, or another program writes it. Not static: it is
 * rare, and verified once. */
__noinline u32 trail_moved(u64 n, u32 version)
{
	struct mw_trail *t = &trails[n & (MW_TRAILS - 1)];
	const struct mm_struct *mm = bpf_get_current_task_btf()->mm;
	u64 moves = page_moves(mm), pgd = number(mm->pgd), last = ~0ull, place = 0, absent = 0;

	if (version & 1 || __sync_val_compare_and_swap(&t->version, version, version + 1) != version)
		return 0;
	for (u32 i = 0; i < MW_TRAIL_FOURS && i < t->fours; i++) {
		u64 above = t->page[i];

		if (above != last)
			place = direct_page(pgd, t->sp + (above << PTE_SHIFT));
		last = above;
		t->place[i] = place;
		absent |= !place;
		OPAQUE(last);
		OPAQUE(place);
		OPAQUE(absent);
	}
	t->moves = absent ? 0 : moves;
	__sync_lock_test_and_set(&t->version, version + 2);
	return absent ? 0 : version + 2;
}

/* 0 when all words are as they were. how: a constant. */
static __always_inline u64 words_differ(enum mw_read_how how, const struct mw_trail *t)
{
	u64 differ = 0;

	for (u64 i = 0; i < MW_TRAIL_FOURS && i < t->fours; i++) {
		u64 place = t->place[i];
		const void *memory = how == MW_READ_MEMORY ? KERNEL_MEMORY(place) : NULL;

#pragma unroll
		for (u32 k = 0; k < 4; k++) {
			u64 at = t->at[4 * i + k];

			differ |= t->word[4 * i + k] ^ (how == MW_READ_MEMORY ? *(const u64 *)(memory + at)
									      : kernel_word(place + at));
		}
		OPAQUE(differ); /* to the verifier all rounds look alike */
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
	if (!t->moves || t->moves != page_moves(task->mm)) {
		version = trail_moved(trail_number(key, sp), version);
		if (!version)
			return ~0u;
	}
	if (read_how == MW_READ_MEMORY ? words_differ(MW_READ_MEMORY, t) : words_differ(MW_READ_WORDS, t)) {
		misses = t->misses;
		t->misses = misses < TRAIL_MISSES ? misses + 1 : TRAIL_MISSES + 1;
		return ~0u;
	}
	u32 slot = t->slot;

	if (stack_hash[slot & stack_mask] != t->hash || version & 1 ||
	    *(volatile u32 *)&t->version != version)
		return ~0u;
	if (t->misses)
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
	t->moves = 0;
	t->fours = (n->words + 3) / 4;
	__builtin_memcpy(t->page, n->page, sizeof(t->page));
	__builtin_memcpy(t->at, n->at, sizeof(t->at));
	__builtin_memcpy(t->word, n->word, sizeof(t->word));
	__sync_lock_test_and_set(&t->version, version + 2);
}

#endif
