// SPDX-License-Identifier: Apache-2.0
// ProgramFile: the read-only parts of a process's program, from its file: for pages that the process itself
// has never touched, or that the kernel took back. Not a way to read variables: the file has their first value.
#pragma once

#include <memory>
#include <vector>

#include "remote/memory.h"
#include "symbols/byte_source.h"
#include "symbols/elf_file.h"

namespace memwhy::goruntime {

class ProgramFile final : public remote::RemoteMemory {
 public:
  // `bias`: how far the program was moved from its link-time addresses.
  ProgramFile(std::unique_ptr<symbols::ByteSource> file, std::vector<symbols::Segment> segments,
              uint64_t bias)
      : file_(std::move(file)), segments_(std::move(segments)), bias_(bias) {}

  Status read(uint64_t address, std::span<std::byte> into) override;
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override;

 private:
  std::unique_ptr<symbols::ByteSource> file_;
  std::vector<symbols::Segment> segments_;
  uint64_t bias_;
};

}  // namespace memwhy::goruntime
