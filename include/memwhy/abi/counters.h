/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counted in BPF, per CPU, before anything can fail: for each kind seen = delivered + lost, at any load.
 * The user side counts what it took out of the ring and asserts the identity.
 */
#ifndef MEMWHY_ABI_COUNTERS_H
#define MEMWHY_ABI_COUNTERS_H

#include "event.h"

enum mw_fault_counter {
	MW_FAULTS_SEEN = 0,   /* faults of traced spaces */
	MW_FAULTS_RECORDED,   /* an entry was written (with or without its stack) */
	MW_FAULTS_TABLE_FULL, /* no chunk free: the page's stack and time are unknown */
	MW_STACKS_NEW,	      /* distinct stacks stored */
	MW_STACKS_LOST,	      /* occurrences whose stack found no slot, not even for two frames of it */
	MW_STACKS_PAIRED,     /* occurrences whose stack had room for its first two frames only */
	MW_STACKS_UNREADABLE, /* walks that met memory that could not be read */
	MW_FRAMES_BY_HELPER,  /* frames that the direct read had to leave to bpf_probe_read_user */
	MW_SPACES_FULL,	      /* forks and execs that found no free space */
	MW_CHUNKS_NEW,	      /* chunks claimed */
	MW_SNAPSHOTS_SENT,    /* of stacks that met an address without a rule */
	MW_SNAPSHOTS_LIMITED, /* not sent: more than the daemon had allowed */
	MW_SNAPSHOTS_LOST,    /* not sent: their ring had no room */
	MW_TRAILS_USED,	      /* faults whose stack came from a trail */
	MW_TRAILS_MADE,
	MW_TRAILS_WRONG, /* only where each is checked: the walk found another */
	MW_FAULT_COUNTERS,
};

struct mw_counters {
	mw_u64 seen[MW_EVENT_KINDS]; /* by enum mw_event_kind */
	mw_u64 lost[MW_EVENT_KINDS]; /* the ring had no room */
	mw_u64 fault[MW_FAULT_COUNTERS];
	mw_u64 go_hits[MW_GO_FUNCTIONS]; /* of a probe, by enum mw_go_function; go_again among them */
	mw_u64 go_ns[MW_GO_FUNCTIONS];	 /* what its program took */
	mw_u64 go_again; /* the stack had to grow first: the function begins again, and is counted then */
	mw_u64 pad[1];
};

MW_ASSERT_SIZE(struct mw_counters, 448); /* whole cache lines: one element of an array for each CPU */

#endif
