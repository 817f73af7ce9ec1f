// SPDX-License-Identifier: Apache-2.0
#include "record/event_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "record/lives.h"
#include "unit/record/scripted_sources.h"

namespace memwhy::record {
namespace {

events::Event at(TimeNs time, uint64_t count = 0) { return {time, events::Loss{SpaceId::kNone, "x", count}}; }

std::vector<TimeNs> times(const std::vector<events::Event>& events) {
  std::vector<TimeNs> all;
  for (const auto& event : events) all.push_back(event.time);
  return all;
}

TEST(EventQueue, LeavesInOrderOfTimeAfterTheWindow) {
  EventQueue queue(1 << 20, kSecond);
  for (const TimeNs time : {204, 199, 210, 207}) ASSERT_TRUE(queue.try_push(at(time * kMs)));
  std::vector<events::Event> out;
  EXPECT_TRUE(queue.take(1'198 * kMs, out));
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(queue.take(1'204 * kMs, out));
  EXPECT_EQ(times(out), (std::vector<TimeNs>{199 * kMs, 204 * kMs}));
  queue.done();
  queue.close();
  EXPECT_TRUE(queue.take(0, out));
  EXPECT_EQ(times(out), (std::vector<TimeNs>{207 * kMs, 210 * kMs}));
  queue.done();
  EXPECT_FALSE(queue.take(0, out));
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(EventQueue, EqualTimesKeepTheirOrder) {
  EventQueue queue(1 << 20, kSecond);
  for (uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(queue.try_push(at(7, i)));
  std::vector<events::Event> out;
  queue.close();
  queue.take(0, out);
  ASSERT_EQ(out.size(), 100U);
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(std::get<events::Loss>(out[i].payload).count, i);
}

TEST(EventQueue, RandomOrderIsSorted) {
  std::mt19937_64 random(1);
  EventQueue queue(64 << 20, kSecond);
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(queue.try_push(at(random() % 100'000)));
  std::vector<events::Event> out;
  queue.take(kSecond + 50'000, out);
  const size_t first = out.size();
  EXPECT_TRUE(std::ranges::is_sorted(times(out)));
  EXPECT_LE(out.back().time, 50'000U);
  queue.done();
  queue.close();
  queue.take(0, out);
  EXPECT_EQ(first + out.size(), 3000U);
  EXPECT_GT(out.front().time, 50'000U);
  EXPECT_TRUE(std::ranges::is_sorted(times(out)));
}

TEST(EventQueue, FullIsTold) {
  const size_t one = bytes_of(at(1));
  EventQueue queue(10 * one, kSecond);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(queue.try_push(at(1)));
  EXPECT_FALSE(queue.try_push(at(1)));
  std::vector<events::Event> out;
  queue.take(0, out);
  EXPECT_EQ(out.size(), 5U) << "over half full, the oldest leave before their window is over";
  EXPECT_FALSE(queue.try_push(at(1))) << "what was taken still counts until it is done";
  queue.done();
  EXPECT_TRUE(queue.try_push(at(1)));
}

TEST(EventQueue, TheSamplerLeavesAQuarterToIntake) {
  const size_t one = bytes_of(at(1));
  EventQueue queue(12 * one, kSecond);
  std::atomic<int> pushed{0};
  std::thread sampler([&] {
    for (int i = 0; i < 20; ++i) {
      queue.push(at(static_cast<TimeNs>(i)));
      ++pushed;
    }
  });
  std::vector<events::Event> out;
  size_t taken = 0;
  while (taken < 20) {
    EXPECT_LE(queue.bytes(), 9 * one);
    queue.take(100 * kSecond, out);
    taken += out.size();
    queue.done();
    std::this_thread::yield();
  }
  sampler.join();
  EXPECT_EQ(pushed, 20);
}

TEST(EventQueue, SomethingLargerThanTheQueueStillPasses) {
  EventQueue queue(1000, kSecond);
  events::PageScan scan;
  scan.runs.resize(10'000);
  queue.push({5, scan});
  std::vector<events::Event> out;
  queue.take(0, out);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(std::get<events::PageScan>(out[0].payload).runs.size(), 10'000U);
}

TEST(EventQueue, BytesFollowTheContents) {
  events::PageTableRuns runs;
  const size_t empty = bytes_of({0, runs});
  runs.runs.resize(1000);
  EXPECT_GE(bytes_of({0, runs}), empty + 1000 * sizeof(events::TableRun));
  events::Stack stack;
  stack.frames.resize(128);
  EXPECT_GE(bytes_of({0, stack}), 1024U);
}

events::Event starts(TimeNs time, uint32_t space, Pid pid, events::StartHow how = events::StartHow::kForked,
                     uint32_t parent = 0) {
  events::SpaceStart start;
  start.space = SpaceId{space};
  start.tgid = pid;
  start.how = how;
  start.parent = SpaceId{parent};
  return {time, start};
}

events::Event ends(TimeNs time, uint32_t space) {
  return {time, events::SpaceEnd{SpaceId{space}, events::EndWhy::kExited}};
}

TEST(Lives, EndsOnce) {
  CollectingSink sink;
  Lives lives(sink);
  lives.pass(starts(1, 1, 10));
  lives.pass(ends(2, 1));
  lives.pass(ends(3, 1));
  lives.pass(ends(3, 9));
  EXPECT_EQ(words(sink.events()), (std::vector<std::string>{"start? 1", "exited 1"}));
}

TEST(Lives, AnExecEndsTheOldSpaceUnlessItIsAnothers) {
  CollectingSink sink;
  Lives lives(sink);
  lives.pass(starts(1, 1, 10));
  lives.pass(starts(2, 2, 20, events::StartHow::kExeced, 1));  // a vfork child
  lives.pass(starts(3, 3, 10, events::StartHow::kExeced, 1));
  lives.pass(ends(4, 1));
  EXPECT_EQ(words(sink.events()), (std::vector<std::string>{"start? 1", "start? 2", "execed 1", "start? 3"}));
}

TEST(Lives, AStackIsDefinedOnceHoweverManySpacesHaveIt) {
  CollectingSink sink;
  Lives lives(sink);
  for (const uint32_t space : {1U, 2U, 3U}) {
    for (const uint32_t id : {7U, 9U}) {
      events::Stack stack;
      stack.id = StackId{id};
      stack.space = SpaceId{space};
      lives.pass({space, stack});
    }
  }
  EXPECT_EQ(words(sink.events()), (std::vector<std::string>{"stack 1", "stack 1"}))
      << "as the first space has them";
  EXPECT_EQ(std::get<events::Stack>(sink.events()[1].payload).id, StackId{9});
}

// Ids of recordings that share a probe are far apart, and cost no memory for what is between them.
TEST(Lives, StacksNeedNotStartAtOne) {
  CollectingSink sink;
  Lives lives(sink);
  for (int times = 0; times < 2; ++times)
    for (const uint32_t id : {1u, 4095u, 4096u, 4'000'000'000u}) {
      events::Stack stack;
      stack.id = StackId{id};
      lives.pass({5, stack});
    }
  EXPECT_EQ(sink.events().size(), 4u);
}

TEST(Lives, TimeDoesNotGoBack) {
  CollectingSink sink;
  Lives lives(sink);
  lives.pass(at(5));
  lives.pass(at(3));
  lives.pass(at(6));
  EXPECT_EQ(times(sink.events()), (std::vector<TimeNs>{5, 5, 6}));
  lives.pass({7, events::RecordingEnd{"stopped"}});
  const std::vector<events::Event> told = sink.events();
  ASSERT_EQ(told.size(), 5u);
  const auto& loss = std::get<events::Loss>(told[3].payload);
  EXPECT_EQ(loss.count, 1U);
  EXPECT_EQ(loss.what, "time of an event (it came too late)");
  EXPECT_TRUE(std::holds_alternative<events::RecordingEnd>(told[4].payload));
}

}  // namespace
}  // namespace memwhy::record
