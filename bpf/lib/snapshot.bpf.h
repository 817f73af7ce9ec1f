/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A snapshot of a stack on which an address had no rule, for the daemon to learn from (abi/unwind.h). Each address once on
 * each path, and only while the space has tokens: the daemon is slower than a program that runs new code all the time.
 */
#ifndef MEMWHY_SNAPSHOT_BPF_H
#define MEMWHY_SNAPSHOT_BPF_H

#include "rules.bpf.h"

#define BELL_SNAPSHOTS 32u /* so many, and who learns is woken */

/* Deeper than is copied, or behind another stack, which is not: from there on, or that address is never learned. */
static __always_inline bool is_beyond(const struct scratch *s, u64 sp)
{
	bool jumped = s->missing_jumps && s->missing_jumps < WALK_JUMPS;

	return jumped || s->missing_sp - sp > MW_SNAPSHOT_BYTES - PAGE_BYTES;
}

/* Is it in one of the ranges? By the sign of differences, as each branch is one more way for the verifier: no start is negative. */
static __always_inline bool is_code(const struct mw_space_code *code, u64 word)
{
	u64 at = 0;

#pragma unroll
	for (u64 step = MW_CODE_RANGES / 2; step; step /= 2) {
		u64 next = (at + step) & (MW_CODE_RANGES - 1);

		at += (u64)((s64)(code->range[next].start - word - 1) >> 63) & step;
		OPAQUE(at); /* older verifiers lose the bound of what the compiler makes of it */
		at &= MW_CODE_RANGES - 1;
	}
	return word - code->range[at].start < code->range[at].end - code->range[at].start;
}

/* The daemon can learn nothing of it: it costs the walk by frame pointers, and nothing more. */
static __always_inline bool is_in_vain(u64 missing)
{
	return looked_at[MW_LOOKED_AT(missing, chunk_factor)] == missing;
}

/*
 * A number for what a walk may read of the stack from the frame of `missing` on: addresses of the stack, words behind them
 * (that a frame pointer leads to) and addresses of code; not what a loop counts. 0: it cannot be read.
 */
__noinline u32 stack_content(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct mw_space *space = current_space(bpf_get_current_task_btf());

	if (!s || !space || bpf_probe_read_user(s->window, WINDOW_BYTES, (void *)s->missing_sp))
		return 0;
	const struct mw_space_code *code = code_of(space);
	u64 sum = stack_keys[0] ^ s->missing_sp, low = s->missing_sp;
	bool all = !code->ranges || code->described != code->mapped, behind = false;

	if (s->missing_fp - low < MW_SNAPSHOT_BYTES)
		sum ^= s->missing_fp << 16;
	for (u32 i = 0; i < WINDOW_WORDS; i++) {
		u64 word = s->window[i];
		bool here = word - low < MW_SNAPSHOT_BYTES;

		if (all || here || behind || is_code(code, word))
			sum = ((sum ^ word) * HASH_FACTOR + i) ^ sum >> 29;
		behind = here;
	}
	return (u32)(sum >> 32) ?: 1;
}

/* Whether there is a place in the ring for this fault, which then is its own; tokens allow it, and each address once on each path. */
__noinline int snapshot_reserve(u32 which, u64 hash, u64 sp)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct mw_space *space = current_space(bpf_get_current_task_btf());
	struct mw_counters *c = cpu_counters();

	if (!space || !c || !s)
		return 0;
	/* one address met on two ways up: both are wanted */
	u64 way = is_beyond(s, sp) ? s->missing_sp : sp ^ hash;
	u64 asked = s->missing ^ way * HASH_FACTOR;
	u32 home = (asked * HASH_FACTOR) >> 52;
	struct mw_space_code *code = code_of(space);

	if (snapshot_asked[home & (MW_SNAPSHOT_MEMORY - 1)] == asked)
		return 0;
	if ((s32)code->tokens <= 0) {
		c->fault[MW_SNAPSHOTS_LIMITED]++;
		return 0;
	}
	u32 at = __sync_fetch_and_add(&snapshots_taken, 1) & (MW_SNAPSHOTS - 1);
	struct mw_snapshot *snapshot = bpf_map_lookup_elem(&snapshots, &at);

	if (!snapshot)
		return 0;
	if (__sync_val_compare_and_swap(&snapshot->state, MW_SNAPSHOT_FREE, MW_SNAPSHOT_BUSY) !=
	    MW_SNAPSHOT_FREE) {
		c->fault[MW_SNAPSHOTS_LOST]++;
		return 0;
	}
	snapshot_asked[home & (MW_SNAPSHOT_MEMORY - 1)] = asked;
	__sync_fetch_and_add(&code->tokens, -1);
	s->ring = at;
	return 1;
}

/* Copies the stack to the daemon, into the place that was reserved, page by page, until one cannot be read. */
__noinline int send_snapshot(u32 which, u64 ip, u64 sp, u64 fp, u32 stack)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *space = current_space(task);
	struct mw_counters *c = cpu_counters();

	if (!s)
		return 0;
	u32 at = s->ring & (MW_SNAPSHOTS - 1);
	struct mw_snapshot *snapshot = bpf_map_lookup_elem(&snapshots, &at);

	if (!snapshot)
		return 0;
	u64 key = s->missing;

	if (!key || !space || !c) { /* a rule has come since it was reserved */
		__sync_lock_test_and_set(&snapshot->state, MW_SNAPSHOT_FREE);
		return 0;
	}
	if (is_beyond(s, sp)) {
		ip = key & (MW_RULE_IP - 1);
		sp = s->missing_sp;
		fp = s->missing_fp;
		stack = MW_ENTRY_STACK_LOST; /* and not that whole stack */
	}
	snapshot->key = key;
	snapshot->ip = ip;
	snapshot->sp = sp;
	snapshot->fp = fp;
	snapshot->space = space->space;
	snapshot->tgid = task->tgid;
	snapshot->stack = stack;
	snapshot->unwatched = !code_of(space)->ranges;
	snapshot->mapped = code_of(space)->mapped;

	u32 done = 0, absent = 0;

	for (u32 i = 0; i < MW_SNAPSHOT_BYTES / PAGE_BYTES + 1; i++) {
		u64 to = done, va = sp + absent + to;
		u32 bytes = PAGE_BYTES - (va & (PAGE_BYTES - 1));

		/* one register for the bound and for the address: older verifiers link no copies */
		asm volatile("" : "+r"(to));
		if (to > MW_SNAPSHOT_BYTES - PAGE_BYTES)
			break;
		if (!bpf_probe_read_user(snapshot->data + to, bytes & (2 * PAGE_BYTES - 1), (void *)va))
			done += bytes;
		else if (!done)
			absent +=
			    bytes; /* one of them is being brought in: the frame is new, and its caller's is above */
		else
			break;
	}
	bool urgent = snapshot->unwatched || !(at & (BELL_SNAPSHOTS - 1));

	snapshot->absent = absent;
	snapshot->bytes = done;
	__sync_lock_test_and_set(&snapshot->state, MW_SNAPSHOT_READY);
	c->fault[MW_SNAPSHOTS_SENT]++;
	if (urgent)
		bpf_ringbuf_output(&bell, &key, sizeof(key), BPF_RB_FORCE_WAKEUP);
	return 0;
}

#endif
