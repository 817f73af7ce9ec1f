/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The whole frame-pointer chain of the current task, and the slot of the stack table that holds it.
 *
 *   ip 0x4011d6, sp ..e3c0, bp ..e3d0  ->  [e3d0] = e410, 0x4012a0   [e410] = e450, 0x4012ff   [e450] = 0, ...
 *   chain {4011d6, 4012a0, 4012ff}     ->  hash 0x0beef1...
 *   stack_hash[0x0beef] = that hash        stacks[0x0beef] = {n 3, 4011d6, 4012a0, 4012ff}
 *
 * Two stacks are one when their hashes are: a target must not be able to choose frames for which that goes wrong. So the
 * hash is a universal one, with keys that are drawn for each load: halves of each frame plus a key each, multiplied, and
 * summed up. Each sum is 64 bits wide, and two different chains agree in its upper half with a probability of 2^-31
 * whatever they are, over the choice of the keys; two sums whose keys are independent make a hash of 2^-60. (The multilinear
 * family of Lemire and Kaser, the second sum with shifted keys as in UMAC.) It needs no order among the frames: the
 * products do not wait for each other.
 *
 * The Go runtime works on the system stack of its thread for a goroutine that waits, and the chain leads back to it: in a
 * Go program one jump to another stack is followed. Elsewhere it would be a frame pointer that is none.
 *
 *   7f12'e380 memclr  ->  7f12'e3f0 mheap.alloc.func1  ->  c0'001a'2e60 mheap.alloc  ->  c0'001a'2ee0 main.load ...
 *
 * Two loops, windows and the frames in one; read.bpf.h knows where a frame comes from. Every fault walks the whole
 * chain: a memo of a part of it would merge stacks. Frames are kept raw; what is no code is dropped in userspace.
 */
#ifndef MEMWHY_STACK_BPF_H
#define MEMWHY_STACK_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"
#include "filter.bpf.h"
#include "read.bpf.h"
#include "share.bpf.h"

struct chain {
	u64 hash; /* of ip and every return address; never EMPTY or TOMB. Nothing when the frames are kept: frames_hash() */
	u32 n;
	u32 flags;
};

struct sums {
	u64 high, low; /* halves of the hash to be */
};

/* keys: of this frame's place in the chain */
static __always_inline void add_frame(struct sums *sums, const volatile u64 *keys, u64 frame)
{
	u64 a = (u32)frame, b = frame >> 32;

	sums->high += (a + keys[0]) * (b + keys[1]);
	sums->low += (a + keys[2]) * (b + keys[3]);
}

/*
 * Both steps can be undone, so no two hashes become one. Without them the stacks of neighbouring call sites would stand at
 * equal distances in the table, and with some keys all in the same place of it.
 */
static __always_inline u64 hash_of(struct sums sums)
{
	u64 hash = (sums.high >> 32 << 32) | sums.low >> 32;

	hash ^= hash >> 31;
	hash *= 0x9e3779b97f4a7c15;
	return hash | 2;
}

/*
 * how, and whether to keep the frames (in s->frames; s may be NULL when neither needs it) or to hash them, are constants at
 * each call. Not both: old verifiers look at each frame in each way in which the chain can get there.
 * No function is called in the inner loop (but the cast of MW_READ_WORDS), so that it runs in registers. Addresses are
 * compared by their difference: of the difference the verifier learns something in each round, of the address itself
 * nothing, and all rounds look alike.
 */
static __always_inline struct chain walk(enum mw_read_how how, bool keep, struct scratch *s, u32 which,
					 u64 pgd, u64 ip, u64 sp, u64 bp, bool jump)
{
	struct chain chain = {.n = 1};
	struct window w = {};
	struct sums sums = {};
	u32 i = 1;

	sp &= ~7ull;
	if (keep)
		s->frames[0] = ip;
	else
		add_frame(&sums, stack_keys, ip);
	/* unaligned, below sp, or far above: the chain ends, and nothing is read */
	while (!((bp - sp) & ~(STACK_REACH - 8))) {
		if (i == MW_STACK_FRAMES) {
			chain.flags = MW_STACK_CUT;
			break;
		}
		if (!move_window(&w, how, pgd, which, bp)) {
			chain.flags = MW_STACK_UNREADABLE;
			break;
		}
		u64 step;

		do {
			struct frame f = frame_in(&w, how, s, bp);

			if (f.ret < PAGE_BYTES)
				goto end;
			if (keep)
				s->frames[i] = f.ret;
			else
				add_frame(&sums, &stack_keys[2 * i], f.ret);
			i++;
			step = f.next - bp;
			bp = f.next;
		} while (i < MW_STACK_FRAMES && in_window(&w, step));
		if ((s64)step <= 0 || step > STACK_REACH) {
			/* the outermost frame, a chain that leads astray, or C code that has no frame pointers */
			if (!jump || i < 3 || bp < PAGE_BYTES)
				goto end;
			jump = false;
			sp = bp;
		}
	}
end:
	chain.hash = hash_of(sums);
	chain.n = i;
	return chain;
}

