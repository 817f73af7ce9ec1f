// SPDX-License-Identifier: Apache-2.0
// BlockMemory: for many small reads of adjacent records, each of which would otherwise cost a system call. Whole blocks are read
// and kept for a while, so two reads of one word give the same: not for words that are read twice to see whether they
// changed.
//
//   list of 131,072 records of 300 bytes      2 x 131,072 reads  ─►  630 reads of 64 KiB
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "remote/memory.h"

namespace memwhy::remote {

class BlockMemory final : public RemoteMemory {
 public:
  explicit BlockMemory(RemoteMemory& memory) : memory_(memory) {}
  ~BlockMemory() override;
  BlockMemory(const BlockMemory&) = delete;
  BlockMemory& operator=(const BlockMemory&) = delete;

  Status read(uint64_t address, std::span<std::byte> into) override;
  Status read_touched(uint64_t address, std::span<std::byte> into) override;
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override;
  bool keep(uint64_t bytes) override { return memory_.keep(bytes); }
  void release(uint64_t bytes) override { memory_.release(bytes); }
  bool step(uint64_t n) override { return memory_.step(n); }

 private:
  static constexpr uint64_t kBlockBytes = 64 << 10;
  static constexpr size_t kSlots = 64;  // one for each block number modulo 64

  struct Slot {
    uint64_t start = ~uint64_t{0};
    bool whole = false;  // a page that is absent makes it none: reads of it go to the memory itself
    std::vector<std::byte> bytes;
  };

  // Out of blocks that are whole; false: some are not.
  bool copy(uint64_t address, std::span<std::byte> into);
  const Slot& slot_of(uint64_t address);

  RemoteMemory& memory_;
  std::array<Slot, kSlots> slots_;
  uint64_t kept_ = 0;
};

}  // namespace memwhy::remote
