/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Unwind rules (abi/unwind.h): how they are looked up, and how those are followed that the walk's fast loop leaves out.
 *
 *   frame at 7f12'3461 (memset), sp ..e3c8     rules[key] = STACK 8     return address at ..e3c8, its key next
 *   frame at 5555'1203 (load)                  rules[key] = STACK 48    ...
 *   no rule: on by frame pointers; the address is `missing`, and a snapshot of the stack is sent (snapshot.bpf.h)
 *
 * Each slot remembers where the rule of the next frame was last time, so that its load need not wait for that of the return
 * address. The guess is compared with the key: a wrong one costs only time.
 */
#ifndef MEMWHY_RULES_BPF_H
#define MEMWHY_RULES_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"
#include "filter.bpf.h"
#include "notes.bpf.h"
#include "read.bpf.h"

/* Slots by their byte offset in rules[]: the verifier sees a mask, and no multiplication is needed. */
#define RULE_MASK ((MW_RULES - 1) << 4)
#define RULE(at)  ((struct mw_rule *)((void *)rules + ((at)&RULE_MASK)))

static __always_inline u64 rule_home(u64 key)
{
	return (key * chunk_factor) >> (64 - MW_RULE_BITS) << 4;
}

/* Where key's slot is, when it is not its first place; ~0: it has none. */
static __always_inline u64 rule_probe(u64 key)
{
	u64 home = rule_home(key);

	for (u32 i = 0; i < MW_RULE_PROBES; i++) {
		u64 at = (home + (i << 4)) & RULE_MASK;

		if (RULE(at)->key == key)
			return at;
	}
	return ~0ull;
}

/* Group of the keys of this space's rules, or MW_NO_GROUP. */
static __always_inline u64 rule_group(const struct mw_space *space)
{
	if (!use_rules || !space)
		return MW_NO_GROUP;
	u32 slot = space->flags >> MW_SPACE_SLOT_SHIFT;
	const struct mw_space_code *code = code_of(space);
	u32 generation = code->generation;

	if (generation - code->confirmed >= MW_RULE_GENERATIONS - 1)
		return MW_NO_GROUP;
	return MW_RULE_GROUP(slot, generation);
}

#define WALK_JUMPS 8u
#define MOST_ROOM  0x40000ull /* that the caller of an interpreted method makes for its locals */

enum go_on {
	WALK_OVER,    /* the walk ends; s->flags says how */
	WALK_AGAIN,   /* the same frame, with another slot or window */
	WALK_CALLER,  /* this was a frame; s->ret is its return address, or where the signal interrupted */
	WALK_MISSING, /* no rule: the same frame, and all others, by frame pointers */
};

/* Every address is one of code with frame pointers, as all of Go's is. */
static __always_inline void by_pointers(struct scratch *s)
{
	s->frames_from = 0;
	s->frames_bytes = s->limit = ~0ull;
}

/* The walk ends with this instead of a return address: zero is the outermost frame's. What is no address of code was
 * something else. */
static __always_inline u32 end_by(u64 ret)
{
	return ret == NO_WORD ? MW_STACK_UNREADABLE : ret < PAGE_BYTES ? MW_STACK_WHOLE : MW_STACK_GUESS;
}

/* No frame pointer: the outermost frame, or, where runtimes switch stacks, another one. */
static __always_inline u32 leave_stack(struct scratch *s)
{
	s->flags |= s->fp < PAGE_BYTES ? MW_STACK_WHOLE : 0;
	if (!s->jumps || s->fp < PAGE_BYTES || s->fp & 7)
		return WALK_OVER;
	s->jumps--;
	s->low = s->sp = s->fp;
	s->cfa = s->fp + 16;
	s->at = s->before;
	return WALK_AGAIN;
}

/* A word that the walk's result depends on. */
static __always_inline u64 needed_word(const struct scratch *s, u32 which, u64 pgd, u64 va, bool by_fp)
{
	u64 word = any_word(pgd, va);

	if (s->noting)
		note_word(which, va, word, by_fp);
	return word;
}

