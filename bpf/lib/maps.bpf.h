/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map and every shared variable, once. Each program file includes this; maps and constants are weak, so that the
 * linker keeps one copy. What is hot and never resized is in .bss (an address in the program text, no look-up).
 *
 *   .bss      spaces[] space_brk[] stack_hash[] chunk_key[] chunk_tick[] request     mmap-ed by the daemon
 *   table     chunks of 512 entries (4 KiB)      stacks   a distinct stack       nodes   its outer frames    mmap-ed
 *   counters  one element for each CPU                                                mmap-ed
 *   ring      events         members  tgid -> space         scratches  one for each kind of program, for each CPU
 */
#ifndef MEMWHY_MAPS_BPF_H
#define MEMWHY_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "memwhy/abi/counters.h"
#include "memwhy/abi/event.h"
#include "memwhy/abi/limits.h"
#include "memwhy/abi/table.h"
#include "memwhy/abi/unwind.h"

/* Facts that the daemon fixes before load; to the verifier they are constants, and what they exclude is cut
 * out. */
const volatile mw_u32 stack_mask __weak =
    MW_STACKS - 1; /* number of slots in use - 1; powers of two, at most the defaults */
const volatile mw_u32 chunk_mask __weak = MW_CHUNKS - 1;
const volatile mw_u32 space_mask __weak = MW_SPACES - 1;
const volatile mw_u32 read_how __weak = MW_READ_BULK; /* enum mw_read_how */
const volatile bool la57 __weak = false;	      /* 5-level page tables */
const volatile mw_u64 direct_map __weak = 0;	      /* where the direct map of physical memory starts */
const volatile mw_u64 chunk_factor __weak = 1;	      /* odd and random: slots can't be predicted */
const volatile mw_u64 stack_keys[MW_STACK_KEYS] __weak = {}; /* random: see hash.bpf.h */
const volatile bool end_at_exit __weak = false;	 /* no exit_mmap hook: a space ends with its process */
const volatile bool use_rules __weak = false;	 /* else frame pointers alone */
const volatile bool check_trails __weak = false; /* each is compared with the walk: for tests */
const volatile mw_u32 go_burst __weak = 4000;	 /* calls of one function that are reported in a second */

/*
 * Variables are defined in one object, by a macro before it includes this: of a weak one the linker would keep the room of
 * each object, 18 MiB in total.
 */
#ifdef MEMWHY_DEFINES_VARIABLES
#define VARIABLE
#else
#define VARIABLE extern
#endif

VARIABLE struct mw_space spaces[MW_SPACES];
VARIABLE mw_u64 space_brk[MW_SPACES];	     /* end of the heap as last seen, to tell growth */
VARIABLE mw_u32 last_space;		     /* id that was given last */
VARIABLE struct mw_use space_use[MW_SPACES]; /* of the space in the same slot of spaces[] */
VARIABLE struct mw_use all_use;
VARIABLE mw_u32 traced_spaces;	       /* how many there are */
VARIABLE mw_u64 stack_hash[MW_STACKS]; /* hash of the stack in this slot, keyed */
VARIABLE mw_u64 chunk_key[MW_CHUNKS];  /* space << 36 | address >> 21 */
VARIABLE mw_u32 chunk_tick[MW_CHUNKS]; /* low half of the tick of the chunk's last fault: what the daemon need
					not re-read */
VARIABLE struct mw_request request;
VARIABLE struct mw_rule rules[MW_RULES];
VARIABLE struct mw_space_code space_code[MW_SPACES]; /* of the space in the same slot of spaces[] */
VARIABLE mw_u32 code_changes;			     /* generations that have begun, of all spaces */
VARIABLE mw_u32
    snapshots_taken; /* slots of snapshots[] that were ever claimed: the next one is this, modulo their number */
VARIABLE mw_u32 first_snapshots; /* tokens of a space that begins; 0: nobody learns from them */
VARIABLE mw_u64
    snapshot_asked[MW_SNAPSHOT_MEMORY]; /* addresses that were sent since the daemon emptied this */
VARIABLE mw_u64
    looked_at[1 << MW_LOOKED_AT_BITS];	    /* keys that the daemon has looked at, and has no rule for */