/* The hash of the n frames that were kept. Not static: verified once. */
__noinline u64 frames_hash(u32 which, u32 n)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct sums sums = {};

	if (!s)
		return ~0ull;
	for (u32 i = 0; i < MW_STACK_FRAMES && i < n; i++)
		add_frame(&sums, &stack_keys[2 * i], s->frames[i]);
	return hash_of(sums);
}

/* The hash of a chain by the bulk read. Not static: verified once. */
__noinline u64 bulk_hash(u32 which, u64 ip, u64 sp, u64 bp, bool jump)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	if (!s || read_how != MW_READ_BULK)
		return ~0ull;
	return frames_hash(which, walk(MW_READ_BULK, true, s, which, 0, ip, sp, bp, jump).n);
}

/*
 * Claims a slot for a stack whose frames are in scratch, and returns it. Neither this nor what calls it is static: each is
 * verified once, and not for each way in which a walk can end.
 */
__noinline u32 stack_claim(u64 hash, u32 n, u32 flags, u32 which)
{
	struct mw_counters *c = cpu_counters();
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &which);
	u32 slot = current_slot();

	if (!c || !scratch || slot >= MW_SPACES)
		return MW_ENTRY_STACK_LOST;
	struct mw_use *use = &space_use[slot];

	if (!share_allows(MW_STACK_SHARE, use->stacks, all_use.stacks, stack_mask + 1)) {
		__sync_fetch_and_add(&use->stacks_refused, 1);
		c->fault[MW_STACKS_LOST]++;
		return MW_ENTRY_STACK_LOST;
	}
	for (u32 i = 0; i < MW_PROBES; i++) {
		u32 at = probe_at(hash, i) & stack_mask;
		u64 old = __sync_val_compare_and_swap(&stack_hash[at], MW_SLOT_EMPTY, hash);

		if (old == hash)
			return at;
		if (old != MW_SLOT_EMPTY)
			continue;

		struct mw_stack *s = bpf_map_lookup_elem(&stacks, &at);

		if (!s)
			break;
		__sync_fetch_and_add(&use->stacks, 1);
		__sync_fetch_and_add(&all_use.stacks, 1);
		stack_owner[at & (MW_STACKS - 1)] = spaces[slot].space;
		__builtin_memcpy(s->ip, scratch->frames, sizeof(s->ip));
		s->flags = flags;
		__sync_lock_test_and_set(&s->n, n);
		c->fault[MW_STACKS_NEW]++;
		return at;
	}
	c->fault[MW_STACKS_LOST]++;
	return MW_ENTRY_STACK_LOST;
}

/* The slot that holds this hash; ~0: none does. */
__noinline u32 stack_find(u64 hash)
{
	for (u32 i = 0; i < MW_PROBES; i++) {
		u32 at = probe_at(hash, i) & stack_mask;

		if (stack_hash[at] == hash)
			return at;
	}
	return ~0u;
}

/*
 * First time this stack is met (or its slot is being freed): walks again, keeping the frames, and claims a
 * slot for what this second walk saw: frames and hash always belong together. By the bulk read wherever the first
 * one read directly too: it is rare, and cheapest to verify. Not static: verified once, not at each call.
 */
__noinline u32 stack_store(u64 ip, u64 sp, u64 bp, u32 which, bool jump)
{
	struct mw_counters *c = cpu_counters();
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &which);

	if (!c || !scratch)
		return MW_ENTRY_STACK_LOST;
	struct chain chain = walk(MW_READ_BULK, true, scratch, which, 0, ip, sp, bp, jump);

	if (chain.flags & MW_STACK_UNREADABLE)
		c->fault[MW_STACKS_UNREADABLE]++;
	u64 hash = frames_hash(which, chain.n);
	u32 at = stack_find(hash);

	return at != ~0u ? at : stack_claim(hash, chain.n, chain.flags, which);
}

/* Slot of the current task's user stack, or MW_ENTRY_STACK_*. which: enum scratch_of. */
static __always_inline u32 stack_slot(struct task_struct *task, struct pt_regs *user, u32 which, bool jump)
{
	u64 ip = user_ip(user), sp = user_sp(user), bp = user_bp(user);
	u64 pgd = number(task->mm->pgd);
	u64 hash =
	    read_how == MW_READ_MEMORY	? walk(MW_READ_MEMORY, false, NULL, which, pgd, ip, sp, bp, jump).hash
	    : read_how == MW_READ_WORDS ? walk(MW_READ_WORDS, false, NULL, which, pgd, ip, sp, bp, jump).hash
					: bulk_hash(which, ip, sp, bp, jump);
	u32 home = slot_home(hash);

	for (u32 i = 0; i < MW_HOT_PROBES; i++)
		if (stack_hash[(home + i) & stack_mask] == hash)
			return (home + i) & stack_mask;
	return stack_store(ip, sp, bp, which, jump);
}

#endif
