/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The whole stack of the current task, by rules (rules.bpf.h), and by frame pointers where there are none: frames, and how
 * certain they are.
 *
 *   ip 7f12'3461 memset   rule STACK 8         [sp]      = 5555'1234, a return address into load
 *   load                  rule STACK 48        [cfa - 8] = 5555'1300, into main
 *   main                  rule FRAME 16 saved 2 ...
 *   _start                rule END             -> {memset, load, main, _start}, WHOLE
 *
 * The Go runtime may work on its thread's system stack on behalf of a goroutine, and the chain leads back to that: in a Go
 * program a few jumps to another stack are followed. Elsewhere such a frame pointer is not one.
 *
 *   7f12'e380 memclr  ->  7f12'e3f0 mheap.alloc.func1  ->  c0'001a'2e60 mheap.alloc  ->  c0'001a'2ee0 main.load ...
 *
 * Every fault walks the whole chain: remembering a part of it would merge stacks.
 */
#ifndef MEMWHY_WALK_BPF_H
#define MEMWHY_WALK_BPF_H

#include "pointers.bpf.h"
#include "rules.bpf.h"

/*
 * Frames, and windows among them, of one leg of the walk, which is a function that the verifier looks at once. In a loop it
 * visits each round and each way through it, and with many rounds forgets which it has seen.
 */
#define LEG_STEPS 6u
#define LEGS	  48u

/* What the next leg, or the function that does what is rare, goes on with. */
static __always_inline void leave_frame(struct scratch *s, u64 sp, u64 fp, u64 key, u64 at, u64 before,
					u64 cfa, u64 base)
{
	s->sp = sp;
	s->fp = fp;
	s->key = key;
	s->at = at;
	s->before = before;
	s->cfa = cfa;
	s->base = base;
}

/*
 * One leg by rules. In and out: scratch (the frames in s->frames, their number in s->n). How to read is a constant. The inner
 * loop calls nothing, but for notes, and touches only its window; what is odd about a frame is left to the outer one. Returns
 * whether the walk is over. Longer than 80 lines: two loops that share their registers.
 */
static __always_inline u32 leg(enum mw_read_how how, struct scratch *s, u32 which)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct window w = {s->base, s->room, s->delta, NULL};
	u64 pgd = number(task->mm->pgd), sp = s->sp, fp = s->fp, key = s->key, n = s->n, at = s->at,
	    before = s->before, cfa = s->cfa, ret;
	u64 group = key & ~(2 * MW_RULE_IP - 1), frames_from = s->frames_from, frames_bytes = s->frames_bytes,
	    limit = s->limit;
	u32 steps = 0, rule, saved8, over = 1;

	if (how == MW_READ_MEMORY)
		w.memory = KERNEL_MEMORY(w.delta);
	while (steps < LEG_STEPS) {
		/* The page of sp may be the one that is being brought in: of the first frame it is not needed, but the one of
		 * the CFA, which the rule will give. */
		if (!in_window(&w, cfa - 8) && !window_at(&w, how, pgd, which, cfa - 8)) {
			w = no_window(how);
			if (sp != s->low) {
				s->flags |= MW_STACK_UNREADABLE;
				goto end;
			}
		}
		do {
			/* What the verifier learned of these on one way here and not on another makes states of ways. */
			OPAQUE(key);
			OPAQUE(at);
			OPAQUE(before);
			OPAQUE(sp);
			OPAQUE(fp);
			OPAQUE(cfa);
			steps++;
			at &= RULE_MASK;
			if (key - frames_from < frames_bytes) {
				/* Go's own code, or everything where there are no rules: none is looked for */
				rule = MW_RULE_POINTER;
			} else if (RULE(at)->key == key) {
				rule = RULE(at)->rule;
				before = at;
				at = RULE(at)->next;
			} else {
				at = rule_home(key);
				rule = 0;
				if (RULE(at)->key == key) {
					rule = RULE(at)->rule;
					RULE(before)->next = at;
					before = at;
					at = RULE(at)->next;
				}
			}
			cfa = sp;
			if ((rule & MW_RULE_KIND) != MW_RULE_STACK) {
				if ((rule & MW_RULE_KIND) != MW_RULE_FRAME || (fp - sp) & ~(STACK_REACH - 8))
					break;
				cfa = fp;
			}
			cfa += rule >> 14;
			saved8 = rule & MW_RULE_SAVED8;
			if (!in_window(&w, cfa - 8)) {
				if ((cfa & (PAGE_BYTES - 1)) < 64)
					break; /* its saved registers may be on the page below */
				at = before;
				goto next_window; /* and the same frame again */
			}
			if (saved8 && !in_window(&w, cfa - saved8))
				break;
			ret = word_in(&w, how, s, cfa - 8);
			if (how == MW_READ_BULK && s->noting)
				note_word(which, cfa - 8, ret, (rule & MW_RULE_KIND) == MW_RULE_FRAME);
			if (ret - PAGE_BYTES >= limit - PAGE_BYTES) {
				s->flags |= end_by(ret);
				goto end;
			}
			if (saved8)
				fp = word_in(&w, how, s, cfa - saved8);
			if (how == MW_READ_BULK && saved8 && s->noting)
				note_saved_fp(which, cfa - saved8, fp);
			sp = cfa;
			key = group | ret;
			next_frame(s, &n, ret);
			if (how != MW_READ_BULK && key - frames_from < frames_bytes)
				steps = LEG_STEPS; /* the next leg begins with those */
		} while (n <= MW_STACK_FRAMES && steps < LEG_STEPS);
		if (n > MW_STACK_FRAMES || steps >= LEG_STEPS)
			break;
		leave_frame(s, sp, fp, key, at, before, cfa, w.start);
		s->rule = rule;
		u32 go_on = odd_frame(which);

		if (s->flags & MW_STACK_DOUBT && !s->certain)
			s->certain = n;
		if (go_on == WALK_OVER)
			goto end;
		if (go_on == WALK_MISSING) {
			group = MW_NO_GROUP;
			frames_from = s->frames_from;
			frames_bytes = s->frames_bytes;
			limit = s->limit;
		}
		sp = s->sp;
		fp = s->fp;
		at = s->at;
		key = s->key;
		cfa = s->cfa;
		if (go_on == WALK_CALLER) {
			next_frame(s, &n, s->ret);
			at = rule_home(key);
		}
	next_window:;
	}
	over = n > MW_STACK_FRAMES;
	s->flags |= over ? MW_STACK_CUT : 0;
	leave_frame(s, sp, fp, key, at, before, cfa, w.start);
	s->room = w.room;
	s->delta = w.delta;
