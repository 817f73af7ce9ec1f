/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * State shared through mmap-able arrays: which stack faulted each page in, and when. State, not events:
 * overload can't drop it, and nothing has to be put in order.
 *
 *   fault of space 3 at 0x7f12_3460_5000, stack hash 0xbeef..., jiffies 4295213
 *
 *   spaces[ ]     mm 0xffff8881...  -> space 3                               "is it ours?"
 *   stack_hash[ ] slot 0x0beef (hash >> shift) = 0xbeef...                   stacks[0x0beef] = {n, ip, ra .., node of the others}
 *   chunk_key[ ]  slot 77 = 3 << 36 | 0x7f1234605000 >> 21                   chunk 77 holds the 512 pages of that 2 MiB
 *   table[77].e[0x005] = slot 0x0beef << 44 | kind << 40 | tick 4295213      one word, written whole
 */
#ifndef MEMWHY_ABI_TABLE_H
#define MEMWHY_ABI_TABLE_H

#include "limits.h"
#include "types.h"

/* An entry of the page fault table; 0 = this page has not faulted since it was traced. */
#define MW_ENTRY_STACK_SHIFT 44
#define MW_ENTRY_KIND_SHIFT  40
#define MW_ENTRY_TICK_MASK   ((1ull << MW_ENTRY_KIND_SHIFT) - 1) /* jiffies64, 40 bits: 34 years at 1000 Hz */
#define MW_ENTRY_STACK_LOST  0xfffffull /* the stack table was full: the page is known, its stack is not */
#define MW_ENTRY_STACK_NONE  0xffffeull /* no user stack to be had (kernel thread on this mm) */

/* kind: how the page was faulted (4 bits) */
#define MW_FAULT_WRITE	1u /* a write access */
#define MW_FAULT_KERNEL 2u /* the kernel touched it for the process (copy_to_user) */

struct mw_chunk {
	mw_u64 e[MW_CHUNK_PAGES];
};

/*
 * A distinct stack. n is written last: 0 = being written. flags: MW_STACK_*. The innermost frames, in which most stacks differ,
 * stand in it. The others are in nodes of up to six, counted from the outermost frame on, each of which names that of its
 * callers; stacks with the same callers have the same nodes:
 *
 *   slot 0x0beef  n 14, ip {memset, load .. parse}, outer 0x7001 ─┬► 0x7001 {serve, handle} ──► 0x3f00 {_start, main .. run} ──► NO_NODE
 *   slot 0x77aa1  n 14, ip {memset, save .. write}, outer 0x7001 ─┘
 */
struct mw_stack {
	mw_u32 n;
	mw_u32 flags;
	mw_u32 outer; /* node of the frames that are not in ip, or MW_NO_NODE */
	mw_u32 space; /* for which it was claimed */
	mw_u64 ip[MW_INNER_FRAMES];
};

/*
 * frames: the outermost first, 0 behind the innermost; the first is written last: 0 = being written. hash: of them and
 * `caller`, keyed; it only says where to look. MW_SLOT_EMPTY, TOMB as in stack_hash[].
 */
struct mw_node {
	mw_u64 hash;
	mw_u64 frames[MW_NODE_FRAMES];
	mw_u32 caller; /* the node of their callers, or MW_NO_NODE: the first is the outermost frame */
	mw_u32 space;  /* for which it was claimed */
};

#define MW_NO_NODE   (~0u)
#define MW_NODE_FULL (~1u) /* of bpf/lib/nodes: there is no room for it */

#define MW_STACK_CUT	       1u  /* deeper than MW_STACK_FRAMES: the outermost frames are missing */
#define MW_STACK_UNREADABLE    2u  /* a frame pointer led to memory that could not be read */
#define MW_STACK_WHOLE	       4u  /* the outermost frame was reached, and every frame is certain */
#define MW_STACK_MISS	       8u  /* an address had no rule yet: from there on, by frame pointers */
#define MW_STACK_GUESS	       16u /* by frame pointers through code that no table describes */
#define MW_STACK_JIT	       32u /* by frame pointers through code that a run time made */
#define MW_STACK_DOUBT	       (MW_STACK_MISS | MW_STACK_GUESS | MW_STACK_JIT)
#define MW_STACK_CERTAIN_SHIFT 16 /* with one of these: frames before the first that is not certain */

/* An address space that is traced. mm is the kernel's pointer, only a key: never printed, never dereferenced here. */
struct mw_space {
	mw_u64 mm; /* MW_SLOT_EMPTY, TOMB, BUSY or a kernel address; written last */
	mw_u32 space;
	mw_u32 flags; /* MW_SPACE_*, and the number of its slot above MW_SPACE_SLOT_SHIFT */
};