VARIABLE struct mw_go_window go_windows[8]; /* by enum mw_go_function: any number of three bits */
VARIABLE struct mw_trail trails[MW_TRAILS];
/* Of the space in the same slot of spaces[]: calls of malloc that may still be recorded; below 0: that came after them. */
VARIABLE mw_s32 allocations_left[MW_SPACES];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MW_CHUNKS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct mw_chunk);
} table __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MW_STACKS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct mw_stack);
} stacks __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MW_NODES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct mw_node);
} nodes __weak SEC(".maps");

struct {
	__uint(type,
	       BPF_MAP_TYPE_ARRAY); /* indexed by CPU; resized to the number of possible CPUs before load */
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct mw_counters);
} counters __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, MW_RING_BYTES);
} ring __weak SEC(".maps");

/*
 * Wakes who learns. What can wait is looked for now and then. What cannot: a space whose code nobody has read, as what is sent
 * before that is worth little and a program maps most of its code as it begins; and many that wait for a place in snapshots.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* a page is the least */
} bell __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MW_SNAPSHOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct mw_snapshot);
} snapshots __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * MW_SPACES);
	__type(key, s32);
	__type(value, struct mw_member);
} members __weak SEC(".maps");

/* A program that interrupts another (a kernel-mode fault inside a system call) must not use the same scratch.
 */
enum scratch_of {
	SCRATCH_FAULT_USER,
	SCRATCH_FAULT_KERNEL,
	SCRATCH_ENTER,
	SCRATCH_EXIT,
	SCRATCH_GO,
	SCRATCH_ALLOCATION,
	SCRATCH_KINDS
};

#define WINDOW_WORDS 256u /* 2 KiB of user stack, read in one go */
#define WINDOW_BYTES (8 * WINDOW_WORDS)

struct scratch {
	u64 window[WINDOW_WORDS + 1]; /* to the verifier a word may start at the end */
	u64 frames[MW_WALK_FRAMES];   /* of the last walk */
	u64 sums[MW_STACK_NODES];     /* hashes of their nodes, as they were hashed last */
	/* of the walk that runs (walk.bpf.h), between its legs and what is rare */
	u64 sp, fp, key, at, before, cfa, ret;
	u64 low;		       /* no frame lies below */
	u64 base, room, delta;	       /* of the window */
	u64 limit;		       /* no address of code lies above */
	u64 jumps;		       /* to other stacks that may still be followed */
	u64 missing;		       /* key of the first address without a rule; 0: none */
	u64 missing_sp, missing_fp;    /* the registers there */
	u64 missing_jumps;	       /* jumps left there */
	u64 frames_from, frames_bytes; /* keys of Go's own return addresses */
	u64 n;			       /* frames so far */
	u64 absent;		       /* a hash that no slot has, as was just seen */
	u32 rule, flags;
	u32 slot;    /* of the space; MW_SPACES: of none */
	u32 noting;  /* words are noted for a trail */
	u32 certain; /* frames before the first that is not; 0: all are */
	u32 alone;   /* a number for what the stack holds, when a snapshot shows it; else 0 */
	u32 ring;    /* the snapshot that is this fault's */
};

/* What the walk that keeps its frames has read: becomes a trail. */
struct notes {
	u64 base; /* page of sp */
	u64 bad;  /* too much, or too far away */
	u64 words;
	u64 fp_at, fp;	     /* where the fp of this frame was saved, not needed yet */
	u64 restored, by_fp; /* a frame has restored fp; one before that needed it */
	u8 page[MW_TRAIL_FOURS];
	u16 at[MW_TRAIL_WORDS];
	u64 word[MW_TRAIL_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_KINDS);
	__type(key, u32);
	__type(value, struct notes);
} all_notes __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_KINDS);
	__type(key, u32);
	__type(value, struct scratch);
} scratches __weak SEC(".maps");

#define HASH_FACTOR 0x9E3779B97F4A7C15ull /* 2^64 / golden ratio, odd */

/* Where the search for a hash begins, in any table: its upper bits, which are the best mixed. The largest table has 2^20. */
static __always_inline u32 slot_home(u64 hash)
{
	return hash >> 44;
}

static __always_inline struct mw_counters *cpu_counters(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&counters, &cpu);
}

#endif