/* The rule has another place than its first, or there is none. */
static __always_inline u32 other_place(struct scratch *s)
{
	u64 at = rule_probe(s->key);

	s->cfa = s->base + 8; /* any address of the window: it stays */
	if (at != ~0ull) {
		RULE(s->before)->next = at;
		s->at = at;
		return WALK_AGAIN;
	}
	s->missing = s->key;
	s->missing_sp = s->sp;
	s->missing_fp = s->fp;
	s->missing_jumps = s->jumps;
	s->flags |= MW_STACK_MISS;
	s->key = (s->key & (2 * MW_RULE_IP - 1)) | MW_NO_GROUP;
	by_pointers(s);
	return WALK_MISSING;
}

/*
 * What the fast loop leaves alone. In: sp, fp, key, rule (0: not in its guessed and not in its first place), at, before, cfa,
 * low, jumps, base (start of the window). Out: the same, ret and flags. Not static: verified once, by itself.
 */
__noinline u32 odd_frame(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct task_struct *task = bpf_get_current_task_btf();

	if (!s)
		return WALK_OVER;
	u64 pgd = number(task->mm->pgd), cfa = s->cfa, saved = s->fp, is_ip = 0;
	u32 rule = s->rule, kind = rule & MW_RULE_KIND, saved8 = rule & MW_RULE_SAVED8;
	u32 made = kind == MW_RULE_JIT ? rule >> 14 & MW_JIT_HOW : MW_JIT_POINTER;
	bool by_fp = kind == MW_RULE_FRAME || (kind >= MW_RULE_GUESS && made != MW_JIT_STACK);

	if (!rule)
		return other_place(s);
	if (kind == MW_RULE_END) {
		s->flags |= saved8 ? 0 : MW_STACK_WHOLE;
		return WALK_OVER;
	}
	if (kind == MW_RULE_GUESS || kind == MW_RULE_JIT) {
		s->flags |= kind == MW_RULE_JIT ? MW_STACK_JIT : MW_STACK_GUESS;
		cfa = by_fp ? s->fp + 16 : s->sp + (rule >> 14 & ~MW_JIT_HOW);
		saved8 = 16;
	}
	if (by_fp && (s->fp - s->sp) & ~(STACK_REACH - 8))
		goto another_stack;
	if (kind == MW_RULE_SIGNAL) {
		s->ret = needed_word(s, which, pgd, s->sp + SIGNAL_IP, false);
		cfa = needed_word(s, which, pgd, s->sp + SIGNAL_SP, false) & ~7ull;
		saved = any_word(pgd, s->sp + SIGNAL_FP);
		if (s->noting)
			note_saved_fp(which, s->sp + SIGNAL_FP, saved);
		s->low = cfa;
		is_ip = MW_RULE_IP;
	} else {
		if (kind == MW_RULE_DEREF) {
			cfa = needed_word(s, which, pgd, s->fp + (s64)((s32)rule >> 14), true);
			saved8 = cfa - s->fp;
		}
		if ((cfa - s->low - 8) & ~(STACK_REACH - 8))
			return WALK_OVER;
		s->ret = needed_word(s, which, pgd, cfa - 8, by_fp);
		if (saved8) {
			saved = any_word(pgd, kind == MW_RULE_DEREF ? s->fp : cfa - saved8);
			if (s->noting)
				note_saved_fp(which, kind == MW_RULE_DEREF ? s->fp : cfa - saved8, saved);
		}
		if (made == MW_JIT_ROOM) {
			u64 sp = needed_word(s, which, pgd, s->fp - 8, true);

			cfa += (sp - cfa) & ~(MOST_ROOM - 8) ? 0 : sp - cfa;
		}
	}
	if (s->ret - PAGE_BYTES >= s->limit - PAGE_BYTES) {
		/* what a guess finds at an end is no proof that it is one */
		s->flags |= kind >= MW_RULE_GUESS ? MW_STACK_GUESS : end_by(s->ret);
		return WALK_OVER;
	}
	s->fp = saved;
	s->sp = cfa;
	s->cfa = cfa + 8;
	s->key = (s->key & ~(2 * MW_RULE_IP - 1)) | s->ret | is_ip;
	return WALK_CALLER;
another_stack:
	if (s->noting)
		note_fp(which);
	/* code that was made may use that register for anything, zero included */
	return kind >= MW_RULE_GUESS && s->fp < PAGE_BYTES ? WALK_OVER : leave_stack(s);
}

#endif
