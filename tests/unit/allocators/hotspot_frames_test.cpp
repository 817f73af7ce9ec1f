// SPDX-License-Identifier: Apache-2.0
// Frames of made code in a JVM that is made up, as releases 17 and 25 lay out their code cache.
#include "allocators/hotspot_frames.h"

#include <gmock/gmock.h>

#include "unit/allocators/made_jvm.h"

namespace memwhy::allocators {
namespace {

using namespace test;
using Frame = HotspotFrames::Frame;
using Kind = HotspotFrames::Kind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kSegments = 0x7f28'0000'0000, kShift = 7, kInterpreter = 0x7f21'0000'0000;
constexpr uint64_t kObject = kObjects + 0x20000;

struct MadeCodeCache : MadeJvm {
  explicit MadeCodeCache(bool new_release) : is_new(new_release) {
    offset("GrowableArrayBase", "_len", 0);
    offset("GrowableArray<int>", "_data", 8);
    offset("CodeHeap", "_memory", 8);
    offset("CodeHeap", "_segmap", 120);
    offset("CodeHeap", "_log2_segment_size", 256);
    offset("VirtualSpace", "_low_boundary", 0);
    offset("VirtualSpace", "_high_boundary", 8);
    offset("HeapBlock::Header", "_length", 0);
    offset("HeapBlock::Header", "_used", is_new ? 4 : 8);
    offset("CodeBlob", "_frame_size", is_new ? 44 : 28);
    offset("CodeBlob", "_frame_complete_offset", is_new ? 54 : 20);
    if (is_new) {
      offset("CodeBlob", "_code_offset", 36);
      offset("CodeBlob", "_data_offset", 40);
    } else {
      offset("CodeBlob", "_code_begin", 32);
      offset("CodeBlob", "_code_end", 40);
      offset("CodeBlob", "_data_offset", 24);
    }
    variable("CodeCache", "_heaps", kObject);
    variable("AbstractInterpreter", "_code", kObject + 0x800);
    offset("StubQueue", "_stub_buffer", 8);
    offset("StubQueue", "_buffer_limit", 20);
    memory.put_words(kObject, {1, kObject + 0x100});
    memory.put_words(kObject + 0x100, {kObject + 0x200});
    memory.put_words(kObject + 0x208, {kCode, kCode + 0x10000});
    memory.put_words(kObject + 0x200 + 120, {kSegments, kSegments + 0x1000});
    memory.put_word(kObject + 0x200 + 256, kShift);
    memory.put_words(kObject + 0x808, {kInterpreter, uint64_t{0x2000} << 32});
    for (int i = 0; i < 16; ++i) memory.put_word(kCode + kPageBytes * i, 0);
    for (int i = 0; i < 64; ++i) memory.put_word(kSegments + 8 * i, ~uint64_t{0});  // all of it is free
  }
  template <typename T>
  void store(uint64_t address, T value) {
    memory.put(address, std::as_bytes(std::span(&value, 1)));
  }
  // A block of so many segments, with code from its byte 0x100 to its end. words: of the frame.
  void blob(uint64_t segment, uint32_t segments, int words, int complete) {
    const uint64_t block = kCode + (segment << kShift), start = block + (is_new ? 8 : 16),
                   end = block + (uint64_t{segments} << kShift);
    for (uint32_t i = 0; i < segments; ++i) store<uint8_t>(kSegments + segment + i, i > 2 ? 3 : i);  // hops
    store<uint32_t>(block, segments);
    store<uint8_t>(block + (is_new ? 4 : 8), 1);
    store<int32_t>(start + (is_new ? 44 : 28), words);
    if (is_new) {
      store<int16_t>(start + 54, static_cast<int16_t>(complete));
      store<uint32_t>(start + 36, 0x100);
      store<uint32_t>(start + 40, static_cast<uint32_t>(end - start));
    } else {
      store<int32_t>(start + 20, complete);
      store<uint64_t>(start + 32, start + 0x100);
      store<uint64_t>(start + 40, end);
    }
  }
  uint64_t code(uint64_t segment) const { return kCode + (segment << kShift) + (is_new ? 8 : 16) + 0x100; }

