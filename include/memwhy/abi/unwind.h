/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Unwind rules: how the kernel side gets from the registers in a function to those of its caller, for ONE address. Page
 * faults come from few places (1,000 addresses in python, 3,000 in a JVM), so a rule is learned when its address is met
 * for the first time, and no tables of whole files are loaded.
 *
 *   31            14 13       3 2    0
 *   | bytes        | saved    | kind |       CFA = (sp | fp) + bytes         caller's sp = CFA
 *                                            return address at CFA - 8       caller's fp at CFA - 8 * saved; 0: unchanged
 *
 *   push %rbp; mov %rsp,%rbp      {FRAME, 16, 2}      the classic frame pointer
 *   sub $0x18,%rsp                {STACK, 32, 0}
 *
 * 8 * saved is `rule & 0x3ff8` and bytes is `rule >> 14`: one instruction each.
 *
 * What it is not: where the rules come from (userspace/symbols/unwind_rule.h, userspace/unwind). What comes next: bpf/lib/
 * rules.bpf.h, which follows them.
 */
#ifndef MEMWHY_ABI_UNWIND_H
#define MEMWHY_ABI_UNWIND_H

#include "limits.h"
#include "types.h"

enum mw_rule_kind {
	MW_RULE_NONE = 0,
	MW_RULE_STACK,	/* CFA = sp + bytes */
	MW_RULE_FRAME,	/* CFA = fp + bytes */
	MW_RULE_END,	/* the outermost frame; with saved = 1: no rule can express its caller */
	MW_RULE_SIGNAL, /* the frame of a signal at sp: fp, sp and ip are in its ucontext */
	MW_RULE_DEREF,	/* a realigned stack: CFA = [fp + bytes], bytes signed, caller's fp = [fp] */
	MW_RULE_GUESS,	/* by frame pointer, which may not be one */
	MW_RULE_JIT,	/* in code that a run time made: MW_JIT_* */
};

/* In the lower bits of the bytes of MW_RULE_JIT, which are a multiple of 8. */
#define MW_JIT_POINTER		    0u /* as GUESS */
#define MW_JIT_STACK		    1u /* as STACK: a compiler that writes tables of its own */
#define MW_JIT_ROOM		    2u /* as GUESS, but the caller's sp is at fp - 8: it made room for what it called */
#define MW_JIT_HOW		    7u
#define MW_RULE(kind, bytes, saved) ((mw_u32)(kind) | (mw_u32)(saved) << 3 | (mw_u32)(bytes) << 14)
#define MW_RULE_KIND		    7u
#define MW_RULE_SAVED8		    0x3ff8u
#define MW_RULE_MOST_BYTES	    (1u << 18)
#define MW_RULE_MOST_SAVED	    (1u << 11)
#define MW_RULE_POINTER		    MW_RULE(MW_RULE_FRAME, 16, 2)
#define MW_RULE_UNSAID		    MW_RULE(MW_RULE_END, 0, 1)

/*
 * Key of a rule: the group, whether the address is of an instruction that was interrupted (else a return address), and
 * the address. A group is a slot of spaces[] and a generation, which ends when code of the space is unmapped: no rule
 * outlives the code that it was for.
 *
 *   space in slot 0x9f1, generation 3, return address 0x7f12'3460'5123  ->  (0x9f1 << 3 | 3) << 48 | 0 << 47 | 0x7f1234605123
 */
#define MW_RULE_IP	    (1ull << 47)
#define MW_RULE_GROUP_SHIFT 48
#define MW_RULE_GENERATIONS 8u /* in a key; the daemon has to confirm one before 7 more have begun */
#define MW_RULE_GROUP(slot, generation)                                                                      \
	((mw_u64)((slot) << 3 | ((generation) & (MW_RULE_GENERATIONS - 1))) << MW_RULE_GROUP_SHIFT)
#define MW_NO_GROUP (1ull << 63) /* no rule has a key of it */

/* Open addressing from the hash's upper bits on. The key is written last. */
struct mw_rule {
	mw_u64 key; /* 0: free */
	mw_u32 rule;
	mw_u32
	    next; /* a guess: byte offset in rules[] of the slot that was needed next, last time. The key there says
			whether the guess was right */
};

