// SPDX-License-Identifier: Apache-2.0
// The largest variables of a program that can be written, by its symbol table; where that was stripped, the sections that
// they are in, which linkers keep. No addresses of a process, and no word of what is resident.
//
//   go build            main.table, .noptrbss, 384 MiB
//   go build -ldflags=-s   "", .noptrbss, 384.1 MiB
#pragma once

#include <vector>

#include "events/process.h"
#include "symbols/byte_source.h"
#include "symbols/elf_file.h"

namespace memwhy::symbols {

constexpr size_t kMostVariables = 8;
constexpr uint64_t kLeastVariableBytes = 1 << 20;

// Largest first. Empty when all that can be written is less than kLeastVariablesBytes: then no symbol is read.
constexpr uint64_t kLeastVariablesBytes = 8 << 20;
std::vector<events::ProgramVariable> large_variables(ByteSource& source, const ElfFile& elf);

}  // namespace memwhy::symbols
