/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's queries: iterators over tasks (read like files) and programs that it runs once by BPF_PROG_TEST_RUN.
 * Requests and results go through `request`. Nothing here is ever attached to an event.
 */
#include "lib/maps.bpf.h"
#include <bpf/bpf_tracing.h>
#include "lib/compat.bpf.h"
#include "lib/filter.bpf.h"

/*
 * "Trace request.tgid": finds the mm of any thread and gives it a space, or finds the space that it has. A second
 * recording of a space may add flags to it, and takes none away.
 */
SEC("iter/task")
int claim(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task || task->tgid != request.tgid || request.mm)
		return 0;
	request.found = 1;
	if (task->flags & PF_KTHREAD) {
		request.kernel = 1;
		return 0;
	}
	u64 mm = number(task->mm);
	struct mw_space *s = mm ? space_of(mm) : NULL;

	if (!mm)
		return 0;
	if (s)
		request.flags = (s->flags |= request.flags) & MW_SPACE_FLAGS;
	request.space = s ? s->space : space_claim(mm, request.flags, task->mm->brk);
	barrier();
	if (number(task->mm) != mm) { /* it exits or execs this moment: its end may have been missed */
		space_release(mm);
		request.space = 0;
		return 0;
	}
	request.mm = mm;
	return 0;
}

/* After claim: every process on request.mm becomes a member, or stays the one that it is. */
SEC("iter/task")
int space_members(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task || task->flags & PF_KTHREAD || !request.mm || number(task->mm) != request.mm)
		return 0;
	s32 tgid = task->tgid;
	struct mw_member *known = bpf_map_lookup_elem(&members, &tgid);
	struct mw_member m = {
	    .mm = request.mm,
	    .space = request.space,
	    .flags = request.flags | (tgid == request.tgid ? 0 : MW_MEMBER_BORROWED),
	};

	if (known && known->mm == request.mm && known->space == request.space) {
		known->flags |= request.flags & MW_SPACE_FOLLOW;
		return 0;
	}
	bpf_map_update_elem(&members, &tgid, &m, BPF_ANY);
	barrier();
	if (!task->signal->live.counter) /* it exits: that may have been seen before this */
		bpf_map_delete_elem(&members, &tgid);
	return 0;
}

/* Threads of request.mm, one struct mw_thread each. */
SEC("iter/task")
int space_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task || task->flags & PF_KTHREAD || !request.mm || number(task->mm) != request.mm)
		return 0;
	struct mw_thread t = {.tid = task->pid, .sp = user_sp(user_regs(task)), .tls = thread_pointer(task)};

	bpf_seq_write(ctx->meta->seq, &t, sizeof(t));
	return 0;
}

/*
 * The processes whose map is locked at this moment. Adding or removing a breakpoint takes that lock of every process that maps
 * the file, where no signal arrives, and every fork of the machine waits for that: so it is done only when the locks were just
 * seen free. One struct mw_held each.
 */
SEC("iter/task")
int maps_held(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task || task->flags & PF_KTHREAD || (task != task->group_leader && task->group_leader->mm))
		return 0;
	struct mm_struct *mm = task->mm;
	struct mw_held h = {.mm = number(mm), .tgid = task->tgid};

	if (!h.mm || !bpf_core_field_exists(mm->mmap_lock.count) ||
	    BPF_CORE_READ(mm, mmap_lock.count.counter) == 0)
		return 0;
	bpf_seq_write(ctx->meta->seq, &h, sizeof(h));
	return 0;
}

/*
 * Which of request.mappers map the file that request.mm maps at request.site: a walk over the kernel's tree of the mappings of
 * that file, which is what it goes by when it takes their locks. No lock is taken: who changes the tree meanwhile can hide a part
 * of it from one walk, so that the daemon asks several times.
 */
#define MAPPER_STEPS (1u << 20) /* some 500,000 mappings, 50 ms */

struct walk {
	u64 at;	  /* a node; 0: it is over */
	u64 from; /* the one before */
};

/* From above: down to the left. From there: the mapping itself, and down to the right. From there: up. */
static long walk_on(u32 step, void *context)
{
	struct walk *w = context;
	struct rb_node *node = (struct rb_node *)w->at;
	u64 left = number(BPF_CORE_READ(node, rb_left)), right = number(BPF_CORE_READ(node, rb_right));
	u64 above = BPF_CORE_READ(node, __rb_parent_color) & ~3ull;
	u64 to = above;

	if (w->from == above && left) {
		to = left;
	} else if (w->from == above || w->from == left) {
		u64 vma_at = w->at - bpf_core_field_offset(struct vm_area_struct, shared.rb);
		u64 mm = number(BPF_CORE_READ((struct vm_area_struct *)vma_at, vm_mm));

		for (u32 i = 0; i < MW_MAPPERS; i++)
			if (mm && request.mappers[i] == mm)
				request.mapping |= 1u << i;
		if (right)
			to = right;
	}
	w->from = w->at;
	w->at = to;
	return !to;
}

static long walk_mappings(struct task_struct *task, struct vm_area_struct *vma, void *context)
{
	struct walk *w = context;

	w->at = number(BPF_CORE_READ(vma, vm_file, f_mapping, i_mmap.rb_root.rb_node));
	return 0;
}

SEC("iter/task")
int file_mappers(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task || task->flags & PF_KTHREAD || request.found || !request.mm ||
	    number(task->mm) != request.mm)
		return 0;
	struct walk w = {};

	/* It does not wait for the lock of that map: then nothing is found. */
	if (bpf_find_vma(task, request.site, walk_mappings, &w, 0) < 0 || !w.at)
		return 0;
	request.found = 1;
	bpf_loop(MAPPER_STEPS, walk_on, &w, 0);
	request.all_seen = !w.at;
	return 0;
}

/* The tick that page-table entries carry, and the time that events carry, at one moment. */
SEC("raw_tp")
int clock(void *ctx)
{
	request.time_ns = bpf_ktime_get_ns();
	request.boot_ns = bpf_ktime_get_boot_ns();
	request.tick = bpf_jiffies64() & MW_ENTRY_TICK_MASK;
	return 0;
}
