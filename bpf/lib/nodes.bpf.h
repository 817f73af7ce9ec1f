/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The outer frames of stacks (abi/table.h): a node for each distinct chain of callers, found by the hash of its frame and of
 * its caller's node. Most stacks of a program differ only in their innermost frames, so a few nodes serve many stacks.
 *
 *   main <- parse <- load <- memset      (NO_NODE, _start) -> 0x12cd5   (0x12cd5, main) -> 0x3f00   (0x3f00, parse) -> 0x7001
 *
 * The daemon frees nodes that no stack leads to any more, as it frees slots of stacks: unnamed twice, TOMB, EMPTY.
 */
#ifndef MEMWHY_NODES_BPF_H
#define MEMWHY_NODES_BPF_H

#include "hash.bpf.h"
#include "share.bpf.h"

static __always_inline u64 node_hash(u32 caller, u64 frame)
{
	struct sums sums = {};

	add_frame(&sums, &stack_keys[0], frame);
	add_frame(&sums, &stack_keys[2], caller);
	return hash_of(sums, 0, 0);
}

/* The node of this frame, claimed when there is none yet; MW_NODE_FULL: there is no room. Not static: verified once. */
__noinline u32 node_of(u32 caller, u64 frame, u32 slot)
{
	if (slot >= MW_SPACES)
		return MW_NODE_FULL;
	struct mw_use *use = &space_use[slot];
	u64 hash = node_hash(caller, frame);

	for (u32 i = 0; i < MW_PROBES; i++) {
		u32 at = probe_at(hash, i) & (MW_NODES - 1);
		struct mw_node *node = bpf_map_lookup_elem(&nodes, &at);

		if (!node)
			break;
		u64 old = node->hash;

		if (old == hash)
			return at;
		if (old != MW_SLOT_EMPTY)
			continue;
		if (all_use.nodes >= MW_NODES - MW_NODES / MW_PAIR_SHARE ||
		    !share_allows(MW_NODE_SHARE, use->nodes, all_use.nodes, MW_NODES))
			break;
		old = __sync_val_compare_and_swap(&node->hash, MW_SLOT_EMPTY, hash);
		if (old == hash)
			return at;
		if (old != MW_SLOT_EMPTY)
			continue;
		__sync_fetch_and_add(&use->nodes, 1);
		__sync_fetch_and_add(&all_use.nodes, 1);
		node->caller = caller;
		node->space = spaces[slot].space;
		__sync_lock_test_and_set(&node->frame, frame);
		return at;
	}
	return MW_NODE_FULL;
}

/* The node of the third frame of the stack in scratch, after those of all that called it. */
__noinline u32 outer_node(u32 which, u32 slot)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 node = MW_NO_NODE;

	if (!s)
		return MW_NODE_FULL;
	u64 n = s->n;

	for (u32 i = 0; i < MW_STACK_FRAMES && node != MW_NODE_FULL; i++) {
		u64 at = n - 1 - i;

		if (i + MW_INNER_FRAMES >= n)
			break;
		OPAQUE(at);
		u64 frame = s->frames[at & (MW_WALK_FRAMES - 1)], hash = node_hash(node, frame);
		u32 home = slot_home(hash) & (MW_NODES - 1);
		struct mw_node *there = bpf_map_lookup_elem(&nodes, &home);

		/* most are known, and in their first place: no call for them */
		node = there && there->hash == hash ? home : node_of(node, frame, slot);
		OPAQUE(node);
	}
	return node;
}

#endif
