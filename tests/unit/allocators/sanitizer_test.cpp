// SPDX-License-Identifier: Apache-2.0
// Sanitizers by their mappings.
#include <gtest/gtest.h>

#include "allocators/sanitizer.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators {
namespace {

using test::MadeProcess;

struct MadeAsan : MadeProcess {
  MadeAsan() {
    map({0x7fff7000, 0x8fff7000}, "");
    map({0x2008fff7000, 0x10007fff8000}, "");
    map({0x602000000000, 0x602000010000}, "");
    for (const uint64_t page : {0x7fff8000ul, 0x7fff9000ul, 0x602000000000ul}) memory.put_word(page, 1);
  }
};

TEST(Sanitizer, IsKnownByTheEndOfItsShadow) {
  MadeAsan made;
  ASSERT_NE(sanitizer_of(made.vmas), nullptr);
  EXPECT_STREQ(sanitizer_of(made.vmas)->title, "AddressSanitizer");
  MadeProcess other;
  other.map({0x10007fff0000, 0x10007fff8000}, "");  // it ends there, but is small
  other.map({0x2008fff7000, 0x10007fff7000}, "");   // it is large, but ends elsewhere
  EXPECT_EQ(sanitizer_of(other.vmas), nullptr);
}

TEST(Sanitizer, ARaceDetectorOfGoIsNone) {
  MadeProcess made;
  made.map({0x300000000000, 0x340000000000}, "");
  ASSERT_NE(sanitizer_of(made.vmas), nullptr);
  made.map({0xc000000000, 0xc000400000}, "");
  EXPECT_EQ(sanitizer_of(made.vmas), nullptr);
}

TEST(Sanitizer, ShadowAndHeapAreTwoUses) {
  MadeAsan made;
  const BlockReading reading = made.open(std::make_unique<Sanitizer>()).read(made.scan());
  ASSERT_EQ(reading.pages.runs.size(), 3u);
  EXPECT_EQ(reading.pages.uses[reading.pages.runs[1].use], "tables");
  EXPECT_EQ(reading.pages.uses[reading.pages.runs[2].use], "unread");
}

TEST(Sanitizer, AShadowMayBeLargerThanARun) {
  MadeProcess made;
  made.map({0x010000000000, 0x200000000000}, "");  // 31 TiB, the last page of it resident
  made.map({0x300000000000, 0x340000000000}, "");
  made.memory.put_word(0x1ffffffff000, 1);
  const BlockReading reading = made.open(std::make_unique<Sanitizer>()).read(made.scan());
  ASSERT_GE(reading.pages.runs.size(), 2u);
  EXPECT_EQ(reading.pages.runs[1].page + reading.pages.runs[1].count, PageNumber{0x200000000});
}

}  // namespace
}  // namespace memwhy::allocators
