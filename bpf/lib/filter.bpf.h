/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * "Is it traced?": address spaces by their mm. The first thing in every program, and the only cost for an untraced process.
 *
 *   mm 0xffff8881'0a3c'5e80 -> slot 0x9f1:   [0x9f1] other mm   [0x9f2] TOMB   [0x9f3] this mm -> space 3
 *   an EMPTY slot on the way ends the search: not traced
 */
#ifndef MEMWHY_FILTER_BPF_H
#define MEMWHY_FILTER_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"
#include "code.bpf.h"

static __always_inline u32 space_home(u64 mm)
{
	return slot_home(mm * HASH_FACTOR);
}

/* NULL: not traced. */
static __always_inline struct mw_space *space_of(u64 mm)
{
	u32 home = space_home(mm);

	for (u32 i = 0; i < MW_SPACE_PROBES; i++) {
		struct mw_space *s = &spaces[(home + i) & space_mask];
		u64 key = s->mm;

		if (key == MW_SLOT_EMPTY)
			return NULL;
		if (key == mm)
			return s;
	}
	return NULL;
}

static __always_inline struct mw_space *current_space(struct task_struct *task)
{
	return space_of(number(task->mm));
}

static __always_inline u32 space_index(u64 mm)
{
	u32 home = space_home(mm);

	for (u32 i = 0; i < MW_SPACE_PROBES; i++)
		if (spaces[(home + i) & space_mask].mm == mm)
			return (home + i) & space_mask;
	return ~0u;
}

/* Gives mm a new space; 0: no room. The key is written last: no program meets a half-written space. */
static __always_inline u32 space_claim(u64 mm, u32 flags, u64 brk)
{
	u32 home = space_home(mm);

	for (u32 i = 0; i < MW_SPACE_PROBES; i++) {
		u32 at = (home + i) & space_mask;
		u64 key = spaces[at].mm;

		if (key > MW_SLOT_TOMB ||
		    __sync_val_compare_and_swap(&spaces[at].mm, key, MW_SLOT_BUSY) != key)
			continue;
		spaces[at].space = __sync_fetch_and_add(&last_space, 1) + 1;
		spaces[at].flags = (flags & MW_SPACE_FLAGS) | at << MW_SPACE_SLOT_SHIFT;
		space_brk[at] = brk;
		space_use[at] = (struct mw_use){};
		rules_over(&space_code[at & (MW_SPACES - 1)]);
		/* a program's first milliseconds are those in which everything is new */
		space_code[at & (MW_SPACES - 1)].tokens = first_snapshots;
		__sync_fetch_and_add(&traced_spaces, 1);
		__sync_lock_test_and_set(&spaces[at].mm, mm);
		return spaces[at].space;
	}
	struct mw_counters *c = cpu_counters();

	if (c)
		__sync_fetch_and_add(&c->fault[MW_SPACES_FULL], 1);
	return 0;
}

/* Forgets mm and returns its space; 0: it had none. */
static __always_inline u32 space_release(u64 mm)
{
	struct mw_space *s = space_of(mm);

	if (!s)
		return 0;
	u32 space = s->space;

	if (__sync_val_compare_and_swap(&s->mm, mm, MW_SLOT_TOMB) != mm)
		return 0;
	__sync_fetch_and_sub(&traced_spaces, 1);
	return space;
}

#endif
