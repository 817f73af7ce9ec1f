// SPDX-License-Identifier: Apache-2.0
// What a reader of a runtime needs from a program's file, in one request: where its tables and a few functions are, and the bytes
// with which those begin. Plain values, so that the file can be parsed elsewhere (binaries.h).
//
//   { functions "runtime.mProf_Malloc", prefixes "runtime.MemProfile" }
//     -> { function 0x42f8a0-0x42fa20, at 0x2f8a0 of the file, code 49 3b 66 10 76 5e …;  linked: yes }
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "symbols/binary.h"
#include "symbols/elf_file.h"

namespace memwhy::symbols {

struct ProgramQuestion {
  std::vector<std::string> functions;  // by their whole names
  bool in_symbols = false;             // those are looked for in the symbol table, and not in that of Go
  std::vector<std::string> prefixes;   // of names of functions
  uint32_t code_bytes = 0;             // of the start of each function, max kMostCodeBytes
  bool variables = false;              // whether to return their places
  std::vector<uint64_t> to_name;       // link-time addresses in variables
  static constexpr uint32_t kMostCodeBytes = 64;
  static constexpr size_t kMostNames = 64;
  static constexpr size_t kMostVariables = 1 << 18;
};

struct ProgramFunction {
  AddressRange range;                   // link-time
  std::optional<uint64_t> file_offset;  // of its start; nothing: its code is not in the file
  std::vector<uint8_t> code;
  bool operator==(const ProgramFunction&) const = default;
};

struct ProgramFacts {
  std::string machine;              // "x86-64"
  std::string go_version;           // "" not a Go program, or unknown
  std::optional<GoTable> go_table;  // link-time
  std::vector<Segment> segments;
  std::vector<std::optional<ProgramFunction>> functions;  // as requested; nothing: missing, or not unique
  std::vector<bool> linked;                               // for each prefix: whether a function begins so
  std::vector<AddressRange>
      variables;  // link-time, in order; none: not requested, stripped, or more than kMostVariables
  std::vector<std::string> named;  // for each address; "" unknown
  std::vector<std::string> users;  // for each address without a name, functions that use it; "" unknown
};

ProgramFacts describe_program(Binary& binary, const ProgramQuestion& question);

}  // namespace memwhy::symbols
