/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long the rules of a space are valid: until code that they describe is unmapped. The daemon lists the ranges of that
 * code; whatever removes a part of one begins a new generation, whose keys no old rule has (abi/unwind.h).
 *
 *   slot 0x9f1, generation 3, ranges {7f12'3400-7f12'3460 libc, 5555'1000-5555'1400}
 *   munmap 7f12'3400, 0x60000  ->  generation 4, no ranges; the next faults go by frame pointers until rules are learned
 */
#ifndef MEMWHY_CODE_BPF_H
#define MEMWHY_CODE_BPF_H

#include "maps.bpf.h"

static __always_inline struct mw_space_code *code_of(const struct mw_space *space)
{
	return &space_code[(space->flags >> MW_SPACE_SLOT_SHIFT) & (MW_SPACES - 1)];
}

static __always_inline void rules_over(struct mw_space_code *code)
{
	code->ranges = 0;
	code->frames_bytes = 0;
	__sync_fetch_and_add(&code->generation, 1);
	__sync_fetch_and_add(&code_changes, 1);
}

/* Called before and after: mappings that are read in between are those of neither. */
static __always_inline void code_comes(const struct mw_space *space)
{
	__sync_fetch_and_add(&code_of(space)->mapped, 1);
}

/* Called before the range is unmapped or mapped over, so that no fault finds a rule of what was there. */
static __always_inline void code_leaves(const struct mw_space *space, u64 start, u64 bytes)
{
	struct mw_space_code *code = code_of(space);
	u32 n = code->ranges;

	for (u32 i = 0; i < MW_CODE_RANGES; i++) {
		if (i >= n)
			return;
		if (start < code->range[i].end && start + bytes > code->range[i].start) {
			rules_over(code);
			return;
		}
	}
}

#endif