/* What a space, or all of them, hold of the tables, and how often a claim above the share was refused. */
struct mw_use {
	mw_u32 stacks, chunks;
	mw_u32 stacks_refused, chunks_refused;
	mw_u32 nodes, pad;
};

#define MW_SPACE_FOLLOW 1u /* children get a space of their own and are traced too */
#define MW_SPACE_GO	4u /* a Go program: stacks lead from the system stack back to the goroutine's */

#define MW_SPACE_FLAGS	    0xffffu
#define MW_SPACE_SLOT_SHIFT 16

/*
 * A process on a traced space, by tgid: its mm is gone from the task before exec and exit are seen.
 * BORROWED: a vfork or CLONE_VM child, on the mm of another process until it execs.
 */
struct mw_member {
	mw_u64 mm;
	mw_u32 space;
	mw_u32 flags; /* MW_SPACE_FOLLOW | MW_MEMBER_* */
	mw_u32 from;  /* the space out of which it was forked; 0: it was traced by its number */
	mw_u32 pad;
};

#define MW_MEMBER_BORROWED 2u

/* How often a function of the Go runtime was called in the second that runs (2^30 ns). */
struct mw_go_window {
	mw_u64 second;
	mw_u64 calls;
};

#define MW_CALIBRATE_STEP 64u /* distances that one run of `calibrate` tries */

/* One line of the iterator `space_threads`. */
struct mw_thread {
	mw_s32 tid;
	mw_u32 pad;
	mw_u64 sp;  /* user stack pointer; 0 unknown */
	mw_u64 tls; /* FS base; 0 unknown */
};

/*
 * How user stacks are read: through the kernel's direct map of memory, with loads that are guarded, or by a helper.
 * MEMORY, Linux 6.17 and later: the kernel casts an address to plain memory, once for each page, and inside it addresses
 * may be computed. WORDS, 6.2 and later: to a struct of two words, at each address anew; to the compiler that is a call,
 * and a loop around it has few registers left.
 */
enum mw_read_how { MW_READ_BULK = 0, MW_READ_WORDS, MW_READ_MEMORY };

/* One line of the iterator `maps_held`: a process whose map is locked at this moment. */
struct mw_held {
	mw_u64 mm;
	mw_s32 tgid;
	mw_u32 pad;
};

#define MW_MAPPERS 16 /* that one run of `file_mappers` looks for */

/* Requests of the daemon to the iterators and BPF_PROG_TEST_RUN, and their results. */
struct mw_request {
	mw_u64 mm; /* space_threads, space_members, file_mappers: whose; claim: answer, 0 = no such process */
	mw_s32 tgid;	   /* claim: whom to trace */
	mw_u32 flags;	   /* claim: MW_SPACE_* */
	mw_u32 space;	   /* claim: answer; 0 with mm set = no room */
	mw_u32 kernel;	   /* claim: answer; the target is a kernel thread */
	mw_u32 found;	   /* claim: answer; a task with that tgid exists. file_mappers: the file was found */
	mw_u32 la57;	   /* calibrate: answer; 5-level page tables */
	mw_u64 word_at;	   /* calibrate: address of a word of the daemon ... */
	mw_u64 word;	   /* ... and what it holds */
	mw_u64 skip_gib;   /* calibrate: first distance below the daemon's page table to try, GiB */
	mw_u64 direct_map; /* calibrate: answer; where the direct map starts, 0 = not found */
	mw_u64 time_ns;	   /* clock: answer */
	mw_u64 boot_ns;	   /* clock: answer */
	mw_u64 tick;	   /* clock: answer */
	mw_u64 site;	   /* file_mappers: an address of request.mm, in the file */
	mw_u64 mappers[MW_MAPPERS]; /* file_mappers: which of these map it, too */
	mw_u32 mapping;		    /* file_mappers: answer; a bit for each that does */
	mw_u32 all_seen;	    /* file_mappers: answer; every mapping of the file was looked at */
};

MW_ASSERT_SIZE(struct mw_chunk, 4096);
MW_ASSERT_SIZE(struct mw_stack, 64);
MW_ASSERT_SIZE(struct mw_node, 64);
MW_ASSERT_SIZE(struct mw_space, 16);
MW_ASSERT_SIZE(struct mw_use, 24);
MW_ASSERT_SIZE(struct mw_member, 24);
MW_ASSERT_SIZE(struct mw_thread, 24);
MW_ASSERT_SIZE(struct mw_held, 16);
MW_ASSERT_SIZE(struct mw_request, 232);
MW_ASSERT_SIZE(struct mw_go_window, 16);

#endif
