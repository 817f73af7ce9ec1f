// SPDX-License-Identifier: Apache-2.0
#include "record/intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/record/scripted_sources.h"

namespace memwhy::record {
namespace {

using testing::Contains;
using testing::ElementsAre;

class IntakeTest : public testing::Test {
 protected:
  void make(size_t queue_bytes) {
    queue_ = std::make_unique<EventQueue>(queue_bytes, kSecond);
    intake_ = std::make_unique<Intake>(kernel_, clock_, *queue_, [this](const events::Event& event) {
      if (!inbox_open_) return false;
      notices_.push_back(event);
      return true;
    });
  }
  std::vector<events::Event> taken() {
    std::vector<events::Event> out;
    queue_->take(clock_.now() + 100 * kSecond, out);
    queue_->done();
    return out;
  }
  static events::Coverage lost(const std::string& kind, uint64_t count, uint64_t faults = 0) {
    events::Coverage coverage;
    coverage.kinds.push_back({kind, count, 0, count});
    coverage.faults_seen = faults;
    return coverage;
  }

  ManualClock clock_;
  ScriptedKernel kernel_{clock_};
  std::unique_ptr<EventQueue> queue_;
  std::unique_ptr<Intake> intake_;
  std::vector<events::Event> notices_;
  bool inbox_open_ = true;
};

TEST_F(IntakeTest, WhatTheRingHoldsGoesOnAndLivesAreTold) {
  make(1 << 20);
  const TimeNs now = clock_.now();
  kernel_.put(now - 3, events::VmaMapped{});
  kernel_.put(now - 2, events::SpaceStart{});
  kernel_.put(now - 1, events::Stack{});
  intake_->poll();
  EXPECT_THAT(words(taken()), ElementsAre("mmap 0", "start? 0", "stack 0", "coverage"));
  EXPECT_THAT(words(notices_), ElementsAre("start? 0", "stack 0"));
  EXPECT_EQ(intake_->lost(), 0U);
}

TEST_F(IntakeTest, CoverageOnceASecond) {
  make(1 << 20);
  kernel_.set_coverage(lost("vma_map", 0, 1000));
  std::vector<TimeNs> moments;
  const TimeNs begin = clock_.now();
  for (int i = 0; i < 60; ++i) {
    if (i == 20) kernel_.set_coverage(lost("vma_map", 0, 3500));
    intake_->poll();
    for (const auto& event : taken()) moments.push_back((event.time - begin) / kMs);
    if (i == 20) {
      EXPECT_DOUBLE_EQ(intake_->faults_per_s(), 2500.0);
    }
    clock_.advance(kPollPeriod);
  }
  EXPECT_THAT(moments, ElementsAre(0, 1000, 2000));
}

TEST_F(IntakeTest, ALossInTheKernelIsTold) {
  make(1 << 20);
  kernel_.put(clock_.now(), events::Loss{SpaceId::kNone, "removal", 5});
  kernel_.set_coverage(lost("vma_unmap", 5));
  intake_->poll();
  EXPECT_THAT(words(taken()), ElementsAre("loss of removal", "coverage"));
  EXPECT_THAT(words(notices_), ElementsAre("loss of removal"));
  EXPECT_EQ(intake_->lost(), 5U);
}

TEST_F(IntakeTest, WithoutRoomItCountsAndTellsLater) {
  const size_t one = bytes_of({0, events::VmaUnmapped{}});
  make(10 * one);
  for (int i = 0; i < 25; ++i) kernel_.put(clock_.now(), events::VmaUnmapped{});
  kernel_.put(clock_.now(), events::VmaMapped{});
  intake_->poll();
  EXPECT_EQ(intake_->lost(), 16U);
  EXPECT_THAT(words(notices_), ElementsAre("loss of queue", "loss of removal"))
      << "the sampler knows at once";
  notices_.clear();
  size_t delivered = 0;
  for (auto out = taken(); !out.empty(); out = taken()) delivered += out.size();
  EXPECT_EQ(delivered, 10U);
  clock_.advance(kPollPeriod);
  intake_->poll();
  uint64_t removals = 0;
  uint64_t others = 0;
  for (const auto& event : taken()) {
    const auto* loss = std::get_if<events::Loss>(&event.payload);
    if (loss == nullptr) continue;
    (loss->what == "removal" ? removals : others) += loss->count;
  }
  EXPECT_EQ(removals, 15U);
  EXPECT_EQ(others, 1U);
}

TEST_F(IntakeTest, AStackThatDidNotArriveIsToldToTheKernelSide) {
  events::Stack stack;
  stack.id = StackId{9};
  make(bytes_of({0, events::Coverage{}}));
  kernel_.put(clock_.now(), events::VmaMapped{});
  intake_->poll();
  EXPECT_EQ(kernel_.lost_stacks(), 0U);
  kernel_.put(clock_.now(), stack);
  intake_->poll();
  EXPECT_EQ(kernel_.lost_stacks(), 1U) << "the queue is full";
  make(1 << 20);
  inbox_open_ = false;
  stack.id = StackId{10};
  kernel_.put(clock_.now(), stack);
  intake_->poll();
  EXPECT_EQ(kernel_.lost_stacks(), 2U) << "it would have no names";
}

TEST_F(IntakeTest, AForkThatTheSamplerHasNoRoomForIsALoss) {
  make(1 << 20);
  inbox_open_ = false;
  kernel_.put(clock_.now(), events::SpaceStart{});
  intake_->poll();
  EXPECT_THAT(words(taken()), ElementsAre("start? 0", "coverage"));
  inbox_open_ = true;
  clock_.advance(kPollPeriod);
  intake_->poll();
  EXPECT_THAT(words(notices_), ElementsAre("loss of fork"));
  EXPECT_THAT(words(taken()), ElementsAre("loss of fork"));
}

TEST_F(IntakeTest, TheLastLookIsWhole) {
  make(1 << 20);
  intake_->poll();
  taken();
  kernel_.put(clock_.now(), events::VmaMapped{});
  kernel_.set_coverage(lost("space_exec", 1));
  intake_->finish();
  const auto last = taken();
  ASSERT_THAT(words(last), ElementsAre("mmap 0", "coverage"));
  EXPECT_EQ(std::get<events::Coverage>(last[1].payload).kinds[0].lost, 1U);
}

}  // namespace
}  // namespace memwhy::record
