// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The floor of every tracer that listens to page faults by this hook: a program that does nothing.
 * What memwhy adds above it is memwhy's own work; what is below it is the kernel's.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/page_fault_user")
int empty(void* ctx) { return 0; }
