/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What differs between kernels, in one place: the guarded read of kernel memory, and the registers of a task. Also the one
 * place that chooses the header of the machine.
 */
#ifndef MEMWHY_COMPAT_BPF_H
#define MEMWHY_COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#if defined(__TARGET_ARCH_x86)
#include "arch_x86_64.bpf.h"
#else
#error "memwhy has no lib/arch_*.bpf.h for this machine: bpf/README.md says what one must hold"
#endif

/*
 * The verifier replaces the call by a move; a load through the result is guarded by the exception table, so that a bad
 * address reads as 0. What a kernel does not offer (enum mw_read_how) is dead code there.
 */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/*
 * A kernel pointer as a plain number, to hash it or to compute with it, which the verifier forbids on
 * pointers. The conversion to little endian is no instruction on x86, and makes the verifier forget that this
 * was a pointer.
 */
#define OPAQUE(word) asm volatile("%0 = le64 %0" : "+r"(word))

static __always_inline u64 number(const void *pointer)
{
	u64 n = (u64)pointer;

	OPAQUE(n);
	return n;
}

/* Memory from any kernel address on, in which addresses may be computed. */
#define KERNEL_MEMORY(address) ((const void *)bpf_rdonly_cast((void *)(address), 0))

/* Two words at any kernel address. */
#define KERNEL_PAIR(address)                                                                                 \
	((struct timespec64 *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(struct timespec64)))
#define FIRST_WORD(pair)  ((u64)(pair)->tv_sec)
#define SECOND_WORD(pair) ((u64)(pair)->tv_nsec)

static __always_inline u64 kernel_word(u64 address)
{
	return FIRST_WORD(KERNEL_PAIR(address));
}

/* The user registers of a task that is inside the kernel: at a user-mode fault, a kernel-mode fault or a
 * system call. */
static __always_inline struct pt_regs *user_regs(struct task_struct *task)
{
	return (struct pt_regs *)bpf_task_pt_regs(task);
}

#endif
