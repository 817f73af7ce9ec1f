/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The slot of the stack table that holds the current task's stack.
 *
 *   chain {4011d6, 4012a0, 4012ff}, WHOLE  ->  hash 0x0beef1...
 *   stack_hash[0x0beef] = that hash            stacks[0x0beef] = {n 3, WHOLE, 4011d6, 4012a0, 4012ff}
 */
#ifndef MEMWHY_STACK_BPF_H
#define MEMWHY_STACK_BPF_H

#include "walk.bpf.h"
#include "snapshot.bpf.h"
#include "store.bpf.h"
#include "trail.bpf.h"

/* The walk by bulk reads, and with notes for a trail; its flags. Not static: verified once, not at each call. */
__noinline u32 bulk_walk(u64 ip, u64 sp, u64 fp, u32 which, bool noting)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	if (!s)
		return 0;
	struct mw_space *space = current_space(bpf_get_current_task_btf());

	walk(true, noting, s, which, space, rule_group(space), ip, sp, fp);
	return s->flags;
}

/* The same of a stack that has not been walked, or whose walk was used for something else since. */
__noinline u32 stack_store(u64 ip, u64 sp, u64 fp, u32 which)
{
	bulk_walk(ip, sp, fp, which, false);
	return walked_store(which, 0);
}

/*
 * The stack of a fault that a snapshot shows. Its callers are only those of faults whose stack holds the same words: a loop that
 * touches page after page. All others with these frames share the incomplete stack. ~0: this is one of them.
 */
__noinline u32 stack_alone(u64 ip, u64 sp, u64 fp, u32 which, u64 hash)
{
	struct mw_counters *c = cpu_counters();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	if (!c || !s)
		return ~0u;
	u32 alone = is_beyond(s, sp) ? 0 : stack_content(which), at = ~0u, flags = s->flags;

	s->alone = alone;
	if (alone) {
		hash = frames_hash(which, flags);
		at = stack_find(hash);
	}
	if (!snapshot_reserve(which, hash, sp))
		return at;
	if (alone && at == ~0u) {
		flags = bulk_walk(ip, sp, fp, which, false);
		s->alone = alone;
		if (s->missing)
			at = store_frames(which, flags, MW_WALK_FRAMES, (stack_mask + 1) / 2, 0);
		c->fault[MW_STACKS_UNREADABLE] += at < MW_ENTRY_STACK_LOST && flags & MW_STACK_UNREADABLE;
	}
	bool stored = at < MW_ENTRY_STACK_LOST;

	send_snapshot(which, ip, sp, fp, stored ? at : MW_ENTRY_STACK_LOST);
	return stored ? at : ~0u;
}

/* A walk found this stack, and no trail did. Not static: verified once. */
__noinline int trail_learn(u64 key, u64 sp, u64 fp, u32 slot, u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct notes *n = bpf_map_lookup_elem(&all_notes, &which);
	struct mw_counters *c = cpu_counters();
	u64 hash = stack_hash[slot & stack_mask];

	if (!s || !n || !c || !trail_wanted(key, sp, hash))
		return 0;
	u32 flags = bulk_walk(key & (MW_RULE_IP - 1), sp, fp, which, true);

	if (n->bad || s->missing || frames_hash(which, flags) != hash)
		return 0;
	trail_make(key, sp, fp, hash, slot, n);
	c->fault[MW_TRAILS_MADE]++;
	return 0;
}

/* Slot of the task's user stack, or MW_ENTRY_STACK_*. task: the current one. c: of this CPU. which: enum scratch_of. */
static __always_inline u32 stack_slot(struct task_struct *task, struct mw_space *space, struct pt_regs *user,
				      struct mw_counters *c, u32 which)
{
	u64 ip = user_ip(user), sp = user_sp(user), fp = user_bp(user);
	u64 group = rule_group(space), key = group | MW_RULE_IP | ip;
	bool trails_too = read_how != MW_READ_BULK && group != MW_NO_GROUP;
	u32 kind = which;

	if (trails_too) {
		u32 known = trail_slot(task, key, sp, fp);

		if (known != ~0u) {
			c->fault[MW_TRAILS_USED]++;
			if (check_trails && frames_hash(which, bulk_walk(ip, sp, fp, which, false)) !=
						stack_hash[known & stack_mask])
				c->fault[MW_TRAILS_WRONG]++;
			return known;
		}
	}
	struct scratch *s = bpf_map_lookup_elem(&scratches, &kind);

	if (!s)
		return MW_ENTRY_STACK_LOST;
	if (read_how == MW_READ_BULK)
		bulk_walk(ip, sp, fp, which, false);
	else
		walk(false, false, s, which, space, group, ip, sp, fp);
	u64 hash = frames_hash(which, s->flags);

	if (s->missing && first_snapshots && !is_in_vain(s->missing)) {
		u32 own = stack_alone(ip, sp, fp, which, hash);

		if (own != ~0u)
			return own;
	}
	u32 found = stack_hot(hash, s);

	if (found == ~0u)
		found = s->missing ? stack_store(ip, sp, fp, which) : walked_store(which, hash);
	/* not of one that was new; also of one that a crowded table has further away: it would be looked for at each fault */
	if (trails_too && !s->missing && !(s->flags & (MW_STACK_CUT | MW_STACK_UNREADABLE)) &&
	    hash != s->absent && stack_hash[found & stack_mask] == hash)
		trail_learn(key, sp, fp, found, which);
	return found;
}

#endif
