/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rare functions of the Go runtime, at the conditional jump of their stack check (userspace/symbols/stack_check.h): the
 * arguments are in registers, and the frame is not built yet. Never a return probe: it would kill a Go program.
 *
 *   main.load  ->  makeslice  ->  mallocgc  ->  (*mcache).allocLarge     AX receiver, BX size, CX noscan
 *                                                 cmp 0x10(%r14), %rsp
 *                                                 jbe  <- hit. CF|ZF: the stack grows first, and the function begins
 *                                                         again: not counted. Else: BX bytes by the stack of
 *   rsp -> return into mallocgc                           {mallocgc, makeslice, main.load ...}: the callee that is probed
 *   rbp -> frame of mallocgc                              is known from the cookie
 */
#include "lib/maps.bpf.h"
#include <bpf/bpf_tracing.h>
#include "lib/compat.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/filter.bpf.h"

extern u32 stack_store(u64 ip, u64 sp, u64 fp, u32 which); /* lib/stack.bpf.h, by way of fault.bpf.c */

#define SYSTEM_STACK_FRAMES 12 /* from the probed function to the switch to the system stack, at most */
#define STACK_REACH	    (8ull << 20) /* as in lib/read.bpf.h: a frame further above sp is of another stack */
#define LEAST_CODE	    4096ull

/*
 * A probe's program can be preempted by that of another task on its CPU: the second one goes without a stack (counted
 * as lost) instead of into the scratch of the first.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} go_busy SEC(".maps");

struct frame {
	u64 next, ret; /* what lies at a frame pointer: the caller's frame pointer, the return address */
};

struct registers { /* where a walk begins */
	u64 ip, sp, bp;
};

/*
 * The runtime works on the system stack of its thread for a goroutine that waits there. The chain of frame pointers
 * leads back: one of them jumps off the system stack, to the frame of the function that switched.
 *
 *   thread    7f..e380 grow  ->  7f..e3f0 alloc.func1  ->  c000'1a2e60  (not above: another stack)
 *   goroutine c000'1a2e60 (*mheap).alloc  ->  c000'1a2ee0 (*mcache).allocLarge  ->  mallocgc  ->  main.load ...
 */
static __always_inline void leave_system_stack(struct registers *at)
{
	u64 sp = at->sp, bp = at->bp;

	for (int i = 0; i < SYSTEM_STACK_FRAMES; i++) {
		struct frame f;

		if (bpf_probe_read_user(&f, sizeof(f), (void *)bp) || !f.next)
			return;
		if (f.next - sp < STACK_REACH) {
			bp = f.next;
			continue;
		}
		sp = f.next;
		if (bpf_probe_read_user(&f, sizeof(f), (void *)sp) || f.ret < LEAST_CODE)
			return;
		at->ip = f.ret - 1;
		at->sp = sp;
		at->bp = f.next;
		return;
	}
}

/* Slot of the stack that called the probed function, its caller first (at the call). */
static __always_inline u32 callers(struct pt_regs *ctx, bool on_system_stack)
{
	struct registers at = {.ip = user_ip(ctx), .sp = user_sp(ctx), .bp = user_bp(ctx)};
	u32 zero = 0, *busy = bpf_map_lookup_elem(&go_busy, &zero), slot = MW_ENTRY_STACK_LOST;
	u64 ret = 0;

	if (!busy || __sync_lock_test_and_set(busy, 1))
		return slot;
	if (!bpf_probe_read_user(&ret, sizeof(ret), (void *)at.sp) && ret >= LEAST_CODE)
		at.ip = ret - 1;
	if (on_system_stack)
		leave_system_stack(&at);
	slot = stack_store(at.ip, at.sp, at.bp, SCRATCH_GO);
	__sync_lock_test_and_set(busy, 0);
	return slot;
}

/* false: over the limit of calls reported in a second. Races are harmless: a few more, a few less. */
static __always_inline bool within_burst(u32 function, u64 now)
{
	struct mw_go_window *w = &go_windows[function];

	if (w->second != now >> 30) {
		w->second = now >> 30;
		w->calls = 0;
	}
	return __sync_fetch_and_add(&w->calls, 1) < go_burst;
}

static __always_inline u64 argument(struct pt_regs *ctx, u64 cookie)
{
	u64 second, third;
	u32 which = cookie >> 8 & 0xff;

	go_arguments(ctx, &second, &third);
	return (which == MW_GO_SECOND ? second : which == MW_GO_THIRD ? third : 0) << (cookie >> 16 & 31);
}

SEC("uprobe")
int go_call(struct pt_regs *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *space = current_space(task);
	struct mw_counters *c = cpu_counters();

	if (!space || !c)
		return 0;
	u64 started = bpf_ktime_get_ns(), cookie = bpf_get_attach_cookie(ctx);
	u32 function = cookie & 7; /* the verifier forgets the comparison, not the mask */

	if (function >= MW_GO_FUNCTIONS)
		return 0;
	__sync_fetch_and_add(&c->go_hits[function], 1);
	if (go_stack_grows(ctx)) {
		__sync_fetch_and_add(&c->go_again, 1);
	} else if (!within_burst(function, started)) {
		__sync_fetch_and_add(&c->seen[MW_EVENT_GO_CALL], 1);
		__sync_fetch_and_add(&c->lost[MW_EVENT_GO_CALL], 1);
	} else {
		u32 stack = MW_ENTRY_STACK_NONE;

		if (function != MW_GO_MARK_END)
			stack = callers(ctx, function == MW_GO_HEAP_GROW || function == MW_GO_SCAVENGE);
		EMIT(struct mw_go_call, MW_EVENT_GO_CALL, space->space, task, e->function = function;
		     e->stack = stack; e->bytes = argument(ctx, cookie));
	}
	__sync_fetch_and_add(&c->go_ns[function], bpf_ktime_get_ns() - started);
	return 0;
}
