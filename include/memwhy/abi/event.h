/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records of the ring: what happened to an address space, and to the processes on it. One struct for each kind;
 * no field changes its meaning. Removals are logged when the system call is entered (a range can be reused before
 * it returns), mmap and mremap when it returns, and only when it succeeded. Addresses and lengths are in bytes.
 */
#ifndef MEMWHY_ABI_EVENT_H
#define MEMWHY_ABI_EVENT_H

#include "types.h"

enum mw_event_kind {
	MW_EVENT_NONE = 0,
	MW_EVENT_VMA_MAP,      /* struct mw_vma_map: mmap returned */
	MW_EVENT_VMA_UNMAP,    /* struct mw_vma_unmap: munmap, madvise, brk shrink, MAP_FIXED entered */
	MW_EVENT_VMA_MOVE,     /* struct mw_vma_move: mremap returned */
	MW_EVENT_VMA_BRK,      /* struct mw_vma_brk: the heap end was moved up */
	MW_EVENT_VMA_ADVISE,   /* struct mw_vma_unmap: MADV_FREE, HUGEPAGE, COLLAPSE ...: pages stay */
	MW_EVENT_SPACE_FORK,   /* struct mw_space_fork: a child got an address space of its own */
	MW_EVENT_SPACE_EXEC,   /* struct mw_space_exec: the process got a new address space */
	MW_EVENT_SPACE_END,    /* struct mw_space_end: the address space was torn down */
	MW_EVENT_PROCESS_EXIT, /* struct mw_process_exit: the last thread of a process exits */
	MW_EVENT_OOM_VICTIM,   /* struct mw_oom_victim: the kernel chose it to be killed */
	MW_EVENT_GO_CALL,      /* struct mw_go_call: a rare function of the Go runtime was entered */
	MW_EVENT_ALLOCATION,   /* struct mw_allocation: malloc or one of its kind was entered */
	MW_EVENT_KINDS,
};

struct mw_event_header {
	mw_u32 kind;  /* enum mw_event_kind */
	mw_u32 space; /* the address space; 0 is never sent */
	mw_s32 tgid;
	mw_s32 tid;
	mw_u64 time_ns; /* bpf_ktime_get_ns(): CLOCK_MONOTONIC */
	mw_u64 tick;	/* bpf_jiffies64() & MW_ENTRY_TICK_MASK, as in entries of the page fault table */
};

struct mw_vma_map {
	struct mw_event_header h;
	mw_u64 start;
	mw_u64 bytes;
	mw_u32 prot;
	mw_u32 flags; /* MAP_* as the caller gave them */
	mw_s32 fd;
	mw_u32 stack; /* slot of the stack table, or MW_ENTRY_STACK_* */
	mw_u64 offset;
};

/* why pages leave, or what was advised */
enum mw_unmap_why {
	MW_UNMAP_MUNMAP = 1,
	MW_UNMAP_FIXED = 2, /* MAP_FIXED over what was there */
	MW_UNMAP_BRK = 3,   /* the heap end was moved down */
	MW_UNMAP_MADVISE =
	    4, /* `advice` says which: DONTNEED 4, REMOVE 9, DONTNEED_LOCKED 24 leave at once */
};

struct mw_vma_unmap {
	struct mw_event_header h;
	mw_u64 start;
	mw_u64 bytes;
	mw_u32 why;    /* enum mw_unmap_why */
	mw_u32 advice; /* MADV_* for MW_UNMAP_MADVISE, else 0 */
	mw_u32 stack;
	mw_u32 pad;
};

struct mw_vma_move {
	struct mw_event_header h;
	mw_u64 old_start;
	mw_u64 old_bytes;
	mw_u64 new_start;
	mw_u64 new_bytes;
	mw_u32 stack;
	mw_u32 flags; /* MREMAP_* */
};

struct mw_vma_brk {
	struct mw_event_header h;
	mw_u64 old_end;
	mw_u64 new_end;
	mw_u32 stack;
	mw_u32 pad;
};

struct mw_space_fork {
	struct mw_event_header h; /* space: the parent's */
	mw_u32 child_space;	  /* 0: no room for another space */
	mw_s32 child_tgid;
};