  bool is_new;
  Borrowed borrowed{memory};
  HeapMemory heap{borrowed, [this] { return vmas; }, {}};
  std::optional<HotspotFrames> find() {
    EXPECT_TRUE(heap.refresh());
    return HotspotFrames::find(heap, library());
  }
};

class HotspotFramesOf : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Releases, HotspotFramesOf, ::testing::Bool());

TEST_P(HotspotFramesOf, AMethodHasTheFrameThatItsHeaderSays) {
  MadeCodeCache made(GetParam());
  made.blob(2, 40, 6, 0x20);
  made.blob(42, 8, 3, -1);  // a stub
  auto frames = made.find();
  ASSERT_TRUE(frames);
  EXPECT_EQ(frames->frame(made.heap, made.code(2) + 0x20), (Frame{Kind::kCompiled, 48}));
  EXPECT_EQ(frames->frame(made.heap, kCode + (42 << kShift) - 1), (Frame{Kind::kCompiled, 48}));
  EXPECT_EQ(frames->frame(made.heap, made.code(2) + 0x1f), std::nullopt) << "its frame is not complete";
  EXPECT_EQ(frames->frame(made.heap, made.code(42) + 0x20), (Frame{Kind::kPointer, 0}));
  EXPECT_EQ(frames->frame(made.heap, kCode + (60 << kShift)), std::nullopt) << "free";
  EXPECT_EQ(frames->frame(made.heap, kInterpreter + 0x1fff), (Frame{Kind::kInterpreted, 0}));
  EXPECT_EQ(frames->frame(made.heap, kInterpreter + 0x2000), std::nullopt);
}

TEST_P(HotspotFramesOf, AMethodThatWasReplacedIsGone) {
  MadeCodeCache made(GetParam());
  made.blob(2, 10, 6, 0x20);
  made.blob(12, 10, 4, 0x20);
  auto frames = made.find();
  ASSERT_TRUE(frames);
  for (const uint64_t segment : {2, 12}) EXPECT_TRUE(frames->frame(made.heap, made.code(segment) + 0x30));
  EXPECT_THAT(*frames->gone(made.heap), IsEmpty());
  made.blob(2, 10, 8, 0x20);
  made.heap.forget();
  EXPECT_THAT(*frames->gone(made.heap),
              ElementsAre(AddressRange{kCode + (2 << kShift), kCode + (12 << kShift)}));
  EXPECT_THAT(*frames->gone(made.heap), IsEmpty()) << "it is said once";
  EXPECT_EQ(frames->frame(made.heap, made.code(2) + 0x30), (Frame{Kind::kCompiled, 64}));
  made.store<uint8_t>(kCode + (12 << kShift) + (made.is_new ? 4 : 8), 0);  // freed
  EXPECT_EQ(frames->gone(made.heap)->size(), 1u);
}

TEST_P(HotspotFramesOf, TablesThatLieSayNothing) {
  for (int lie = 0; lie < 5; ++lie) {
    MadeCodeCache made(GetParam());
    made.blob(2, 40, 6, 0x20);
    if (lie == 0) made.store<uint8_t>(kSegments + 20, 200);        // back beyond the beginning
    if (lie == 1) made.store<uint32_t>(kCode + (2 << kShift), 4);  // shorter than where it is asked for
    if (lie == 2) made.blob(2, 40, 1 << 20, 0x20);                 // a frame larger than any stack
    if (lie == 3) made.memory.drop(kSegments >> kPageShift);
    if (lie == 4) made.memory.drop(kCode >> kPageShift);
    auto frames = made.find();
    ASSERT_TRUE(frames);
    const auto frame = frames->frame(made.heap, kCode + (20 << kShift));
    EXPECT_TRUE(!frame || *frame == Frame{}) << lie;
  }
}

TEST(HotspotFrames, AnotherLayoutOfTheCodeCacheIsNotRead) {
  MadeCodeCache made(false);
  made.memory.put_word(kObject + 0x200 + 256, 40);  // segments of 1 TiB
  EXPECT_FALSE(made.find());
}

}  // namespace
}  // namespace memwhy::allocators
