/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sizes that the kernel side and the user side must agree on. C11 and C++20; no include but this folder's.
 * The map sizes are defaults: probe/ may change them before load (a tiny ring makes the loss tests).
 */
#ifndef MEMWHY_ABI_LIMITS_H
#define MEMWHY_ABI_LIMITS_H

#define MW_STACK_FRAMES 128u /* return addresses kept of one stack, the faulting ip included */
#define MW_WALK_FRAMES                                                                                       \
	(2 *                                                                                                 \
	 MW_STACK_FRAMES) /* room of a walk: it goes one further than is kept, to see whether there is more */
#define MW_STACK_KEYS                                                                                        \
	(2 * MW_WALK_FRAMES + 4) /* of the hash of a stack: two a frame, two for how it was found, two more */
#define MW_CHUNK_PAGES	   512u	 /* pages of one chunk of the page fault table: 2 MiB of address space */
#define MW_CHUNKS	   16384u  /* chunks in the table: 32 GiB of address space, 64 MiB of memory */
#define MW_STACKS	   131072u /* stack slots, 64 bytes each; at most 2^20 - 2 (20 bits of an entry) */
#define MW_NODES	   131072u /* outer frames of all stacks, 64 bytes for six, shared where they are the same */
#define MW_RULES	   65536u /* unwind rules held at once, 16 bytes each */
#define MW_RULE_BITS	   16
#define MW_RULE_PROBES	   8
#define MW_TRAILS	   2048u
#define MW_TRAIL_WORDS	   64u
#define MW_CODE_RANGES	   16u
#define MW_SNAPSHOT_BYTES  32768u /* of a stack: 150 frames of C++ */
#define MW_SNAPSHOTS	   512u	  /* that wait to be learned from */
#define MW_FIRST_SNAPSHOTS 512u	  /* of a space, before the daemon has read any */
#define MW_SNAPSHOT_MEMORY 4096u  /* addresses that are remembered as sent */
#define MW_LOOKED_AT_BITS  12	  /* addresses that were looked at in vain: that many are remembered */
#define MW_INNER_FRAMES	   6u	  /* of a stack, which stand in its slot */
#define MW_NODE_FRAMES	   6u	  /* of the others, in a node: a line of the cache */
#define MW_STACK_NODES	   (MW_STACK_FRAMES / MW_NODE_FRAMES + 1) /* of one stack, at most */
#define MW_PAIR_FRAMES	   2u /* that are kept of a stack when there is room for no more */
#define MW_PAIR_SHARE                                                                                        \
	8 /* one slot of so many is kept for stacks of these frames alone, for when the others or the nodes are taken */
#define MW_SPACES     4096u	 /* address spaces traced at once */
#define MW_RING_BYTES (4u << 20) /* events that are not state: the mmap family and process life */

/* While others are traced, a space holds no more than this many times what is free of a table. */
#define MW_STACK_SHARE 1
#define MW_NODE_SHARE  1
#define MW_CHUNK_SHARE 2

#define MW_PROBES	32 /* open addressing: stacks, nodes and chunks, slots tried before "full" is counted */
#define MW_SPACE_PROBES 16

#define MW_SLOT_EMPTY 0ull /* free to be claimed by compare-and-swap */
#define MW_SLOT_TOMB  1ull /* the daemon is clearing it: matches nothing, can't be claimed */
#define MW_SLOT_BUSY  2ull /* spaces[] only: claimed, its fields are being written */

/*
 * A slot is found in two ways. stack_hash[] and chunk_key[]: the hot path looks at MW_HOT_PROBES slots, the slow path at all probes.
 * The daemon may free a slot in the middle of a probe chain. A chunk must stand in one place alone: its key is looked for at all
 * probes before the first empty slot is claimed. A stack may stand in two: it is looked for up to the first empty slot, and that is
 * claimed. spaces[]: a look-up ends at the first EMPTY slot (an untraced process pays one load); a space that ends leaves TOMB, which
 * the next claim may take.
 */
#define MW_HOT_PROBES 4

#endif
