/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The only code that touches the ring: count seen -> reserve -> fill -> submit, or count lost. For each kind
 * and at any load seen = delivered + lost. Emitting wakes nothing: the daemon drains by its own clock.
 */
#ifndef MEMWHY_EMIT_BPF_H
#define MEMWHY_EMIT_BPF_H

#include "maps.bpf.h"

/* Atomic, because on some kernels a system call's program can be preempted by another on the same CPU. */
static __always_inline void *event_reserve(enum mw_event_kind kind, u32 bytes, u32 space,
					   struct task_struct *task)
{
	struct mw_counters *c = cpu_counters();

	if (!c)
		return NULL;
	__sync_fetch_and_add(&c->seen[kind], 1);

	struct mw_event_header *h = bpf_ringbuf_reserve(&ring, bytes, 0);

	if (!h) {
		__sync_fetch_and_add(&c->lost[kind], 1);
		return NULL;
	}
	h->kind = kind;
	h->space = space;
	h->tgid = task->tgid;
	h->tid = task->pid;
	h->time_ns = bpf_ktime_get_ns();
	h->tick = bpf_jiffies64() & MW_ENTRY_TICK_MASK;
	return h;
}

/*
 * EMIT(struct mw_vma_brk, MW_EVENT_VMA_BRK, space, task, e->old_end = 1; e->new_end = 2);
 * The statements run only when there is room; every field must be set.
 */
#define EMIT(type, kind, space, task, ...)                                                                   \
	({                                                                                                   \
		type *e = event_reserve(kind, sizeof(type), space, task);                                    \
		if (e) {                                                                                     \
			__VA_ARGS__;                                                                         \
			bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);                                             \
		}                                                                                            \
	})

#endif
