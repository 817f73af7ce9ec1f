// SPDX-License-Identifier: Apache-2.0
// Binaries of which none can be opened; a fake overrides what it has.
#pragma once

#include <vector>

#include "symbols/binaries.h"

namespace memwhy::unwind {

class NoBinaries : public symbols::Binaries {
 public:
  Result<symbols::OpenedBinary> open_mapping(Pid, const events::Vma&) override { return no(); }
  Result<symbols::OpenedBinary> vdso() override { return no(); }
  Result<std::vector<symbols::FunctionRules>> frame_rules(symbols::BinaryHandle,
                                                          std::span<const symbols::CodeOffset>) override {
    return no();
  }
  Result<symbols::OpenedBinary> open_executable(Pid) override { return no(); }
  Result<symbols::ProbedFile> file_to_probe(const symbols::ProcessFile&) override { return no(); }
  Result<uint64_t> file_system(Pid, const events::Vma&) override { return no(); }
  Result<std::vector<symbols::SourceFrames>> look_up(symbols::BinaryHandle,
                                                     std::span<const symbols::CodeOffset>) override {
    return no();
  }
  Result<std::vector<symbols::SourceFrames>> code_names(Pid, std::span<const symbols::CodeOffset>) override {
    return no();
  }
  Result<symbols::ProgramFacts> program(symbols::BinaryHandle, const symbols::ProgramQuestion&) override {
    return no();
  }
  Result<std::vector<std::byte>> read(symbols::BinaryHandle, uint64_t, size_t) override { return no(); }

 protected:
  static Error no() { return {ErrorCode::kBadInput, "not here"}; }
};

}  // namespace memwhy::unwind
