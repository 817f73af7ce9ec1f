// SPDX-License-Identifier: Apache-2.0
// LocalBinaries: Binaries in this process, without children. For tests, benchmarks and tools: a target's file can make its
// reader hang or crash, so a recorder never uses it.
#pragma once

#include "symbols/binaries.h"
#include "symbols/binary_table.h"
#include "symbols/code_map.h"
#include "symbols/target_files.h"

namespace memwhy::symbols {

class LocalBinaries final : public Binaries {
 public:
  // `proc_root`: a directory descriptor of the proc filesystem of our pid namespace.
  explicit LocalBinaries(Fd proc_root, BinaryLimits limits = {},
                         std::vector<std::string> debug_directories = {})
      : files_(std::move(proc_root)), table_(limits), debug_directories_(std::move(debug_directories)) {}

  Result<OpenedBinary> open_mapping(Pid tgid, const events::Vma& vma) override {
    return parsed(tgid, files_.open_mapping(tgid, vma));
  }
  Result<OpenedBinary> open_executable(Pid tgid) override {
    return parsed(tgid, files_.open_executable(tgid));
  }
  Result<ProbedFile> file_to_probe(const ProcessFile& file) override { return files_.file_to_probe(file); }
  Result<uint64_t> file_system(Pid tgid, const events::Vma& mapping) override {
    return files_.file_system(tgid, mapping);
  }
  Result<std::vector<SourceFrames>> look_up(BinaryHandle binary, std::span<const CodeOffset> at) override {
    return table_.look_up(binary, at);
  }
  Result<std::vector<SourceFrames>> code_names(Pid tgid, std::span<const CodeOffset> at) override {
    Result<TargetFile> map = files_.open_code_map(tgid);
    if (!map) return std::move(map).error();
    return code_map_names(map->fd, map->key.bytes, at);
  }
  Result<ProgramFacts> program(BinaryHandle binary, const ProgramQuestion& question) override {
    return table_.program(binary, question);
  }
  Result<std::vector<FunctionRules>> frame_rules(BinaryHandle binary,
                                                 std::span<const CodeOffset> at) override {
    return table_.frame_rules(binary, at);
  }
  Result<OpenedBinary> vdso() override { return table_.vdso(); }
  Result<std::vector<std::byte>> read(BinaryHandle binary, uint64_t offset, size_t bytes) override {
    return table_.read(binary, offset, bytes);
  }

  BinaryTable& table() { return table_; }

 private:
  Result<OpenedBinary> parsed(Pid tgid, Result<TargetFile> file) {
    if (!file) return std::move(file).error();
    OpenedBinary opened = table_.take(*std::move(file));
    for (const DebugFilePlace& place : debug_file_places(opened, debug_directories_)) {
      Result<TargetFile> debug = files_.open_debug_file(tgid, place);
      if (debug && table_.add_symbols(opened.handle, *std::move(debug))) break;
    }
    return opened;
  }

  TargetFiles files_;
  BinaryTable table_;
  std::vector<std::string> debug_directories_;
};

}  // namespace memwhy::symbols
