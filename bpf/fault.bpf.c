/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Page faults -> the page fault table: which stack brought a page in, and when. Not events: one word for each page, the
 * last fault wins, and overload cannot drop it. Faults are seen before they are handled: a fault that fails leaves an
 * entry for a page that is not resident; the next scan corrects that.
 *
 *   fault of space 3 at 0x7f12'3460'5000 -> stack slot 0x0beef -> chunk 77 -> table[77].e[5] = 0x0beef | kind | tick
 *
 * One body, and a program for each way to attach it (README.md): the cheapest that works is loaded.
 * Everything that reads stacks is in this file, calibrate and caller_stack too: bpftool 7.1 cannot link two objects
 * that use the same kfunc.
 */
#define MEMWHY_DEFINES_VARIABLES
#include "lib/maps.bpf.h"
#include <bpf/bpf_tracing.h>
#include "lib/compat.bpf.h"
#include "lib/filter.bpf.h"
#include "lib/chunk.bpf.h"
#include "lib/stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FAULT_FLAG_WRITE 1u /* of handle_mm_fault() */
#define FAULT_FLAG_USER	 0x40u

static __always_inline int record(struct task_struct *task, struct mw_space *space, u64 address,
				  struct pt_regs *user, u32 kind, u32 which)
{
	struct mw_counters *c = cpu_counters();

	if (!c)
		return 0;
	c->fault[MW_FAULTS_SEEN]++;

	/* first, so that its loads run beside those of the walk */
	u32 at = chunk_of((u64)space->space << CHUNK_KEY_BITS | address >> CHUNK_SHIFT);
	struct mw_chunk *chunk = bpf_map_lookup_elem(&table, &at);

	if (!chunk)
		return 0;

	/* a kernel thread on a borrowed mm, or an io_uring worker, has no user stack */
	u64 stack = which == SCRATCH_FAULT_KERNEL && (task->flags & PF_KTHREAD || !user_ip(user))
			? MW_ENTRY_STACK_NONE
			: stack_slot(task, space, user, c, which);
	u64 tick = bpf_jiffies64() & MW_ENTRY_TICK_MASK;
	volatile u64 *entry = &chunk->e[(address >> 12) & (MW_CHUNK_PAGES - 1)];

	*entry = stack << MW_ENTRY_STACK_SHIFT | (u64)kind << MW_ENTRY_KIND_SHIFT | tick;
	at &= MW_CHUNKS - 1;
	if (chunk_tick[at] != (u32)tick)
		chunk_tick[at] = tick;
	c->fault[MW_FAULTS_RECORDED]++;
	return 0;
}

static __always_inline int fault_user(u64 address, struct pt_regs *regs, u64 error_code)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *space = current_space(task);

	if (!space)
		return 0;
	return record(task, space, address, regs ?: user_regs(task),
		      fault_writes(error_code) ? MW_FAULT_WRITE : 0, SCRATCH_FAULT_USER);
}

/* The kernel touches user memory for the process. Not when faults are off: then nothing will be brought in.
 */
static __always_inline int fault_kernel(u64 address, u64 error_code)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *space = current_space(task);

	if (!space || !is_user_address(address) || task->pagefault_disabled)
		return 0;
	return record(task, space, address, user_regs(task),
		      MW_FAULT_KERNEL | (fault_writes(error_code) ? MW_FAULT_WRITE : 0),
		      SCRATCH_FAULT_KERNEL);
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(fault_user_btf, unsigned long address, struct pt_regs *regs, unsigned long error_code)
{
	return fault_user(address, regs, error_code);
}

SEC("tp_btf/page_fault_kernel")
int BPF_PROG(fault_kernel_btf, unsigned long address, struct pt_regs *regs, unsigned long error_code)
{
	return fault_kernel(address, error_code);
}

SEC("raw_tp/page_fault_user")
int fault_user_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return fault_user(ctx->args[0], NULL, ctx->args[2]);
}

SEC("raw_tp/page_fault_kernel")
int fault_kernel_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return fault_kernel(ctx->args[0], ctx->args[2]);
}

struct fault_record { /* of the classic tracepoints exceptions:page_fault_* */
	u64 common;
	u64 address, ip, error_code;
};

SEC("tp/exceptions/page_fault_user")
int fault_user_tp(struct fault_record *ctx)
{
	return fault_user(ctx->address, NULL, ctx->error_code);
}

SEC("tp/exceptions/page_fault_kernel")
int fault_kernel_tp(struct fault_record *ctx)
{
	return fault_kernel(ctx->address, ctx->error_code);
}

/* Where the page-fault tracepoints do not exist: every fault that reaches the memory manager, get_user_pages
 * too. */
static __always_inline int fault_mm(struct vm_area_struct *vma, u64 address, u32 flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mw_space *space = current_space(task);

	if (!space || (u64)BPF_CORE_READ(vma, vm_mm) != number(task->mm))
		return 0; /* not ours, or another process's memory */
	return record(task, space, address, user_regs(task),
		      (flags & FAULT_FLAG_USER ? 0 : MW_FAULT_KERNEL) |
			  (flags & FAULT_FLAG_WRITE ? MW_FAULT_WRITE : 0),
		      SCRATCH_FAULT_KERNEL);
}

SEC("fentry/handle_mm_fault")
int BPF_PROG(fault_any_fentry, struct vm_area_struct *vma, unsigned long address, unsigned int flags)
{
	return fault_mm(vma, address, flags);
}

SEC("kprobe/handle_mm_fault")
int BPF_KPROBE(fault_any_kprobe, struct vm_area_struct *vma, unsigned long address, unsigned int flags)
{
	return fault_mm(vma, address, flags);
}

/* The last resort: the software event of each fault. It does not say whether it was a write. */
SEC("perf_event")
int fault_any_perf(struct bpf_perf_event_data *ctx)
{
	return perf_in_user_mode(ctx) ? fault_user(ctx->addr, NULL, 0) : fault_kernel(ctx->addr, 0);
}

/* The stack of a system call's caller, for vma.bpf.c. which: SCRATCH_ENTER or SCRATCH_EXIT. */
__noinline u32 caller_stack(u32 which)
{
	struct pt_regs *user = user_regs(bpf_get_current_task_btf());

	return user_ip(user) ? stack_store(user_ip(user), user_sp(user), user_bp(user), which)
			     : MW_ENTRY_STACK_NONE;
}

/* In the way that the walk will read: where the kernel does not offer that, it refuses this program. */
static __always_inline bool reads_word(struct paging map, u64 pgd)
{
	u64 va = request.word_at, page = page_at(map, pgd, va), at = va & (PAGE_BYTES - 8);

	if (!page)
		return false;
	if (read_how == MW_READ_MEMORY)
		return *(const u64 *)(KERNEL_MEMORY(page) + at) == request.word;
	return kernel_word(page + at) == request.word;
}

/*
 * Where is the direct map? The daemon's own page table lies in it. Try each 1 GiB boundary below, with 4 and
 * with 5 levels, until the walk finds the word that the daemon put into its own memory. Loads are guarded.
 */
SEC("raw_tp")
int calibrate(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 pgd = number(task->mm->pgd);

	for (u64 gib = 0; gib < MW_CALIBRATE_STEP; gib++) {
		struct paging map = {.base = (pgd & ~0x3fffffffull) - ((request.skip_gib + gib) << 30)};

		if (!reads_word(map, pgd)) {
			map.five = true;
			if (!reads_word(map, pgd))
				continue;
		}
		request.direct_map = map.base;
		request.la57 = map.five;
		return 0;
	}
	return 0;
}
