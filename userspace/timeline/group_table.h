// SPDX-License-Identifier: Apache-2.0
// GroupTable: pages added up by (mapping, runtime and use, how, stack, file page): from PageWords to PageGroups.
//
//   63            37 36       34 33      29   28   27   24 23            0
//   [ mapping      ] [ runtime ] [ use    ] [file] [ how ] [ stack        ]
//     12               1 (go)      0 (heap)    0    kFault   7 = stack 9
//
// Open addressing, since there is a look-up for each run of equal words: up to four million times in a scan.
#pragma once

#include <cstdint>
#include <vector>

#include "timeline/page_group.h"
#include "timeline/stack_dictionary.h"

namespace memwhy::timeline {

// What distinguishes a group.
constexpr int kVmaBits = 27, kRuntimeBits = 3, kUseBits = 5, kHowBits = 4;
constexpr uint32_t kMostVmas = (1u << kVmaBits) - 1;  // 134 million mappings: pages of more are in none
static_assert(events::kMostRuntimes < 1u << kRuntimeBits, "0 is no runtime");
static_assert(events::kMostUses <= 1u << kUseBits);
static_assert(kHowCount <= 1u << kHowBits);

// Births before limit[i] are older than kAgeLimits[i].
struct AgeTicks {
  std::array<uint64_t, 4> limit = {};
};

class GroupTable {
 public:
  // `count` pages of `vma` that share `word`. `birth` is the word's tick, absolute. `arrived`: add them up
  // apart, too.
  void add(uint32_t vma, RuntimeUse by, PageWord word, uint64_t count, uint64_t birth, const AgeTicks& ages,
           bool arrived = false) {
    Sum& s = sum(vma, by, word);
    tally(s.all, word, count, birth, ages);
    if (arrived) tally(s.arrived, word, count, birth, ages);
  }
  uint64_t pages() const;
  void clear() { *this = {}; }

  enum class Which : uint8_t { kAll, kArrived };
  // In order of mapping, how, stack. to_ns: ticks to time.
  template <typename ToNs>
  std::vector<PageGroup> groups(Which which, const StackDictionary& stacks, ToNs to_ns) const {
    std::vector<PageGroup> result;
    for (const Sum& s : sums_) {
      const Tally& t = which == Which::kAll ? s.all : s.arrived;
      if (t.pages == 0) continue;
      PageGroup& group = result.emplace_back(s.empty_group(stacks));
      group.pages = t.pages;
      group.huge_pages = t.huge;
      group.lazy_pages = t.lazy;
      group.stack_lost_pages = group.stack == StackId::kLost ? t.pages : 0;
      group.older_pages = t.older;
      group.oldest = to_ns(t.birth);
    }
    sort(result);
    return result;
  }

 private:
  static constexpr int kFileAt = PageWord::kStackBits + kHowBits, kUseAt = kFileAt + 1,
                       kRuntimeAt = kUseAt + kUseBits, kVmaAt = kRuntimeAt + kRuntimeBits;
  static_assert(kVmaAt + kVmaBits <= 64);
  static uint64_t key_of(uint32_t vma, RuntimeUse by, PageWord word) {
    if (vma >= kMostVmas) vma = kMostVmas;  // kNoVma too
    return uint64_t{vma} << kVmaAt | uint64_t{by.runtime} << kRuntimeAt | uint64_t{by.use} << kUseAt |
           uint64_t{word.has(PageWord::kFile)} << kFileAt |
           uint64_t{static_cast<uint8_t>(word.how())} << PageWord::kStackBits | word.stack();
  }
  struct Tally {
    uint64_t pages = 0, birth = UINT64_MAX;
    std::array<uint64_t, 4> older = {};
    uint64_t huge = 0, lazy = 0;
  };
  struct Sum {
    uint64_t key = 0;
    Tally all, arrived;
    PageGroup empty_group(const StackDictionary& stacks) const;
  };
  static void tally(Tally& t, PageWord word, uint64_t count, uint64_t birth, const AgeTicks& ages) {
    t.pages += count;
    t.birth = birth < t.birth ? birth : t.birth;
    for (size_t i = 0; i < ages.limit.size(); ++i) t.older[i] += birth < ages.limit[i] ? count : 0;
    if (word.has(PageWord::kHuge | PageWord::kLazy)) {
      if (word.has(PageWord::kHuge)) t.huge += count;
      if (word.has(PageWord::kLazy)) t.lazy += count;
    }
  }
  static void sort(std::vector<PageGroup>& groups);
  Sum& sum(uint32_t vma, RuntimeUse by, PageWord word) {
    const uint64_t key = key_of(vma, by, word);
    if (sums_.size() * 2 >= slots_.size()) grow();
    size_t at = slot_of(key);
    for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
      Sum& found = sums_[slots_[at] - 1];
      if (found.key == key) return found;
    }
    slots_[at] = static_cast<uint32_t>(sums_.size() + 1);
    sums_.emplace_back().key = key;
    return sums_.back();
  }
  size_t slot_of(uint64_t key) const {
    return static_cast<size_t>((key * 0x9e3779b97f4a7c15) >> 32) & (slots_.size() - 1);
  }
  void grow();

  std::vector<Sum> sums_;
  std::vector<uint32_t> slots_;  // index into sums_ + 1; 0: free
};

}  // namespace memwhy::timeline
