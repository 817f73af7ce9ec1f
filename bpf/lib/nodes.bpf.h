/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The outer frames of stacks (abi/table.h): a node for each distinct run of up to six frames with the same callers, counted
 * from the outermost frame on. Most stacks of a program differ only in their innermost frames, so a few nodes serve many
 * stacks.
 *
 *   memset .. parse <- handle <- serve <- work <- pool <- run <- go <- main <- _start
 *                    (NO_NODE, _start main go run pool work) -> 0x12cd5   (0x12cd5, serve handle) -> 0x3f00
 *
 * Frames and callers are compared, so a hash that two nodes share only costs a place. Two nodes may hold the same.
 * The daemon frees nodes that no stack leads to any more, as it frees slots of stacks: unnamed twice, TOMB, EMPTY.
 */
#ifndef MEMWHY_NODES_BPF_H
#define MEMWHY_NODES_BPF_H

#include "hash.bpf.h"
#include "share.bpf.h"

/* 0 when these are the outermost of the `left` frames in scratch, with this caller. */
static __always_inline u64 node_differs(const struct mw_node *node, const struct scratch *s, u64 left,
					u32 caller)
{
	u64 differ = node->caller ^ caller;

#pragma unroll
	for (u32 i = 0; i < MW_NODE_FRAMES; i++)
		differ |= node->frames[i] ^ outer_frame(s, left - 1 - i);
	return differ;
}

/* May one more be claimed for the space in this slot? */
static __always_inline bool node_allowed(const struct mw_use *use)
{
	return all_use.nodes < MW_NODES - MW_NODES / MW_PAIR_SHARE &&
	       share_allows(MW_NODE_SHARE, use->nodes, all_use.nodes, MW_NODES);
}

/* The node of these frames, claimed when there is none yet; MW_NODE_FULL: there is no room. Not static: verified once. */
__noinline u32 node_of(u32 which, u64 left, u32 caller, u64 hash)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	if (!s || s->slot >= MW_SPACES)
		return MW_NODE_FULL;
	struct mw_use *use = &space_use[s->slot & (MW_SPACES - 1)];

	for (u32 i = 0; i < MW_PROBES; i++) {
		u32 at = probe_at(hash, i) & (MW_NODES - 1);
		struct mw_node *node = bpf_map_lookup_elem(&nodes, &at);

		if (!node)
			break;
		if (node->hash == hash && !node_differs(node, s, left, caller))
			return at;
		if (node->hash != MW_SLOT_EMPTY)
			continue;
		if (!node_allowed(use))
			break;
		if (__sync_val_compare_and_swap(&node->hash, MW_SLOT_EMPTY, hash) != MW_SLOT_EMPTY)
			continue;
		__sync_fetch_and_add(&use->nodes, 1);
		__sync_fetch_and_add(&all_use.nodes, 1);
		node->caller = caller;
		node->space = spaces[s->slot & (MW_SPACES - 1)].space;
#pragma unroll
		for (u32 k = 1; k < MW_NODE_FRAMES; k++)
			node->frames[k] = outer_frame(s, left - 1 - k);
		PUBLISH(&node->frames[0], outer_frame(s, left - 1));
		return at;
	}
	return MW_NODE_FULL;
}

/* The node of the frames of the stack in scratch that its slot has no room for, after those of all that called them. It was
 * hashed last. */
__noinline u32 outer_node(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 caller = MW_NO_NODE;

	if (!s)
		return MW_NODE_FULL;
	u64 left = s->n;

	for (u32 i = 0; i < MW_STACK_NODES; i++) {
		if ((s64)left <= MW_INNER_FRAMES || caller == MW_NODE_FULL)
			break;
		/* of a sum, the upper half is what nobody can choose */
		u64 hash = (s->sums[i] >> 32) * HASH_FACTOR | 2;
		u32 home = slot_home(hash) & (MW_NODES - 1);
		const struct mw_node *there = bpf_map_lookup_elem(&nodes, &home);

		/* most are known, and in their first place: no call for them */
		caller = there && there->hash == hash && !node_differs(there, s, left, caller)
			     ? home
			     : node_of(which, left, caller, hash);
		left -= MW_NODE_FRAMES;
		OPAQUE(left);
		OPAQUE(caller);
	}
	return caller;
}

#endif
