// SPDX-License-Identifier: Apache-2.0
// What is remembered of stacks from one scan to the next is what would be said anew.
#include "explain/stacks.h"

#include <gtest/gtest.h>

#include "support/event_script.h"

namespace memwhy::explain {
namespace {

constexpr const char* kStacks = R"(@10 binary b1 /bin/c inode=7 go=go1.26.8 race
attach 1 pid=5 comm=c exe=/bin/c binary=b1
symbol 1 0x401e00 binary=b1 main.work@/src/main.go:13
stack s1 1 0x401e00
stack s2 1 0x402000
vmas 1
  400+16 r-xp /bin/c inode=7
)";

class Remembered : public ::testing::Test {
 protected:
  void also(const char* script) { memwhy::testing::play(script, timeline_); }
  // Of s1 and s2 with the memory; and they are the same without.
  std::pair<StackKind, StackKind> kinds() {
    const std::vector<events::Vma>& vmas = timeline_.space(SpaceId{1})->vmas();
    Stacks with(timeline_, SpaceId{1}, vmas, &memory_), without(timeline_, SpaceId{1}, vmas);
    const std::pair kinds(with.facts(StackId{1}).touched, with.facts(StackId{2}).touched);
    EXPECT_EQ(kinds, std::pair(without.facts(StackId{1}).touched, without.facts(StackId{2}).touched));
    return kinds;
  }
  timeline::Timeline timeline_;
  StackMemory memory_;
};

TEST_F(Remembered, ANameThatArrivesLaterCounts) {
  also(kStacks);
  const auto before = kinds();
  EXPECT_TRUE(memory_.known.contains(StackId{1}));
  EXPECT_FALSE(memory_.known.contains(StackId{2})) << "it has no name yet";
  also("@11 symbol 1 0x402000 binary=b1 \"__tsan::TraceSwitchPart(__tsan::ThreadState*)@:0\"\n");
  const auto after = kinds();
  EXPECT_EQ(before.first, after.first);
  EXPECT_NE(before.second, after.second);
  EXPECT_TRUE(memory_.known.contains(StackId{2}));
}

TEST_F(Remembered, ANameThatIsReplacedIsForgotten) {
  also(kStacks);
  const auto before = kinds();
  also("@11 symbol 1 0x401e00 binary=b1 \"__tsan::TraceSwitchPart(__tsan::ThreadState*)@:0\"\n");
  EXPECT_NE(before.first, kinds().first);
}

TEST_F(Remembered, AStackThatIsToldAgainIsForgotten) {
  also(kStacks);
  const auto before = kinds();
  also(
      "@11 symbol 1 0x403000 binary=b1 \"__tsan::TraceSwitchPart(__tsan::ThreadState*)@:0\"\n"
      "stack s1 1 0x403000 0x401e00\n");
  EXPECT_NE(before.first, kinds().first);
}

}  // namespace
}  // namespace memwhy::explain
