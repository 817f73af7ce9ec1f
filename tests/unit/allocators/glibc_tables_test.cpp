// SPDX-License-Identifier: Apache-2.0
// How much of a C heap's tables, which have three bytes for each of its pages, are held at once: a heap may be a TiB of addresses.
#include <gtest/gtest.h>
#include <malloc.h>

#include "allocators/glibc_process.h"
#include "unit/allocators/made_heap.h"

namespace memwhy::allocators {
namespace {

using test::MadeHeap;

constexpr uint64_t kHeapBytes = uint64_t{96} << 30;
constexpr uint64_t kTables = (kHeapBytes >> kPageShift) * 2;  // of bytes that are free, by far the larger one

// Looks at what malloc holds in mappings, where each table is, whenever something is read.
class Watched final : public remote::test::PresentMemory {
 public:
  Watched(const remote::test::FakeMemory& memory, uint64_t& most) : memory_(memory), most_(most) {}
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    most_ = std::max<uint64_t>(most_, ::mallinfo2().hblkhd);
    return memory_.read_present(address, into);
  }

 private:
  remote::test::FakeMemory memory_;
  uint64_t& most_;
};

// A reading holds those of the last one beside its own, and no other.
TEST(GlibcTables, AreHeldTwiceAtMost) {
  if (::mallinfo2().arena == 0) GTEST_SKIP() << "another malloc";
  MadeHeap made(kStateShapes[0], kParLayouts[1], kHeapBytes);
  made.used(1008);
  made.free(5 * kPageBytes);
  made.used(48);
  made.finish();
  uint64_t most = 0, first = 0;
  GlibcProcess process(std::make_unique<Watched>(made.memory, most), [&made] { return made.vmas; }, false,
                       {});
  events::PageScan scan;
  scan.runs = made.resident();
  for (int i = 0; i < 4; ++i) {
    most = 0;
    const GlibcReading reading = process.read(scan);
    ASSERT_TRUE(reading.heap.has_value());
    EXPECT_EQ(reading.heap->pinned_bytes + reading.heap->trimmable_bytes, 5 * kPageBytes) << i;
    if (i == 0) first = most;
    EXPECT_GE(most, kTables) << i;
    EXPECT_LT(most, first + kTables * 3 / 2) << i;
  }
}

}  // namespace
}  // namespace memwhy::allocators
