// SPDX-License-Identifier: Apache-2.0
// The memory of a process as pages, and one that is made of it, with words that are not what they were.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/support/check.h"
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

// The end of an input: { u64 address, u64 value, u8 from, u8 until } …, at most kMostPatches. What is left over is nothing.
constexpr size_t kMostPatches = 64;
std::vector<Patch> patches_of(std::span<const uint8_t> bytes);
std::string bytes_of(const std::vector<Patch>& patches);

uint64_t mutated_word(uint64_t word);  // by what libFuzzer knows of comparisons

// change() a few times, mostly one to three, and then the input is what bytes() says.
template <typename Change, typename Bytes>
size_t mutate_patches(uint8_t* data, size_t size, size_t most, Random& random, Change change, Bytes bytes) {
  for (size_t times = 1 + random.below(random.one_in(4) ? 12 : 3); times > 0; --times) change();
  const std::string made = bytes();
  if (made.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, made.data(), made.size());
  return made.size();
}

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
