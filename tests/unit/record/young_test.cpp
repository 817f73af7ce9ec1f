// SPDX-License-Identifier: Apache-2.0
#include "record/young.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "record/allowance.h"
#include "unit/record/scripted_sources.h"

namespace memwhy::record {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class YoungTest : public testing::Test {
 protected:
  void tell(events::Payload payload) { young_.take({now_, std::move(payload)}); }
  void fork(uint32_t space, Pid pid, uint32_t parent = 1) {
    start(space, pid, events::StartHow::kForked, parent);
  }
  void exec(uint32_t space, Pid pid, uint32_t from) { start(space, pid, events::StartHow::kExeced, from); }
  void exit(uint32_t space, Pid pid, uint32_t code = 0) {
    tell(events::SpaceEnd{SpaceId{space}, events::EndWhy::kExited});
    tell(events::ProcessExit{SpaceId{space}, pid, code, std::nullopt});
  }
  void start(uint32_t space, Pid pid, events::StartHow how, uint32_t parent) {
    events::SpaceStart start;
    start.space = SpaceId{space};
    start.tgid = pid;
    start.how = how;
    start.parent = SpaceId{parent};
    tell(start);
  }
  // So many children that from now on each waits.
  void spend_credit() {
    for (uint32_t i = 0; i < kFreeAtOnce; ++i) {
      fork(100'000 + i, static_cast<Pid>(100'000 + i));
      exit(100'000 + i, static_cast<Pid>(100'000 + i));
    }
    EXPECT_EQ(passed_.size(), 3 * kFreeAtOnce) << "told as ever";
    EXPECT_THAT(over_, IsEmpty());
    passed_.clear();
  }

  TimeNs now_ = 1000 * kSecond;
  std::vector<events::Event> passed_;
  std::vector<SpaceId> over_;
  Young young_{[this](events::Event event) { passed_.push_back(std::move(event)); },
               [this](TimeNs, SpaceId space) { over_.push_back(space); }};
};

TEST_F(YoungTest, OfAStormOnlyTheNumberIsTold) {
  spend_credit();
  for (uint32_t i = 0; i < 100'000; ++i) {
    const Pid pid = static_cast<Pid>(2 + i);
    fork(2 + 2 * i, pid);
    tell(events::SpaceEnd{SpaceId{2 + 2 * i}, events::EndWhy::kExeced});
    exec(3 + 2 * i, pid, 2 + 2 * i);
    tell(events::VmaMapped{SpaceId{3 + 2 * i}, pid, {0x1000, 0x2000}, 3, 2, -1, 0, StackId::kNone, 0});
    exit(3 + 2 * i, pid);
  }
  EXPECT_THAT(passed_, IsEmpty());
  EXPECT_EQ(young_.not_told(), 100'000U);
  EXPECT_EQ(over_.size(), 200'000U) << "what the kernel side has of them is given back";
  EXPECT_EQ(young_.held(), 0U);
}

TEST_F(YoungTest, WhoLivesLongerIsToldFromTheStart) {
  spend_credit();
  const TimeNs born = now_;
  fork(2, 20);
  tell(events::HeapGrown{SpaceId{2}, 20, {1, 2}, StackId::kNone, 0});
  tell(events::HeapGrown{SpaceId{1}, 10, {1, 2}, StackId::kNone, 0});
  EXPECT_EQ(passed_.size(), 1U) << "others do not wait";
  now_ += kYoungFor - 1;
  young_.grow_up(now_);
  EXPECT_EQ(passed_.size(), 1U);
  now_ += 1;
  young_.grow_up(now_);
  EXPECT_EQ(passed_.size(), 3U);
  EXPECT_EQ(std::get<events::SpaceStart>(passed_[1].payload).space, SpaceId{2});
  EXPECT_EQ(passed_[1].time, born);
  exit(2, 20);
  EXPECT_EQ(passed_.size(), 5U);
  EXPECT_EQ(young_.not_told(), 0U);
}

TEST_F(YoungTest, ASignalTheOomKillerAndAChildOfItsOwnAreTold) {
  spend_credit();
  fork(2, 20);
  exit(2, 20, 11);
  EXPECT_EQ(passed_.size(), 3U);
  fork(3, 30);
  tell(events::OomVictim{SpaceId{3}, 30});
  EXPECT_EQ(passed_.size(), 5U);
  fork(4, 40);
  fork(5, 50, 4);
  EXPECT_EQ(passed_.size(), 6U) << "the parent; the child waits";
  young_.let_all_go();
  EXPECT_EQ(passed_.size(), 7U);
  EXPECT_EQ(young_.not_told(), 0U);
}

TEST_F(YoungTest, ChildrenOfVforkWaitToo) {
  spend_credit();
  exec(7, 70, 0);
  exit(7, 70);
  EXPECT_THAT(passed_, IsEmpty());
  EXPECT_EQ(young_.not_told(), 1U);
  exec(9, 10, 1);
  EXPECT_EQ(passed_.size(), 1U) << "a process that execs and is no child";
}

TEST_F(YoungTest, WhatWaitsIsBounded) {
  spend_credit();
  fork(2, 20);
  for (size_t i = 0; i < kMostHeld; ++i)
    tell(events::HeapGrown{SpaceId{2}, 20, {i, i + 1}, StackId::kNone, 0});
  EXPECT_EQ(young_.held(), 0U);
  EXPECT_EQ(passed_.size(), kMostHeld + 1);
}

TEST_F(YoungTest, SomeMoreAreToldEachSecond) {
  spend_credit();
  now_ += kSecond;
  for (uint32_t i = 2; i < 100; ++i) {
    fork(i, static_cast<Pid>(i));
    exit(i, static_cast<Pid>(i));
  }
  EXPECT_EQ(passed_.size(), 3 * kFreePerSecond);
  EXPECT_EQ(young_.not_told(), 98 - kFreePerSecond);
}

TEST(Allowance, FreeAtOnceAndThenAShare) {
  Allowance allowance(1 * kSecond, 10);
  const TimeNs begun = 1000 * kSecond;
  allowance.spend(begun, 1 * kSecond);
  EXPECT_TRUE(allowance.allows(begun));
  allowance.spend(begun, kSecond / 2);
  EXPECT_FALSE(allowance.allows(begun));
  EXPECT_EQ(allowance.due(), begun + 5 * kSecond);
  uint64_t spent = 0;
  for (TimeNs now = begun; now < begun + 1000 * kSecond; now += 100 * kMs) {
    if (!allowance.allows(now)) continue;
    allowance.spend(now, 50 * kMs);
    spent += 50 * kMs;
  }
  EXPECT_GE(spent, 99 * kSecond);
  EXPECT_LE(spent, 101 * kSecond);
}

}  // namespace
}  // namespace memwhy::record
