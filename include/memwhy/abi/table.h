/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * State shared through mmap-able arrays: which stack faulted each page in, and when. State, not events:
 * overload can't drop it, and nothing has to be put in order.
 *
 *   fault of space 3 at 0x7f12_3460_5000, stack hash 0xbeef..., jiffies 4295213
 *
 *   spaces[ ]     mm 0xffff8881...  -> space 3                               "is it ours?"
 *   stack_hash[ ] slot 0x0beef (hash >> shift) = 0xbeef...                   stack_frames[0x0beef] = {n, ip, ra, ra ...}
 *   chunk_key[ ]  slot 77 = 3 << 36 | 0x7f1234605000 >> 21                   chunk 77 holds the 512 pages of that 2 MiB
 *   table[77].e[0x005] = slot 0x0beef << 44 | kind << 40 | tick 4295213      one word, written whole
 */
#ifndef MEMWHY_ABI_TABLE_H
#define MEMWHY_ABI_TABLE_H

#include "limits.h"
#include "types.h"

/* An entry of the page table; 0 = this page never faulted since it was traced. */
#define MW_ENTRY_STACK_SHIFT 44
#define MW_ENTRY_KIND_SHIFT 40
#define MW_ENTRY_TICK_MASK ((1ull << MW_ENTRY_KIND_SHIFT) - 1) /* jiffies64, 40 bits: 34 years at 1000 Hz */
#define MW_ENTRY_STACK_LOST 0xfffffull                         /* the stack table was full: the page is known, its stack is not */
#define MW_ENTRY_STACK_NONE 0xffffeull                         /* no user stack to be had (kernel thread on this mm) */

/* kind: how the page was faulted (4 bits) */
#define MW_FAULT_WRITE 1u  /* a write access */
#define MW_FAULT_KERNEL 2u /* the kernel touched it for the process (copy_to_user) */

struct mw_chunk {
	mw_u64 e[MW_CHUNK_PAGES];
};

/* A distinct stack. n is written last: 0 = being written. flags: MW_STACK_*. */
struct mw_stack {
	mw_u32 n;
	mw_u32 flags;
	mw_u64 ip[MW_STACK_FRAMES];
};

#define MW_STACK_CUT 1u        /* deeper than MW_STACK_FRAMES: the outermost frames are missing */
#define MW_STACK_UNREADABLE 2u /* a frame pointer led to memory that could not be read */

/* An address space that is traced. mm is the kernel's pointer, only a key: never printed, never dereferenced here. */
struct mw_space {
	mw_u64 mm; /* MW_SLOT_EMPTY, MW_SLOT_TOMB or a kernel address */
	mw_u32 space;
	mw_u32 flags; /* MW_SPACE_* */
};

#define MW_SPACE_FOLLOW 1u /* children get a space of their own and are traced too */

MW_ASSERT_SIZE(struct mw_chunk, 4096);
MW_ASSERT_SIZE(struct mw_stack, 8 + 8 * 128);
MW_ASSERT_SIZE(struct mw_space, 16);

#endif