struct mw_space_exec {
	struct mw_event_header h; /* space: the old one */
	mw_u32 new_space;	  /* 0: no room for another space */
	mw_u32 flags;		  /* MW_EXEC_* */
};

#define MW_EXEC_BORROWED                                                                                     \
	1u /* the caller was a vfork or CLONE_VM child: the old space lives on in its parent */

enum mw_end_why {
	MW_END_EXIT = 1,
	MW_END_EXEC = 2,
	MW_END_STALE = 3, /* its end was not seen; noticed when the kernel used the mm again */
};

struct mw_space_end {
	struct mw_event_header h; /* tgid, tid: of whoever dropped the last reference */
	mw_u32 why;		  /* enum mw_end_why */
	mw_u32 pad;
};

/* rss_pages: the last values of the kernel's counters (file, anon, swap entries, shmem); ~0 where they could not be read */
struct mw_process_exit {
	struct mw_event_header h;
	mw_u32 exit_code; /* as in wait(2): signal in the low 7 bits, status << 8 */
	mw_u32 pad;
	mw_u64 rss_pages[4];
};

struct mw_oom_victim {
	struct mw_event_header h; /* tgid: the victim's */
};

/* Functions of the Go runtime that are probed: rare ones, and what `bytes` is */
enum mw_go_function {
	MW_GO_LARGE_ALLOCATION = 0, /* (*mcache).allocLarge: an object above 32 KiB; its size */
	MW_GO_HEAP_GROW,	    /* (*mheap).grow: the page heap asks for more; at least so much */
	MW_GO_SAMPLED_ALLOCATION,   /* mProf_Malloc: the heap profile took a sample; the object's size */
	MW_GO_SCAVENGE,		    /* (*pageAlloc).scavenge: pages go back to the system; at most so much */
	MW_GO_COLLECTION_START,	    /* (*gcControllerState).startCycle; 0 */
	MW_GO_MARK_END,		    /* gcMarkTermination; 0 */
	MW_GO_FUNCTIONS,
};

/*
 * The cookie of a probe: function | argument << 8 | shift << 16. `bytes` is that argument << shift. The first argument is
 * the receiver; in which register each is, the arch header of bpf/lib knows.
 */
#define MW_GO_COOKIE(function, arg, shift) ((mw_u64)(function) | (mw_u64)(arg) << 8 | (mw_u64)(shift) << 16)
enum mw_go_argument { MW_GO_NO_ARGUMENT = 0, MW_GO_SECOND, MW_GO_THIRD };

struct mw_go_call {
	struct mw_event_header h;
	mw_u32 function; /* enum mw_go_function */
	mw_u32 stack;
	mw_u64 bytes;
};

/* The cookie of a probe on malloc and its kind: where the bytes are that the caller wants. */
enum mw_allocation_argument {
	MW_BYTES_FIRST = 0,    /* malloc(bytes) */
	MW_BYTES_SECOND,       /* realloc(old, bytes), memalign(alignment, bytes) */
	MW_BYTES_THIRD,	       /* posix_memalign(&to, alignment, bytes) */
	MW_BYTES_FIRST_SECOND, /* calloc(count, bytes of each) */
};

struct mw_allocation {
	struct mw_event_header h;
	mw_u32 stack; /* of the caller, at the call */
	mw_u32 pad;
	mw_u64 bytes;
};

MW_ASSERT_SIZE(struct mw_event_header, 32);
MW_ASSERT_SIZE(struct mw_vma_map, 72);
MW_ASSERT_SIZE(struct mw_vma_unmap, 64);
MW_ASSERT_SIZE(struct mw_vma_move, 72);
MW_ASSERT_SIZE(struct mw_vma_brk, 56);
MW_ASSERT_SIZE(struct mw_space_fork, 40);
MW_ASSERT_SIZE(struct mw_space_exec, 40);
MW_ASSERT_SIZE(struct mw_space_end, 40);
MW_ASSERT_SIZE(struct mw_process_exit, 72);
MW_ASSERT_SIZE(struct mw_oom_victim, 32);
MW_ASSERT_SIZE(struct mw_go_call, 48);
MW_ASSERT_SIZE(struct mw_allocation, 48);

#endif
