/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The frames of a stack, and their hash.
 *
 * Two stacks with equal hashes are taken for one, so a target must not be able to choose frames that collide. The hash is
 * therefore a universal one, with keys drawn at each load: the halves of each frame, each plus a key, are multiplied, and the
 * products summed. Each sum is 64 bits wide, and any two different chains agree in its upper half with a probability of
 * 2^-31 over the choice of the keys; two sums with independent keys make a hash of 2^-60. (The multilinear family of
 * Lemire and Kaser, the second sum with shifted keys as in UMAC.) The products do not wait for each other. How a stack was
 * found is a part of its hash.
 */
#ifndef MEMWHY_HASH_BPF_H
#define MEMWHY_HASH_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"

struct sums {
	u64 high, low; /* halves of the hash to be */
};

/* The product of both halves of a frame, each with its key. */
static __always_inline u64 keyed(const volatile u64 *keys, u64 frame)
{
	return ((u32)frame + keys[0]) * ((frame >> 32) + keys[1]);
}

/* keys: of this frame's place in the chain */
static __always_inline void add_frame(struct sums *sums, const volatile u64 *keys, u64 frame)
{
	sums->high += keyed(keys, frame);
	sums->low += keyed(keys + 2, frame);
}

/*
 * Both steps can be undone, so no two hashes become one. Without them the stacks of neighbouring call sites would be at
 * equal distances in the table, and with some keys all in the same place of it.
 */
static __always_inline u64 hash_of(struct sums sums)
{
	u64 hash = (sums.high >> 32 << 32) | sums.low >> 32;

	hash ^= hash >> 31;
	hash *= HASH_FACTOR;
	return hash | 2;
}

/* The next frame of the chain. n is a number that the verifier knows nothing of: all rounds look alike to it. */
static __always_inline void next_frame(struct scratch *s, u64 *n, u64 ret)
{
	u64 i = *n;

	OPAQUE(i); /* or the compiler leaves the mask out, by a bound that older verifiers forget */
	s->frames[i & (MW_WALK_FRAMES - 1)] = ret;
	i = *n + 1;
	OPAQUE(i);
	*n = i;
}

/* One of the frames that are in nodes; 0 in place of one that is not. A branch would double the states that the verifier visits. */
static __always_inline u64 outer_frame(const struct scratch *s, u64 at)
{
	u64 none = (s64)(at - MW_INNER_FRAMES) >> 63;

	OPAQUE(at);
	OPAQUE(none);
	return s->frames[at & (MW_WALK_FRAMES - 1)] & ~none;
}

/*
 * The hash of the frames in scratch: of those in nodes, the outermost first, and then of the innermost. Thus the sums on the way
 * are hashes of the nodes. Not static: verified once. Not in the walk: its registers are few.
 */
__noinline u64 frames_hash(u32 which, u32 flags)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct sums sums = {};

	if (!s)
		return ~0ull;
	u64 n = s->n, left = n;

	for (u32 i = 0; i < MW_STACK_NODES && (s64)left > MW_INNER_FRAMES; i++) {
		const volatile u64 *keys = &stack_keys[2 * MW_NODE_FRAMES * i];

		/* a full one, as most are, needs no masks */
		if ((s64)left >= MW_INNER_FRAMES + MW_NODE_FRAMES) {
			u64 at = left - MW_NODE_FRAMES;

			OPAQUE(at);
			const u64 *frames = &s->frames[at & (MW_WALK_FRAMES - 1)];
#pragma unroll
			for (u32 k = 0; k < MW_NODE_FRAMES; k++)
				add_frame(&sums, keys + 2 * k, frames[MW_NODE_FRAMES - 1 - k]);
		} else {
#pragma unroll
			for (u32 k = 0; k < MW_NODE_FRAMES; k++)
				add_frame(&sums, keys + 2 * k, outer_frame(s, left - 1 - k));
		}
		s->sums[i] = sums.high;
		left -= MW_NODE_FRAMES;
		OPAQUE(left);
	}
#pragma unroll
	for (u32 k = 0; k < MW_INNER_FRAMES; k++) {
		u64 none = (s64)(n - 1 - k) >> 63; /* what is there is of another walk */

		OPAQUE(none);
		add_frame(&sums, &stack_keys[2 * (MW_WALK_FRAMES - MW_INNER_FRAMES + k)],
			  s->frames[k] & ~none);
	}
	add_frame(&sums, &stack_keys[2 * MW_WALK_FRAMES], (u64)s->alone << 32 | flags);
	return hash_of(sums);
}

#endif
