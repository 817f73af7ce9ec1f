// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Stops one process at one page fault in so many, in the faulting instruction, until the test lets it go: for a referee that
 * reads the stack in peace (referee_test.cpp). Not a part of memwhy, which stops nobody.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "stop_at_fault.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define STOP_SIGNAL 19

struct stop_at_fault stop;

SEC("tp_btf/page_fault_user")
int BPF_PROG(stop_at_fault, unsigned long address, struct pt_regs* regs, unsigned long error_code) {
  struct task_struct* task = bpf_get_current_task_btf();

  if (task->tgid != (int)stop.tgid || stop.stopped) return 0;
  if (__sync_fetch_and_add(&stop.seen, 1) % stop.every) return 0;
  if (__sync_val_compare_and_swap(&stop.stopped, 0, 1)) return 0;
  stop.address = address;
  stop.ip = regs->ip;
  stop.tid = task->pid;
  bpf_send_signal_thread(STOP_SIGNAL);
  return 0;
}
