/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel types that memwhy's programs touch, with only the fields they use. Offsets are not taken from
 * here: `preserve_access_index` makes libbpf look each field up in the running kernel's BTF (CO-RE). README.md says
 * how this file was made and how to add to it.
 */
#ifndef __VMLINUX_H__ /* the name by which libbpf's headers know these field names */
#define __VMLINUX_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short int __s16;
typedef short unsigned int __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long int __s64;
typedef long long unsigned int __u64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __s64 s64;
typedef __u64 u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false = 0, true = 1 };

/* from the kernel's user ABI (linux/bpf.h): fixed for ever */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0 };
enum { BPF_F_MMAPABLE = 1024 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
struct bpf_raw_tracepoint_args {
	__u64 args[0];
};
/* of a perf_event program; regs in the order of struct pt_regs: 17 is cs */
struct bpf_perf_event_data {
	__u64 regs[21];
	__u64 sample_period;
	__u64 addr;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
	long unsigned int r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

typedef struct {
	int counter;
} atomic_t;

struct percpu_counter {
	s64 count;
};

typedef struct {
	long unsigned int pgd;
} pgd_t;

struct rw_semaphore {
	struct {
		s64 counter;
	} count; /* atomic_long_t; a kernel with PREEMPT_RT has none: asked for with bpf_core_field_exists */
};

struct rb_node {
	long unsigned int __rb_parent_color;
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

struct address_space {
	struct rb_root_cached i_mmap;
};

struct file {
	struct address_space *f_mapping;
};

typedef struct {
	s64 counter;
} atomic64_t;

typedef struct {
	atomic64_t tlb_gen;
} mm_context_t;

struct mm_struct {
	pgd_t *pgd;
	mm_context_t context;
	struct rw_semaphore mmap_lock;
	long unsigned int brk;
	struct percpu_counter rss_stat[4]; /* 6.2 and later; before, another type: asked for with bpf_core_field_exists */
};

struct signal_struct {
	atomic_t live;
};

struct thread_struct {
	long unsigned int fsbase;
};

struct task_struct {
	unsigned int flags;
	struct mm_struct *mm;
	struct task_struct *group_leader;
	int exit_code;
	int pid;
	int tgid;
	struct signal_struct *signal;
	int pagefault_disabled;
	struct thread_struct thread;
};

struct vm_area_struct {
	struct mm_struct *vm_mm;
	struct file *vm_file;
	struct {
		struct rb_node rb;
	} shared;
};

/* two words, in BTF of every kernel: the type through which the direct map is read */
struct timespec64 {
	s64 tv_sec;
	long int tv_nsec;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

#define PF_KTHREAD 0x00200000

#endif
