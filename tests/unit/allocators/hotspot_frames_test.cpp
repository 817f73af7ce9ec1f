// SPDX-License-Identifier: Apache-2.0
// Frames of made code in a JVM that is made up, as releases 17 and 25 lay out their code cache.
#include "allocators/hotspot_frames.h"

#include <gmock/gmock.h>

#include "unit/allocators/made_jvm.h"

namespace memwhy::allocators {
namespace {

using namespace test::jvm;
using Frame = HotspotFrames::Frame;
using Kind = HotspotFrames::Kind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

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

TEST(HotspotFrames, ItsTablesAreThereBeforeItHasCode) {
  MadeCodeCache made(false);
  made.blob(2, 40, 6, 0x20);
  ASSERT_TRUE(made.heap.refresh());
  const auto tables = HotspotFrames::find_tables(made.heap, made.library());
  ASSERT_TRUE(tables);
  made.memory.put_words(kObject, {0, 0});  // no code heap yet
  EXPECT_FALSE(HotspotFrames::find(made.heap, *tables));
  made.memory.put_words(kObject, {1, kObject + 0x100});
  made.heap.forget();
  auto frames = HotspotFrames::find(made.heap, *tables);
  ASSERT_TRUE(frames);
  EXPECT_EQ(frames->frame(made.heap, made.code(2) + 0x20), (Frame{Kind::kCompiled, 48}));
}

// Where the linker asked for that: the tables lie before the variables, and are no longer written.
TEST(HotspotFrames, TablesThatAreReadOnlyByNowAreFound) {
  MadeCodeCache made(true);
  made.blob(2, 40, 6, 0x20);
  const auto data = std::ranges::find_if(made.vmas, [](const auto& vma) { return vma.range.start == kData; });
  ASSERT_NE(data, made.vmas.end());
  events::Vma tables = *data;
  data->range.start = tables.range.end = kData + 0x10000;
  tables.write = false;
  made.vmas.insert(data, tables);
  EXPECT_TRUE(made.find());
}

TEST(HotspotFrames, AnotherLayoutOfTheCodeCacheIsNotRead) {
  MadeCodeCache made(false);
  made.memory.put_word(kObject + 0x200 + 256, 40);  // segments of 1 TiB
  EXPECT_FALSE(made.find());
}

}  // namespace
}  // namespace memwhy::allocators
