/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which chunk of the page fault table holds a page: open addressing by space and 2 MiB of address.
 *
 *   space 3, 0x7f12'3460'5000  ->  key 3 | 0x3f891'a30  ->  slot 77, or the next free one
 */
#ifndef MEMWHY_CHUNK_BPF_H
#define MEMWHY_CHUNK_BPF_H

#include "maps.bpf.h"
#include "share.bpf.h"

#define CHUNK_SHIFT    21 /* address bits within a chunk */
#define CHUNK_KEY_BITS 36 /* of the chunk's number within its space; the space is above */

/* Claims a chunk: the key is looked for at all probes before the first empty slot is taken. ~0: the table is
 * full. */
__noinline u32 chunk_claim(u64 key)
{
	u64 hash = key * chunk_factor;
	struct mw_counters *c = cpu_counters();

	if (!c)
		return ~0u;
	for (u32 i = 0; i < MW_PROBES; i++)
		if (chunk_key[probe_at(hash, i) & chunk_mask] == key)
			return probe_at(hash, i) & chunk_mask;
	u32 slot = current_slot();

	if (slot >= MW_SPACES)
		return ~0u;
	struct mw_use *use = &space_use[slot];

	if (!share_allows(MW_CHUNK_SHARE, use->chunks, all_use.chunks, chunk_mask + 1)) {
		__sync_fetch_and_add(&use->chunks_refused, 1);
		c->fault[MW_FAULTS_TABLE_FULL]++;
		return ~0u;
	}
	for (u32 i = 0; i < MW_PROBES; i++) {
		u32 at = probe_at(hash, i) & chunk_mask;
		u64 old = __sync_val_compare_and_swap(&chunk_key[at], MW_SLOT_EMPTY, key);

		if (old == MW_SLOT_EMPTY) {
			c->fault[MW_CHUNKS_NEW]++;
			__sync_fetch_and_add(&use->chunks, 1);
			__sync_fetch_and_add(&all_use.chunks, 1);
			return at;
		}
		if (old == key)
			return at;
	}
	c->fault[MW_FAULTS_TABLE_FULL]++;
	return ~0u;
}

static __always_inline u32 chunk_of(u64 key)
{
	u32 home = slot_home(key * chunk_factor);

	for (u32 i = 0; i < MW_HOT_PROBES; i++)
		if (chunk_key[(home + i) & chunk_mask] == key)
			return (home + i) & chunk_mask;
	return chunk_claim(key);
}

#endif
