/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The life of address spaces and of the processes on them.
 *
 *   trace 4711      claim: mm of any of its threads  -> space 1     members {4711: 1}
 *   it forks 4800   a new mm, MW_SPACE_FOLLOW set    -> space 2     members {4711: 1, 4800: 2}            FORK 1 -> 2
 *   it vforks 4801  the same mm                                     members {.., 4801: 1 borrowed}
 *   4801 execs      a new mm                         -> space 3     members {.., 4801: 3}        EXEC 1 -> 3 borrowed
 *   4711 execs      exit_mmap of 1, then a new mm    -> space 4     members {4711: 4, ..}         END 1, EXEC 1 -> 4
 *
 * When exec and exit are seen, the task has left its old mm: members remembers it. A space ends when its mm is torn
 * down (exit_mmap), whoever drops the last reference; `end_at_exit`: where no such hook exists, with its process.
 */
#include "lib/maps.bpf.h"
#include <bpf/bpf_tracing.h>
#include "lib/compat.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/filter.bpf.h"

static __always_inline void end(struct task_struct *task, u32 space, u32 why)
{
	if (space)
		EMIT(struct mw_space_end, MW_EVENT_SPACE_END, space, task, e->why = why; e->pad = 0);
}

/* An mm that starts its life cannot be traced yet: its slot is left from one whose end was not seen. */
static __always_inline void end_stale(struct task_struct *task, u64 mm)
{
	end(task, space_release(mm), MW_END_STALE);
}

static __always_inline int forked(struct task_struct *parent, s32 child, u64 child_mm)
{
	u64 mm = number(parent->mm);

	if (child == parent->tgid) /* a thread */
		return 0;
	if (child_mm != mm)
		end_stale(parent, child_mm);

	struct mw_space *s = space_of(mm);

	if (!s)
		return 0;
	struct mw_member m = {
	    .mm = child_mm, .space = s->space, .flags = s->flags & MW_SPACE_FLAGS, .from = s->space};

	if (child_mm == mm) {
		m.flags |= MW_MEMBER_BORROWED;
		bpf_map_update_elem(&members, &child, &m, BPF_ANY);
		return 0;
	}
	if (!(s->flags & MW_SPACE_FOLLOW))
		return 0;
	m.space = space_claim(child_mm, s->flags, parent->mm->brk);
	if (m.space)
		bpf_map_update_elem(&members, &child, &m, BPF_ANY);
	EMIT(struct mw_space_fork, MW_EVENT_SPACE_FORK, s->space, parent, e->child_space = m.space;
	     e->child_tgid = child);
	return 0;
}

static __always_inline int execed(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 mm = number(task->mm);
	s32 tgid = task->tgid;

	end_stale(task, mm);

	struct mw_member *m = bpf_map_lookup_elem(&members, &tgid);

	if (!m)
		return 0;
	u32 old = m->space, borrowed = m->flags & MW_MEMBER_BORROWED, follow = m->flags & MW_SPACE_FOLLOW;

	if (borrowed && !follow) {
		bpf_map_delete_elem(&members, &tgid);
		return 0;
	}
	if (end_at_exit && !borrowed)
		end(task, space_release(m->mm), MW_END_EXEC);

	u32 space = space_claim(mm, follow, task->mm->brk);

	m->mm = mm;
	m->space = space;
	m->flags = follow;
	if (!space)
		bpf_map_delete_elem(&members, &tgid);
	EMIT(struct mw_space_exec, MW_EVENT_SPACE_EXEC, old, task, e->new_space = space;
	     e->flags = borrowed ? MW_EXEC_BORROWED : 0);
	return 0;
}

static __always_inline int torn_down(u64 mm)
{
	u32 space = space_release(mm);

	if (!space)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	s32 tgid = task->tgid;
	struct mw_member *m = bpf_map_lookup_elem(&members, &tgid);

	/* an exec tears the old mm down when it is on the new one already; an exit, when it is on none */
	end(task, space, task->mm && m && m->space == space ? MW_END_EXEC : MW_END_EXIT);
	return 0;
}

