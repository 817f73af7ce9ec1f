// SPDX-License-Identifier: Apache-2.0
// Where malloc and its kind can be probed in a live process: the program's own malloc if it has one, else that of a library
// other than libc (jemalloc), else libc's. A site is the function's first instruction (after endbr64), if the kernel can
// emulate it: otherwise each call would be single-stepped, which takes 20 us instead of 0.6.
//
//   glibc 2.36   malloc 41 54 push %r12: yes   calloc, realloc: yes   memalign 80 3d ... cmpb 0x0(%rip): no
//   glibc 2.44   malloc f3 0f 1e fa | 55 push %rbp: at +4
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "events/allocation.h"
#include "events/event.h"
#include "remote/memory.h"
#include "symbols/binaries.h"

namespace memwhy::app {

// From the start of a function: where its first instruction is that the kernel emulates before anything has changed the
// registers of the arguments or the stack pointer. nullopt: there is none.
std::optional<uint32_t> entry_site(std::span<const uint8_t> code);

// `memory`: of the process; the plan keeps it. Without sites, `not_probed` has the reason.
events::AllocationProbePlan plan_allocation_probes(symbols::Binaries& binaries,
                                                   std::shared_ptr<remote::RemoteMemory> memory, Pid tgid,
                                                   const std::vector<events::Vma>& vmas);

}  // namespace memwhy::app
