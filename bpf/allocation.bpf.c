/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Callers of malloc and its kind: a probe at the function's first instruction, for a few calls of a space. What it is not: a
 * count of all calls (each one traps), or of what is in use: free is not probed.
 *
 *   parse ─► malloc(984)      rdi 984; nothing of its frame is built: [rsp] is the return address into parse, and the registers
 *            push %r12  <- hit           are parse's own. So the walk begins in parse, at the call, with rsp + 8.
 *   allocations_left[slot]: 250 249 … 1 0 -1 -2     from 0 on nothing is recorded: before all sites are attached, and until
 *                                                   userspace/probe/allocation_probes has taken them away
 */
#include "lib/maps.bpf.h"
#include <bpf/bpf_tracing.h>
#include "lib/compat.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/filter.bpf.h"

extern u32 stack_store(u64 ip, u64 sp, u64 fp, u32 which); /* lib/stack.bpf.h, by way of fault.bpf.c */

#define LEAST_CODE 4096ull

/* As go_busy: of two tasks of one CPU that are in the program at once the second one goes without a stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} allocation_busy SEC(".maps");

static __always_inline u32 caller(struct pt_regs *ctx)
{
	u32 zero = 0, *busy = bpf_map_lookup_elem(&allocation_busy, &zero), slot = MW_ENTRY_STACK_LOST;
	u64 sp = user_sp(ctx), ret = 0;

	if (!busy || __sync_lock_test_and_set(busy, 1))
		return slot;
	if (!bpf_probe_read_user(&ret, sizeof(ret), (void *)sp) && ret >= LEAST_CODE)
		slot = stack_store(ret - 1, sp + sizeof(ret), user_bp(ctx), SCRATCH_ALLOCATION);
	__sync_lock_test_and_set(busy, 0);
	return slot;
}

static __always_inline u64 wanted_bytes(struct pt_regs *ctx, u64 where)
{
	u64 first, second, third;

	c_arguments(ctx, &first, &second, &third);
	return where == MW_BYTES_FIRST	  ? first
	       : where == MW_BYTES_SECOND ? second
	       : where == MW_BYTES_THIRD  ? third
					  : first * second;
}

SEC("uprobe")
int allocation_call(struct pt_regs *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *space = current_space(task);

	if (!space)
		return 0;
	u32 slot = space->flags >> MW_SPACE_SLOT_SHIFT;

	if (slot >= MW_SPACES || __sync_fetch_and_add(&allocations_left[slot], -1) <= 0)
		return 0;
	u32 stack = caller(ctx);
	u64 bytes = wanted_bytes(ctx, bpf_get_attach_cookie(ctx));

	EMIT(struct mw_allocation, MW_EVENT_ALLOCATION, space->space, task, e->stack = stack; e->pad = 0;
	     e->bytes = bytes);
	return 0;
}