static __always_inline u64 rss_count(struct mm_struct *mm, const int which)
{
	s64 pages = mm->rss_stat[which].count; /* approximate: without what each CPU still holds */

	return pages > 0 ? pages : 0;
}

static __always_inline int exited(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	s32 tgid = task->tgid;

	if (task->signal->live.counter) /* not the last thread */
		return 0;
	struct mw_member *m = bpf_map_lookup_elem(&members, &tgid);

	if (!m)
		return 0;
	struct mm_struct *mm = task->mm; /* gone already, but on the newest kernels */
	bool counted = bpf_core_field_exists(mm->rss_stat[0].count) && mm;

	EMIT(struct mw_process_exit, MW_EVENT_PROCESS_EXIT, m->space, task, e->exit_code = task->exit_code;
	     e->pad = 0; e->rss_pages[0] = counted ? rss_count(mm, 0) : ~0ull;
	     e->rss_pages[1] = counted ? rss_count(mm, 1) : ~0ull;
	     e->rss_pages[2] = counted ? rss_count(mm, 2) : ~0ull;
	     e->rss_pages[3] = counted ? rss_count(mm, 3) : ~0ull);
	if (end_at_exit && !(m->flags & MW_MEMBER_BORROWED))
		end(task, space_release(m->mm), MW_END_EXIT);
	bpf_map_delete_elem(&members, &tgid);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(fork_btf, struct task_struct *parent, struct task_struct *child)
{
	return forked(parent, child->tgid, number(child->mm));
}

SEC("raw_tp/sched_process_fork")
int fork_raw(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *child = (struct task_struct *)ctx->args[1];

	return forked(bpf_get_current_task_btf(), BPF_CORE_READ(child, tgid), (u64)BPF_CORE_READ(child, mm));
}

#define ON_CURRENT(section, name, body)                                                                      \
	SEC(section) int name(void *ctx)                                                                     \
	{                                                                                                    \
		return body();                                                                               \
	}

ON_CURRENT("tp_btf/sched_process_exec", exec_btf, execed)
ON_CURRENT("raw_tp/sched_process_exec", exec_raw, execed)
ON_CURRENT("tp/sched/sched_process_exec", exec_tp, execed)
ON_CURRENT("tp_btf/sched_process_exit", exit_btf, exited)
ON_CURRENT("raw_tp/sched_process_exit", exit_raw, exited)
ON_CURRENT("tp/sched/sched_process_exit", exit_tp, exited)

SEC("tp_btf/exit_mmap")
int BPF_PROG(space_end_btf, struct mm_struct *mm)
{
	return torn_down(number(mm));
}

SEC("raw_tp/exit_mmap")
int space_end_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return torn_down(ctx->args[0]);
}

static __always_inline int victim(s32 tgid, u32 space)
{
	struct task_struct *task = bpf_get_current_task_btf();

	EMIT(struct mw_oom_victim, MW_EVENT_OOM_VICTIM, space, task, e->h.tgid = tgid);
	return 0;
}

static __always_inline int victim_by_tgid(s32 tgid)
{
	struct mw_member *m = bpf_map_lookup_elem(&members, &tgid);

	return m ? victim(tgid, m->space) : 0;
}

/* 6.10 and later give the task, older kernels its tid. */
SEC("raw_tp/mark_victim")
int oom_raw(struct bpf_raw_tracepoint_args *ctx)
{
	if ((s64)ctx->args[0] >= 0)
		return victim_by_tgid(ctx->args[0]);
	return victim_by_tgid(BPF_CORE_READ((struct task_struct *)ctx->args[0], tgid));
}

struct victim_record { /* of the classic tracepoint oom:mark_victim */
	u64 common;
	s32 tid;
};

SEC("tp/oom/mark_victim")
int oom_tp(struct victim_record *ctx)
{
	return victim_by_tgid(ctx->tid);
}
