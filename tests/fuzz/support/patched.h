// SPDX-License-Identifier: Apache-2.0
// The memory of a process as pages, and one that is made of it, with words that are not what they were.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "remote/memory.h"

namespace memwhy::fuzz {

using Pages = std::map<uint64_t, std::string>;  // by page number, each of 4,096 bytes

// What a hostile process does to its own memory.
struct Patch {
  static constexpr uint8_t kForever = 0, kMirror = 255;

  uint64_t address = 0;  // kMirror: of a page, which is there again and again …
  uint64_t value = 0;    // … from this address on, for kMirrorBytes
  uint8_t from = 0;      // how many times the word is read as it was
  uint8_t until = 0;     // how many times it is read until it is again what it was
};
constexpr uint64_t kMirrorBytes = uint64_t{1} << 36;

// A process whose memory changes while it is read.
class PatchedMemory final : public remote::RemoteMemory {
 public:
  PatchedMemory(const Pages& pages, std::vector<Patch> patches)
      : pages_(pages), patches_(std::move(patches)), reads_(patches_.size()) {}

  Status read(uint64_t address, std::span<std::byte> into) override;
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override;

 private:
  const char* page(uint64_t number) const;  // nullptr: not resident
  void apply(uint64_t address, std::span<std::byte> into);

  const Pages& pages_;
  std::vector<Patch> patches_;
  std::vector<uint32_t> reads_;  // of each patch's word
};

}  // namespace memwhy::fuzz