/*
 * Where a key stands among those that the daemon has looked at and has no rule for: no code is there, or the table is full. The
 * last of those with the same place has it.
 */
#define MW_LOOKED_AT(key, factor) ((mw_u64)(key) * (factor) >> (64 - MW_LOOKED_AT_BITS))

struct mw_code_range {
	mw_u64 start, end;
};

/* What the daemon knows of the code of the space in the same slot of spaces[]. */
struct mw_space_code {
	mw_u32
	    generation; /* of its rules; the kernel side counts up when one of the ranges is unmapped or mapped over */
	mw_u32 confirmed; /* the last that the daemon has seen: 7 behind, and no rule is used */
	mw_u32 tokens;	  /* snapshots that may still be sent */
	mw_u32 ranges;	  /* how many there are */
	mw_u64 frames_start,
	    frames_bytes; /* Go's own code: its return addresses always have frame pointers */
	mw_u32 mapped;	  /* counts up before and after code is mapped */
	mw_u32 described; /* `mapped` when the ranges were read: all code is in them while it is the same */
	struct mw_code_range range[MW_CODE_RANGES]; /* executable, in order; after the last one INT64_MAX */
};

/*
 * A trail: all words that one walk read, and where (bpf/lib/trail.bpf.h); nothing of it is read here. Words are compared in
 * fours, each within one page; where a page has no whole number of fours, a word is in one twice.
 */
#define MW_TRAIL_FOURS (MW_TRAIL_WORDS / 4)
struct mw_trail {
	mw_u64 key, sp, fp, hash; /* key: as of a rule, of the interrupted instruction */
	mw_u32 version;		  /* odd: being written */
	mw_u32 slot;		  /* of the stack */
	mw_u32 seen;		  /* how often this hash came in a row */
	mw_u16 fours;		  /* how many there are */
	mw_u8 by_fp;  /* the walk needed the fp it began with: else that may be any loop's variable */
	mw_u8 misses; /* in a row: with many of them it is tried now and then only */
	mw_u8 page[MW_TRAIL_FOURS]; /* of these four: pages above that of sp */
	mw_u64 moves; /* page_moves() before the kernel side looked where they are; 0: it has to look */
	mw_u64 place[MW_TRAIL_FOURS]; /* where the direct map has that page */
	mw_u16 at[MW_TRAIL_WORDS];    /* byte offset in its page */
	mw_u64 word[MW_TRAIL_WORDS];
};
/*
 * A walk met an address that has no rule: the registers and the stack, so that the daemon learns the whole path. It holds
 * what the process keeps on its stack: it is never written anywhere, and overwritten after use.
 */
struct mw_snapshot {
	mw_u32 state; /* MW_SNAPSHOT_*: written last, by the kernel side to READY and by the daemon to FREE */
	mw_u32 absent;	   /* bytes from sp on whose pages are not there yet: a large frame that is new */
	mw_u64 key;	   /* the address without a rule */
	mw_u64 ip, sp, fp; /* of the thread, or of the frame of that address */
	mw_u32 space;
	mw_u32 tgid;
	mw_u32 stack;	  /* the incomplete one that the page was attributed to; or MW_ENTRY_STACK_* */
	mw_u32 bytes;	  /* of data, from sp + absent on */
	mw_u32 unwatched; /* nothing would have noticed a change of its code */
	mw_u32 mapped;	  /* of its mw_space_code */
	mw_u8 data[MW_SNAPSHOT_BYTES];
};

MW_ASSERT_SIZE(struct mw_rule, 16);
MW_ASSERT_SIZE(struct mw_trail, 840);
MW_ASSERT_SIZE(struct mw_space_code, 40 + 16 * MW_CODE_RANGES);
#define MW_SNAPSHOT_FREE  0u
#define MW_SNAPSHOT_BUSY  1u
#define MW_SNAPSHOT_READY 2u

MW_ASSERT_SIZE(struct mw_snapshot, 64 + MW_SNAPSHOT_BYTES);

#endif
