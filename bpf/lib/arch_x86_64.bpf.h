/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All that the programs know of x86-64: system calls and their arguments, the error bits of a page fault, how
 * page tables are walked, where a thread keeps its pointers. Another machine is another file like this one, with the same
 * names; Makefile.bpf chooses by ARCH.
 *
 *   user registers of a task      call_number(r)  call_argument(r, 0) .. (r, 5)  call_result(r)   user_ip sp bp
 *   word of a fault tracepoint    fault_writes(error)
 *   page tables                   PGD -> P4D (with 5 levels) -> PUD -> PMD -> PTE, entries of 8 bytes, 512 in a page
 */
#ifndef MEMWHY_ARCH_X86_64_BPF_H
#define MEMWHY_ARCH_X86_64_BPF_H

#include "vmlinux.h"

enum call_number { NR_MMAP = 9, NR_MUNMAP = 11, NR_BRK = 12, NR_MREMAP = 25, NR_MADVISE = 28 };

static __always_inline u64 call_number(const struct pt_regs *user)
{
	return user->orig_ax;
}

/* i: a constant, 0 to 5. The kernel keeps the fourth in r10, because the instruction itself takes rcx. */
static __always_inline u64 call_argument(const struct pt_regs *user, int i)
{
	return i == 0	? user->di
	       : i == 1 ? user->si
	       : i == 2 ? user->dx
	       : i == 3 ? user->r10
	       : i == 4 ? user->r8
			: user->r9;
}

static __always_inline u64 call_result(const struct pt_regs *user)
{
	return user->ax;
}

static __always_inline u64 user_ip(const struct pt_regs *user)
{
	return user->ip;
}

static __always_inline u64 user_sp(const struct pt_regs *user)
{
	return user->sp;
}

/* The frame pointer: at it lie that of the caller, and the return address. */
static __always_inline u64 user_bp(const struct pt_regs *user)
{
	return user->bp;
}

/* The last write, which others wait for: the machine writes in order. */
#define PUBLISH(where, what)                                                                                 \
	do {                                                                                                 \
		asm volatile("" ::: "memory");                                                               \
		*(volatile typeof(*(where)) *)(where) = (what);                                              \
	} while (0)

/* Frame of a signal, from the stack pointer of its handler's caller on: what the signal interrupted. */
#define SIGNAL_FP 120
#define SIGNAL_SP 160
#define SIGNAL_IP 168

/* Error code of the page-fault tracepoints. */
#define FAULT_ERROR_WRITE 2u

static __always_inline bool fault_writes(u64 error_code)
{
	return error_code & FAULT_ERROR_WRITE;
}

/* Kernel addresses have the top bit. */
static __always_inline bool is_user_address(u64 address)
{
	return (s64)address >= 0;
}

/* A perf_event program sees registers in the order of struct pt_regs; the low bits of cs are the privilege. */
#define PERF_REGISTER_CS 17
#define CS_USER		 3u

static __always_inline bool perf_in_user_mode(const struct bpf_perf_event_data *ctx)
{
	return (ctx->regs[PERF_REGISTER_CS] & CS_USER) == CS_USER;
}

static __always_inline u64 thread_pointer(const struct task_struct *task)
{
	return task->thread.fsbase;
}

/* Page tables. The address of an entry goes without the encryption bit of SEV, and without NX. */
#define PAGE_BYTES	4096ull
#define HUGE_PAGE_BYTES (2ull << 20)
#define PTE_PRESENT	1ull
#define PTE_LEAF	0x80ull
#define PTE_ADDRESS	0x00003ffffffff000ull
#define PGD_SHIFT	48 /* only with 5 levels */
#define P4D_SHIFT	39
#define PUD_SHIFT	30
#define PMD_SHIFT	21
#define PTE_SHIFT	12
#define TABLE_INDEX(va, shift)                                                                               \
	(((va) >> ((shift)-3)) &                                                                             \
	 0xff8) /* of the entry for va in the table whose entries span 2^shift bytes */

/*
 * One word that changes before a page of this memory can have moved: whoever changes an entry of a page table that a processor may
 * have used has to flush it everywhere before he uses the page for something else, and each flush is counted. 0: no page may be
 * taken to be where it was.
 */
static __always_inline u64 page_moves(const struct mm_struct *mm)
{
	return bpf_core_field_exists(mm->context.tlb_gen) ? mm->context.tlb_gen.counter : 0;
}

/* Go's calling convention for its own functions on amd64: arguments, the receiver first, in AX, BX, CX ... Both are loaded:
 * a load from a chosen place in the context is refused. */
static __always_inline void go_arguments(struct pt_regs *ctx, u64 *second, u64 *third)
{
	*second = *(volatile unsigned long *)&ctx->bx;
	*third = *(volatile unsigned long *)&ctx->cx;
}

/* Arguments of a C function, at its entry. All are loaded, for the same reason. */
static __always_inline void c_arguments(struct pt_regs *ctx, u64 *first, u64 *second, u64 *third)
{
	*first = *(volatile unsigned long *)&ctx->di;
	*second = *(volatile unsigned long *)&ctx->si;
	*third = *(volatile unsigned long *)&ctx->dx;
}

#define FLAG_CARRY 0x01ull
#define FLAG_ZERO  0x40ull

/* At the conditional jump (jbe) of a stack check: it is taken, and the function begins again on a larger stack. */
static __always_inline bool go_stack_grows(const struct pt_regs *ctx)
{
	return ctx->flags & (FLAG_CARRY | FLAG_ZERO);
}

#endif
