// SPDX-License-Identifier: Apache-2.0
// Which code refers to a variable: for stripped programs, where the functions that use a variable are all that is left of its
// name. On x86-64 code reaches a variable by its distance from the next instruction; so each four bytes of the code are tried
// as such, with an operand of 0, 1, 2 or 4 bytes between them and that instruction. Four other bytes match once in 2^30. Not
// for other machines, nor for variables at addresses that are no multiples of 8.
//
//   0x48f2a0  48 8b 05 |59 1c 10 00|     mov rax, [rip + 0x101c59]     0x48f2a7 + 0x101c59 = 0x590f00, the variable
#pragma once

#include <cstdint>
#include <vector>

#include "symbols/byte_source.h"
#include "symbols/elf_file.h"

namespace memwhy::symbols {

constexpr size_t kMostUses = 32;  // of each that are reported

// For each link-time address, addresses in the code that refer to it, in order.
std::vector<std::vector<uint64_t>> uses_of(ByteSource& source, const ElfFile& elf,
                                           const std::vector<uint64_t>& addresses);

}  // namespace memwhy::symbols
