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

static __always_inline u64 trail_number(u64 key, u64 sp)
{
	return ((key ^ sp << 20) * chunk_factor) >> 53;
}

/*
 * Where the direct map has the page of a run: a guess, so that the loads through it need not wait for the page-table walk.
 * The comparison makes sure of it. 0: absent.
 */
static __always_inline u64 trail_page(struct mw_trail *t, u64 run, u64 pgd)
{
	u64 guess = t->guess[run], page = direct_page(pgd, t->sp + ((u64)t->page[run] << PTE_SHIFT));

	asm volatile("" : "+r"(guess));
	if (page != guess) {
		t->guess[run] = page;
		return page;
	}
	return guess;
}

/* The words of a run, on this page: 0 when all are as they were. */
static __always_inline u64 run_differs(enum mw_read_how how, const struct mw_trail *t, u64 page, u32 from,
				       u32 end)
{
	const void *memory = how == MW_READ_MEMORY ? KERNEL_MEMORY(page) : NULL;
	u64 differ = 0;

	for (u32 i = 0; i < MW_TRAIL_WORDS; i++) {
		u32 k = from + i;

		if (k >= end)
			break;
		k &= MW_TRAIL_WORDS - 1;

		u64 at = t->at[k],
		    word = how == MW_READ_MEMORY ? *(const u64 *)(memory + at) : kernel_word(page + at);

		differ |= word ^ t->word[k];
		OPAQUE(differ); /* to the verifier all rounds look alike */
	}
	return differ;
}

/* Not static: verified once, by itself. n: of the trail. */
__noinline u64 run_changed(u64 n, u64 page, u32 from, u32 end)
{
	const struct mw_trail *t = &trails[n & (MW_TRAILS - 1)];

	return read_how == MW_READ_MEMORY  ? run_differs(MW_READ_MEMORY, t, page, from, end)
	       : read_how == MW_READ_WORDS ? run_differs(MW_READ_WORDS, t, page, from, end)
					   : 1;
}

__noinline u64 runs_changed(u64 n, u64 pgd)
{
	struct mw_trail *t = &trails[n & (MW_TRAILS - 1)];
	u64 differ = 0, from = t->end[0], runs = t->runs;

	for (u32 run = 1; run < MW_TRAIL_RUNS; run++) {
		if (run >= runs)
			break;
		u64 page = trail_page(t, run, pgd), end = t->end[run];

		differ |= page ? run_changed(n, page, from, end) : 1;
		OPAQUE(differ);
		from = end;
	}
	return differ;
}

/* The slot of this stack if a trail matches; ~0: walk. */
static __always_inline u32 trail_slot(struct task_struct *task, u64 key, u64 sp, u64 fp)
{
	u64 n = trail_number(key, sp), pgd = number(task->mm->pgd);
	struct mw_trail *t = &trails[n & (MW_TRAILS - 1)];
	u32 version = *(volatile u32 *)&t->version, runs = t->runs, misses = t->misses;

	if (t->key != key || t->sp != sp || (t->fp != fp && t->by_fp) || !runs)
		return ~0u;
	if (misses > TRAIL_MISSES) {
		t->misses = misses + 1;
		if (misses < TRAIL_MISSES + TRAIL_REST)
			return ~0u;
	}
	u64 page = trail_page(t, 0, pgd);

	if (!page || run_changed(n, page, 0, t->end[0]) || (runs > 1 && runs_changed(n, pgd))) {
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
	if (t->key == key && t->sp == sp && t->runs && t->misses > TRAIL_MISSES + 1)
		return false; /* paths alternate; after a try that failed, this one may be the one that stays */
	if (__sync_val_compare_and_swap(&t->version, version, version + 1) != version)
		return false;
	t->misses = t->key == key && t->sp == sp ? t->misses : 0;
	t->key = key;
	t->sp = sp;
	t->hash = hash;
	t->seen = t->runs = 0;
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
	t->runs = n->runs;
	__builtin_memcpy(t->page, n->page, sizeof(t->page));
	__builtin_memcpy(t->end, n->end, sizeof(t->end));
	__builtin_memcpy(t->at, n->at, sizeof(t->at));
	__builtin_memcpy(t->word, n->word, sizeof(t->word));
	__sync_lock_test_and_set(&t->version, version + 2);
}

#endif
