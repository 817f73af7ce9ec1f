// SPDX-License-Identifier: Apache-2.0
// What userspace knows of x86-64 as such. What the BPF programs know is in bpf/lib/arch_x86_64.bpf.h.
#pragma once

#include <cstdint>

namespace memwhy::machine {

constexpr const char* kName = "x86-64";        // of programs that memwhy understands: SpaceStart::elf_class
constexpr const char* kKernelName = "x86_64";  // as in uname(2)
constexpr uint16_t kElfNumber = 62;            // EM_X86_64

}  // namespace memwhy::machine
