/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * No space may use up a table that others need: while several are traced, a space may hold at most once
 * (stacks) or twice (chunks) what is still free of it. Checked only when a slot is to be claimed. The daemon counts what is
 * given back (probe/shares.h).
 *
 *   one that takes all it can get   half of the stacks        the others   what is left, as long as they hold less
 */
#ifndef MEMWHY_SHARE_BPF_H
#define MEMWHY_SHARE_BPF_H

#include "maps.bpf.h"
#include "filter.bpf.h"

/* Slot of the current task's space; MW_SPACES and more: it is not traced. Not static: verified once, not at each call. */
__noinline u32 current_slot(void)
{
	return space_index(number(bpf_get_current_task_btf()->mm));
}

/* May one more be claimed of a table with so many slots? */
static __always_inline bool share_allows(u32 share, u32 held, u32 all, u32 slots)
{
	return traced_spaces <= 1 || (all < slots && held <= share * (slots - all));
}

/*
 * Where a hash may be: around the place of its upper bits, and when all there is taken, around that of its middle ones.
 * A table that is two thirds full has long runs of taken slots; both are in one for one hash in a thousand.
 */
static __always_inline u32 probe_at(u64 hash, u32 i)
{
	return i < MW_PROBES / 2 ? slot_home(hash) + i : (u32)(hash >> 16) + i;
}

#endif
