/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Slots of the stack table: the one that holds a stack, or a new one for the frames that a walk has left in scratch. A slot
 * is a line of the cache; hashes stand apart, many in a line: what is cold costs more than what is computed.
 *
 *   chain {4011d6, 4012a0, 4012ff}, WHOLE  ->  hash 0x0beef1...   looked for at 0x0beef, 0x0bef0, ..
 *   stack_hash[0x0beef] = 0x0beef1...   stacks[0x0beef] = {n 3, WHOLE, NO_NODE, space 3, 4011d6, 4012a0, 4012ff}
 */
#ifndef MEMWHY_STORE_BPF_H
#define MEMWHY_STORE_BPF_H

#include "nodes.bpf.h"

/* The slot of this hash where most are found; ~0: it may be further away, if it is not noted as absent. */
static __always_inline u32 stack_hot(u64 hash, struct scratch *scratch)
{
	for (u32 i = 0; i < MW_HOT_PROBES; i++) {
		u32 at = (slot_home(hash) + i) & stack_mask;
		u64 there = stack_hash[at];

		if (there == hash)
			return at;
		if (there == MW_SLOT_EMPTY) {
			scratch->absent = hash;
			break;
		}
	}
	return ~0u;
}

/* The slot that holds this hash; ~0: none does before the first free one. One further away is stored a second time. */
__noinline u32 stack_find(u64 hash)
{
	for (u32 i = 0; i < MW_PROBES; i++) {
		u32 at = probe_at(hash, i) & stack_mask;
		u64 there = stack_hash[at];

		if (there == MW_SLOT_EMPTY)
			break;
		if (there == hash)
			return at;
	}
	return ~0u;
}

/* Puts the stack in scratch into the first free slot, and returns that; or another that has it by now. */
static __always_inline u32 stack_claim(u64 hash, u32 flags, u32 outer, struct scratch *scratch,
				       struct mw_use *use, struct mw_counters *c)
{
	for (u32 i = 0; i < MW_PROBES; i++) {
		u32 at = probe_at(hash, i) & stack_mask;
		u64 there = stack_hash[at];

		if (there == MW_SLOT_EMPTY)
			there = __sync_val_compare_and_swap(&stack_hash[at], MW_SLOT_EMPTY, hash);
		if (there == hash)
			return at;
		if (there != MW_SLOT_EMPTY)
			continue;
		/* what locks the bus before what is written to memory that is cold: that need not be waited for */
		__sync_fetch_and_add(&use->stacks, 1);
		__sync_fetch_and_add(&all_use.stacks, 1);
		struct mw_stack *s = bpf_map_lookup_elem(&stacks, &at);

		if (!s)
			break;
		__builtin_memcpy(s->ip, scratch->frames, sizeof(s->ip)); /* the first of them */
		s->flags = flags;
		s->outer = outer;
		s->space = spaces[scratch->slot & (MW_SPACES - 1)].space;
		PUBLISH(&s->n, scratch->n);
		c->fault[MW_STACKS_NEW]++;
		return at;
	}
	return MW_ENTRY_STACK_LOST;
}

/*
 * The slot of the first frames of the stack in scratch, claimed when there are fewer than `slots`. hash: 0 if not known yet.
 * Neither this nor what calls it is static: each is verified once, and not for each way in which a walk can end.
 */
__noinline u32 store_frames(u32 which, u32 flags, u32 frames, u32 slots, u64 hash)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct mw_counters *c = cpu_counters();

	if (!s || !c || s->slot >= MW_SPACES)
		return MW_ENTRY_STACK_LOST;
	if (s->n > frames) {
		s->n = frames;
		flags = (flags & ~MW_STACK_WHOLE) | MW_STACK_CUT;
		hash = 0;
	}
	if (!hash)
		hash = frames_hash(which, flags);
	u32 at = hash == s->absent ? ~0u : stack_find(hash);
	struct mw_use *use = &space_use[s->slot & (MW_SPACES - 1)];

	if (at != ~0u)
		return at;
	if (all_use.stacks >= slots || !share_allows(MW_STACK_SHARE, use->stacks, all_use.stacks, slots)) {
		if (slots > stack_mask && traced_spaces > 1)
			__sync_fetch_and_add(&use->stacks_refused, 1);
		return MW_ENTRY_STACK_LOST;
	}
	u32 outer = outer_node(which);

	if (outer == MW_NODE_FULL)
		return MW_ENTRY_STACK_LOST;
	return stack_claim(hash, flags, outer, s, use, c);
}

/*
 * First time this stack is met: claims a slot for the frames that the walk left in scratch. When slots or nodes are taken up
 * to what is kept, it is its function and direct caller. hash: of these frames; 0 if not known yet.
 */
__noinline u32 walked_store(u32 which, u64 hash)
{
	struct mw_counters *c = cpu_counters();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 slots = stack_mask + 1;

	if (!c || !s)
		return MW_ENTRY_STACK_LOST;
	u32 flags = s->flags;

	if (flags & MW_STACK_UNREADABLE)
		c->fault[MW_STACKS_UNREADABLE]++;
	u32 at = store_frames(which, flags, MW_WALK_FRAMES, slots - slots / MW_PAIR_SHARE, hash);

	if (at == MW_ENTRY_STACK_LOST) {
		at = store_frames(which, flags, MW_PAIR_FRAMES, slots, 0);
		c->fault[at == MW_ENTRY_STACK_LOST ? MW_STACKS_LOST : MW_STACKS_PAIRED]++;
	}
	return at;
}

#endif
