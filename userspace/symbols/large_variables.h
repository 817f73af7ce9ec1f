// SPDX-License-Identifier: Apache-2.0
// Variables of a program by its symbol table: the largest writable ones; if it was stripped, the sections that they are in, which
// linkers keep. No addresses of a process, and nothing about residency.
//
//   go build            main.table, .noptrbss, 384 MiB
//   go build -ldflags=-s   "", .noptrbss, 384.1 MiB
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "events/process.h"
#include "symbols/byte_source.h"
#include "symbols/elf_file.h"

namespace memwhy::symbols {

constexpr size_t kMostVariables = 8;
constexpr uint64_t kLeastVariableBytes = 1 << 20;

// Largest first. Empty when all that can be written is less than kLeastVariablesBytes: then no symbol is read.
constexpr uint64_t kLeastVariablesBytes = 8 << 20;
std::vector<events::ProgramVariable> large_variables(ByteSource& source, const ElfFile& elf);

// All of them that have room for a pointer, link-time, in order, without overlap; none when there are more than `most`.
std::vector<AddressRange> variable_ranges(ByteSource& source, const ElfFile& elf, size_t most);
// The names of those that contain these addresses; "" where there is none.
std::vector<std::string> variable_names(ByteSource& source, const ElfFile& elf,
                                        const std::vector<uint64_t>& addresses);

}  // namespace memwhy::symbols