end:
	s->n = n;
	return over;
}

__noinline u32 leg_bulk(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	return s ? leg(MW_READ_BULK, s, which) : 1;
}

__noinline u32 leg_direct(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	if (!s)
		return 1;
	if (s->key - s->frames_from < s->frames_bytes)
		pointer_frames(which);
	return read_how == MW_READ_MEMORY  ? leg(MW_READ_MEMORY, s, which)
	       : read_how == MW_READ_WORDS ? leg(MW_READ_WORDS, s, which)
					   : 1;
}

/*
 * The walk from these registers on, by the rules of this group. bulk: by the bulk read even where others read directly; it is
 * rare then, and cheapest to verify.
 */
static __always_inline void walk(bool bulk, bool noting, struct scratch *s, u32 which, struct mw_space *space,
				 u64 group, u64 ip, u64 sp, u64 fp)
{
	u64 n = 0;

	if (ip >= MW_RULE_IP || which == SCRATCH_GO)
		group = MW_NO_GROUP;

	OPAQUE(n);
	next_frame(s, &n, ip);
	sp &= ~7ull;
	s->sp = s->low = sp;
	s->fp = fp;
	s->n = n;
	s->jumps = space && space->flags & MW_SPACE_GO ? WALK_JUMPS : 0;
	s->missing = s->alone = s->absent = 0;
	s->slot = space ? space->flags >> MW_SPACE_SLOT_SHIFT : MW_SPACES;
	s->noting = noting;
	/* At a probe of the Go runtime ip is that of the caller already, and sp is not; all of that code has frame pointers. */
	s->certain = group == MW_NO_GROUP && which != SCRATCH_GO;
	s->flags = s->certain ? MW_STACK_MISS : 0;
	s->key = group | MW_RULE_IP | ip;
	s->at = s->before = rule_home(s->key);
	s->cfa = sp + 8;
	s->base = 1; /* no window yet */
	s->room = 0;
	s->delta = 0;
	by_pointers(s);
	if (group != MW_NO_GROUP) {
		struct mw_space_code *code = code_of(space);

		s->frames_from = group | code->frames_start;
		s->frames_bytes = code->frames_bytes;
		s->limit = MW_RULE_IP;
	}
	if (noting)
		notes_begin(which, sp);
	for (u32 i = 0; i < LEGS; i++)
		if (bulk ? leg_bulk(which) : leg_direct(which))
			break;
	s->flags |= s->certain << MW_STACK_CERTAIN_SHIFT;
}

#endif
