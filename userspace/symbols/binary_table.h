// SPDX-License-Identifier: Apache-2.0
// BinaryTable: files of targets that are open, parsed, within a budget.
//
// What it is: from a handle to a Binary; the same file is parsed once; the least recently used is closed when too many are
// open or too much is held. Runs where the files are parsed (files/parser.h). What it is not: the opening of
// files (target_files.h), or a memory of names (symbolizer.h).
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "symbols/binaries.h"
#include "symbols/target_files.h"

namespace memwhy::symbols {

struct BinaryLimits {
  uint64_t file_bytes = uint64_t{4} << 30;      // larger files are not opened
  uint64_t memory_bytes = uint64_t{256} << 20;  // of all open binaries; the last one used always stays
  size_t open_files = 64;
};

class BinaryTable {
 public:
  explicit BinaryTable(BinaryLimits limits) : limits_(limits) {}

  // Never an error: what cannot be read has no handle and a problem.
  OpenedBinary take(TargetFile file);

  // As in Binaries.
  Result<OpenedBinary> vdso();
  // The file that has the symbols of an open one; kBadInput: it is not of the same build.
  Status add_symbols(BinaryHandle binary, TargetFile file);
  Result<std::vector<FunctionRules>> frame_rules(BinaryHandle binary, std::span<const CodeOffset> at);
  Result<std::vector<SourceFrames>> look_up(BinaryHandle binary, std::span<const CodeOffset> at);
  // The same by link-time addresses of instructions, as a file of symbols has no others.
  Result<std::vector<SourceFrames>> look_up_addresses(BinaryHandle binary, std::span<const uint64_t> vaddrs);
  Result<ProgramFacts> program(BinaryHandle binary, const ProgramQuestion& question);
  Result<std::vector<std::byte>> read(BinaryHandle binary, uint64_t offset, size_t bytes);
  // The file itself, for readers that need more of it.
  Result<const Fd*> file(BinaryHandle binary);

  size_t open() const { return recent_.size(); }
  uint64_t memory_bytes() const;

 private:
  struct Entry {
    BinaryHandle handle{};
    OpenedBinary facts;
    std::unique_ptr<Binary> binary;
    Fd file;
  };
  using Entries = std::list<Entry>;  // most recently used first

  Entry* find(BinaryHandle handle);
  const OpenedBinary* known(const FileKey& key);
  OpenedBinary add(OpenedBinary opened, Result<std::unique_ptr<Binary>> binary, Fd file);
  void drop_above_budget();

  BinaryLimits limits_;
  Entries recent_;
  std::unordered_map<BinaryHandle, Entries::iterator> by_handle_;
  uint64_t last_ = 0;
};

}  // namespace memwhy::symbols
