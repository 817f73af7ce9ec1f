// SPDX-License-Identifier: Apache-2.0
// Each page is claimed by one runtime at most, whatever they say; and what a group of pages is told apart by comes back.
#include "timeline/runtime_claims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "timeline/group_table.h"

namespace memwhy::timeline {
namespace {

using events::RuntimePages;
using events::RuntimeRun;
using events::Trust;

std::shared_ptr<const RuntimePages> pages(const char* runtime, std::vector<RuntimeRun> runs,
                                          Trust trust = Trust::kVerified) {
  return std::make_shared<const RuntimePages>(
      RuntimePages{SpaceId{1}, 1, runtime, trust, "", {"a", "b"}, std::move(runs), {}});
}

// "100+16 1.0" for pages of the first runtime and its first use.
std::vector<std::string> text(const RuntimeClaims& claims) {
  std::vector<std::string> out;
  for (const Claim& claim : claims.claims)
    out.push_back(std::to_string(claim.page) + "+" + std::to_string(claim.count) + " " +
                  std::to_string(claim.by.runtime) + "." + std::to_string(claim.by.use));
  return out;
}

using testing::ElementsAre;
using testing::IsEmpty;

TEST(RuntimeClaims, TheFirstOneToldHasThePage) {
  const auto claims = claims_of({pages("go", {{100, 16, 0}, {200, 4, 1}}),
                                 pages("toy", {{90, 20, 1}, {114, 4, 0}, {198, 10, 0, 5, 6, 7}})});
  EXPECT_THAT(text(*claims),
              ElementsAre("90+10 2.1", "100+16 1.0", "116+2 2.0", "198+2 2.0", "200+4 1.1", "204+4 2.0"));
  EXPECT_EQ(claims->told[0].conflict_pages, 0u);
  EXPECT_EQ(claims->told[1].conflict_pages, 10u + 2 + 4);
}

TEST(RuntimeClaims, BytesOfARunThatLostAPageAreNotBelieved) {
  const auto claims =
      claims_of({pages("go", {{100, 1, 0}}), pages("toy", {{90, 20, 0, 5, 6, 7}, {300, 2, 0, 50, 60, 70}})});
  EXPECT_EQ(claims->told[1].slots[0].live, 50u);
  EXPECT_EQ(claims->told[1].slots[0].dead, 60u);
  EXPECT_EQ(claims->told[1].slots[0].free, 70u);
}

TEST(RuntimeClaims, WhatCannotBeTrustedClaimsNothing) {
  const auto claims =
      claims_of({pages("go", {{100, 16, 0}}, Trust::kUnverified), pages("toy", {{100, 2, 0}})});
  EXPECT_THAT(text(*claims), ElementsAre("100+2 1.0"));
  ASSERT_EQ(claims->told.size(), 2u);
  EXPECT_EQ(claims->told[0].pages->runtime, "toy") << "the others come behind";
  EXPECT_EQ(claims_of({}), nullptr);
}

TEST(RuntimeClaims, ADamagedListClaimsEachPageOnce) {
  const auto claims = claims_of(
      {pages("go", {{200, 10, 0}, {100, 16, 0}, {110, 10, 1}, {~uint64_t{0} - 3, ~0u, 0}, {300, 1, 9}})});
  EXPECT_THAT(text(*claims), ElementsAre("100+16 1.0", "116+4 1.1", "200+10 1.0"));
}

TEST(RuntimeClaims, MoreRuntimesThanThereIsRoomForAreLeftOut) {
  std::vector<std::shared_ptr<const RuntimePages>> told;
  for (uint64_t i = 0; i < 20; ++i) told.push_back(pages(std::to_string(i).c_str(), {{i, 1, 0}}));
  EXPECT_EQ(claims_of(told)->told.size(), events::kMostRuntimes);
}

TEST(RuntimeClaims, ThoseThatHoldNothingTakeNoRoom) {
  std::vector<std::shared_ptr<const RuntimePages>> told;
  for (uint64_t i = 0; i < 10; ++i) told.push_back(pages(("empty" + std::to_string(i)).c_str(), {}));
  for (uint64_t i = 0; i < events::kMostRuntimes; ++i)
    told.push_back(pages(std::to_string(i).c_str(), {{10 * i, 1, 0}}));
  const auto claims = claims_of(told);
  EXPECT_EQ(claims->told.size(), 10 + events::kMostRuntimes);
  EXPECT_EQ(claims->claims.size(), events::kMostRuntimes);
  EXPECT_EQ(claims->told[claims->claims.back().by.runtime - 1].pages->runtime, "6");
}

TEST(RuntimeClaims, ACursorAndALookUpAgree) {
  const auto claims = claims_of({pages("go", {{100, 16, 0}, {200, 4, 1}})});
  ClaimCursor cursor(claims.get());
  for (PageNumber page = 90; page < 210; ++page) {
    PageNumber end = 1000, same = 1000;
    const RuntimeUse by = cursor.at(page, end);
    EXPECT_EQ(by, claim_at(claims.get(), page, same)) << page;
    EXPECT_EQ(end, same) << page;
  }
}

TEST(GroupTable, WhatAGroupIsToldApartByComesBack) {
  StackDictionary stacks;
  GroupTable table;
  const uint32_t greatest = kMostVmas - 1;
  const RuntimeUse last{events::kMostRuntimes, events::kMostUses - 1};
  const PageWord word(How::kUnknown, PageWord::kNoStack, 7, PageWord::kFile);
  table.add(greatest, last, word, 3, 7, {});
  table.add(greatest, {}, word, 4, 7, {});
  table.add(kNoVma, last, word, 5, 7, {});
  const auto groups = table.groups(GroupTable::Which::kAll, stacks, [](uint64_t tick) { return tick; });
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].vma, greatest);
  EXPECT_EQ(groups[0].by, RuntimeUse{});
  EXPECT_EQ(groups[0].pages, 4u);
  EXPECT_EQ(groups[1].vma, greatest);
  EXPECT_EQ(groups[1].by, last);
  EXPECT_EQ(groups[1].how, How::kUnknown);
  EXPECT_TRUE(groups[1].file_page);
  EXPECT_EQ(groups[2].vma, kNoVma);
  EXPECT_EQ(groups[2].by, last);
}

}  // namespace
}  // namespace memwhy::timeline
