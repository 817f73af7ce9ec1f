/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of a walk that is a chain of frame pointers: all of Go's own code, and everything where there are no rules.
 *
 *   fp c0'001a'2e60:   [2e60] = c0'001a'2ee0, the fp of the caller    [2e68] = 0x4a'1b2c, a return address into it
 *
 * Nothing is looked up here. Whatever is odd about a frame (another page, an address that is not one of such code, the end) is
 * left to the walk.
 */
#ifndef MEMWHY_POINTERS_BPF_H
#define MEMWHY_POINTERS_BPF_H

#include "hash.bpf.h"
#include "read.bpf.h"

#define POINTER_FRAMES 32u /* of one run; with more, the next leg begins with them */

/* On through such code, as far as both words of a frame are in the window. In and out: scratch. how: a constant. */
static __always_inline int pointer_run(enum mw_read_how how, struct scratch *s)
{
	struct window w = {s->base, s->room, s->delta, NULL};
	u64 from = s->frames_from, bytes = s->frames_bytes, limit = s->limit, sp = s->sp, fp = s->fp,
	    key = s->key, n = s->n;
	u64 group = key & ~(2 * MW_RULE_IP - 1);

	if (how == MW_READ_MEMORY)
		w.memory = KERNEL_MEMORY(w.delta);
	for (u32 i = 0; i < POINTER_FRAMES; i++) {
		if (key - from >= bytes || (fp - sp) & ~(STACK_REACH - 8) || n >= MW_STACK_FRAMES ||
		    !in_window(&w, fp) || !in_window(&w, fp + 8))
			break;
		u64 ret = word_in(&w, how, s, fp + 8);

		if (ret - PAGE_BYTES >= limit - PAGE_BYTES)
			break;
		sp = fp + 16;
		fp = word_in(&w, how, s, fp);
		key = group | ret;
		next_frame(s, &n, ret);
		OPAQUE(sp);
		OPAQUE(fp);
		OPAQUE(key);
	}
	s->sp = sp;
	s->fp = fp;
	s->key = key;
	s->n = n;
	return 0;
}

/* Not static: verified once. */
__noinline int pointer_frames(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	if (!s)
		return 0;
	return read_how == MW_READ_MEMORY  ? pointer_run(MW_READ_MEMORY, s)
	       : read_how == MW_READ_WORDS ? pointer_run(MW_READ_WORDS, s)
					   : 0;
}

#endif
