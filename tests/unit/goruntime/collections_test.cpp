// SPDX-License-Identifier: Apache-2.0
// The ring of pauses, in memory of our own: collection n is at (n - 1) % 256.
#include "goruntime/collections.h"

#include <gtest/gtest.h>

#include <cstring>

#include "goruntime/layout.h"
#include "remote/memory.h"

namespace memwhy::goruntime {
namespace {

constexpr uint64_t kMstats = 0x100000;

class Memory : public remote::RemoteMemory {
 public:
  explicit Memory(const Layout& layout) : layout_(layout), bytes_(16'384) {}
  void collect(uint32_t number, uint64_t pause_ns) {
    put(layout_.mstats.pause_ns.offset + 8 * ((number - 1) % 256), pause_ns);
    put(layout_.mstats.pause_end.offset + 8 * ((number - 1) % 256), 1000 + number);
    put(layout_.mstats.numgc.offset, number);
  }
  Status read(uint64_t address, std::span<std::byte> into) override {
    if (address < kMstats || address - kMstats + into.size() > bytes_.size())
      return Error(ErrorCode::kAbsent, "not resident");
    std::memcpy(into.data(), bytes_.data() + (address - kMstats), into.size());
    return {};
  }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    if (Status done = read(address, into); !done) return std::move(done).error();
    return uint64_t{into.size()};
  }

 private:
  template <typename T>
  void put(size_t offset, T value) {
    std::memcpy(bytes_.data() + offset, &value, sizeof value);
  }
  const Layout& layout_;
  std::vector<std::byte> bytes_;
};

struct CollectionsTest : testing::TestWithParam<const Layout*> {
  Memory memory{*GetParam()};
  Globals globals = [] {
    Globals found;
    found.layout = GetParam();
    found.memstats = kMstats;
    return found;
  }();
  Collections collections;
};

TEST_P(CollectionsTest, EachIsToldOnce) {
  for (uint32_t n = 1; n <= 37; ++n) memory.collect(n, 40'000 + n);
  EXPECT_TRUE(collections.take(memory, globals).empty()) << "they were before we came";
  EXPECT_TRUE(collections.take(memory, globals).empty());
  memory.collect(38, 41'200);
  memory.collect(39, 39'800);
  EXPECT_EQ(collections.take(memory, globals),
            (std::vector<events::GoPause>{{38, 1038, 41'200}, {39, 1039, 39'800}}));
  EXPECT_TRUE(collections.take(memory, globals).empty());
}

TEST_P(CollectionsTest, AcrossTheEndOfTheRing) {
  for (uint32_t n = 1; n <= 255; ++n) memory.collect(n, 1);
  collections.take(memory, globals);
  memory.collect(256, 7);
  memory.collect(257, 8);
  EXPECT_EQ(collections.take(memory, globals),
            (std::vector<events::GoPause>{{256, 1256, 7}, {257, 1257, 8}}));
}

TEST_P(CollectionsTest, WhatTheRingLostIsMissingInTheNumbers) {
  collections.take(memory, globals);
  for (uint32_t n = 1; n <= 1000; ++n) memory.collect(n, n);
  const auto pauses = collections.take(memory, globals);
  ASSERT_EQ(pauses.size(), 255u) << "the oldest place may be half written";
  EXPECT_EQ(pauses.front(), (events::GoPause{746, 1746, 746}));
  EXPECT_EQ(pauses.back(), (events::GoPause{1000, 2000, 1000}));
}

INSTANTIATE_TEST_SUITE_P(Layouts, CollectionsTest,
                         testing::ValuesIn(all_layouts().begin(), all_layouts().end()));

}  // namespace
}  // namespace memwhy::goruntime
