// SPDX-License-Identifier: Apache-2.0
// Several sinks of one session, and functions that run on their thread.
#include "record/sinks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "record/session.h"
#include "unit/record/scripted_sources.h"

namespace memwhy::record {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

events::Event info() { return {1, events::RecordingInfo{}}; }

TEST(Sinks, EachEventGoesToEachInTheirOrder) {
  ManualClock clock;
  CollectingSink first, second;
  std::string order;
  first.on_each = [&](const auto&) { order += "1"; };
  second.on_each = [&](const auto&) { order += "2"; };
  Sinks sinks({{&first, "first", false}, {&second, "second", false}}, clock, [](auto) { FAIL(); });
  sinks.on_event(info());
  sinks.on_event(info());
  EXPECT_EQ(order, "1212");
  EXPECT_EQ(first.events().size(), 2u);
  EXPECT_EQ(second.events(), first.events());
}

TEST(Sinks, TheOneThatTakesTheTimeIsCutWhenEventsPileUp) {
  ManualClock clock;
  CollectingSink file, quick, slow;
  file.on_each = [&](const auto&) { clock.advance(2); };
  quick.on_each = [&](const auto&) { clock.advance(1); };
  slow.on_each = [&](const auto&) { clock.advance(10); };
  Sinks sinks({{&file, "the file", false}, {&slow, "the view", true}, {&quick, "the gauge", true}}, clock,
              [](auto) { FAIL(); });
  sinks.on_event(info());
  sinks.shed();
  EXPECT_THAT(sinks.take_cut(), ElementsAre("the view is given nothing more of this recording: it is slower "
                                            "than events come"));
  sinks.on_event(info());
  sinks.shed();
  EXPECT_TRUE(sinks.take_cut().empty()) << "the file takes the most now, and is needed";
  EXPECT_EQ(slow.events().size(), 1u);
  EXPECT_EQ(quick.events().size(), 2u);
  EXPECT_EQ(file.events().size(), 2u);
}

class SeveralSinks : public testing::Test {
 protected:
  void SetUp() override { processes_[10]; }
  std::unique_ptr<Session> make(bool optional) {
    return std::make_unique<Session>(
        kernel_, processes_, symbols_,
        std::vector<Sink>{{&file_, "the file", false}, {&view_, "the view", optional}}, clock_,
        SessionOptions{});
  }
  static void fail_at_a_scan(CollectingSink& sink) {
    sink.on_each = [](const events::Event& event) {
      if (std::holds_alternative<events::PageScan>(event.payload)) throw std::runtime_error("planted");
    };
  }

  SystemClock clock_;
  ScriptedKernel kernel_{clock_};
  ScriptedProcesses processes_;
  ScriptedSymbols symbols_;
  CollectingSink file_, view_;
};

TEST_F(SeveralSinks, AreGivenTheSame) {
  auto session = make(true);
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  session->finish();
  EXPECT_EQ(file_.events(), view_.events());
  EXPECT_EQ(word(view_.events().back()), "end of recording: stopped");
}

TEST_F(SeveralSinks, OneThatIsNotNeededAndFailsIsCut) {
  fail_at_a_scan(view_);
  auto session = make(true);
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  EXPECT_EQ(session->finish(), "stopped");
  EXPECT_FALSE(session->failure());
  EXPECT_EQ(word(file_.events().back()), "end of recording: stopped");
  EXPECT_NE(word(view_.events().back()), "end of recording: stopped") << "it must not look complete";
  EXPECT_THAT(session->progress().cut_sinks,
              ElementsAre("the view is given nothing more of this recording: it failed: planted"));
}

TEST_F(SeveralSinks, OneThatIsNeededAndFailsEndsTheRecordingForTheOthersToo) {
  fail_at_a_scan(file_);
  auto session = make(true);
  ASSERT_TRUE(session->start());
  static_cast<void>(session->add(10));
  EXPECT_EQ(session->wait(100 * kSecond), "failed");
  EXPECT_EQ(session->finish(), "failed");
  ASSERT_TRUE(session->failure());
  EXPECT_THAT(session->failure()->message(), HasSubstr("planted"));
  EXPECT_EQ(word(view_.events().back()), "end of recording: failed") << "it is given all of it";
}

TEST_F(SeveralSinks, AFunctionRunsOnTheirThreadBetweenTwoEvents) {
  std::atomic<bool> inside = false;
  std::thread::id sink_thread{};
  view_.on_each = [&](const auto&) {
    inside = true;
    sink_thread = std::this_thread::get_id();
    inside = false;
  };
  auto session = make(true);
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  view_.wait_for<events::PageScan>();
  size_t events = 0;
  std::string order;
  auto first = session->on_sink([&] {
    EXPECT_FALSE(inside);
    EXPECT_EQ(std::this_thread::get_id(), sink_thread);
    events = view_.events().size();
    order += "1";
  });
  auto second = session->on_sink([&] { order += "2"; });
  EXPECT_TRUE(first.get()) << "while the recording runs";
  EXPECT_TRUE(second.get());
  EXPECT_GT(events, 0u);
  EXPECT_EQ(order, "12");
  EXPECT_EQ(session->wait(0), std::nullopt);
  session->finish();
}

TEST_F(SeveralSinks, WhatAFunctionThrowsEndsNothing) {
  auto session = make(true);
  ASSERT_TRUE(session->start());
  auto thrown = session->on_sink([] { throw std::runtime_error("planted"); });
  EXPECT_THROW(thrown.get(), std::runtime_error);
  EXPECT_TRUE(session->on_sink([] {}).get());
  EXPECT_EQ(session->finish(), "stopped");
  EXPECT_FALSE(session->failure());
}

TEST_F(SeveralSinks, AFunctionAskedForBeforeTheEndSeesAllOfIt) {
  auto session = make(true);
  std::future<Status> at_the_end, behind_it, too_late;
  std::string last;
  view_.on_each = [&](const events::Event& event) {
    if (!std::holds_alternative<events::RecordingEnd>(event.payload)) return;
    at_the_end = session->on_sink([&] {
      last = word(view_.events().back());
      behind_it = session->on_sink([&] { too_late = session->on_sink([] {}); });
    });
  };
  EXPECT_EQ(session->on_sink([] {}).get().error().code(), ErrorCode::kUsage) << "before the start";
  ASSERT_TRUE(session->start());
  session->finish();
  ASSERT_TRUE(at_the_end.valid());
  EXPECT_TRUE(at_the_end.get());
  EXPECT_EQ(last, "end of recording: stopped");
  EXPECT_TRUE(behind_it.get());
  EXPECT_EQ(too_late.get().error().code(), ErrorCode::kUsage);
  EXPECT_EQ(session->on_sink([] {}).get().error().code(), ErrorCode::kUsage) << "after the end";
}

TEST_F(SeveralSinks, AFunctionIsAnsweredAlsoWhenNoSinkIsLeft) {
  fail_at_a_scan(file_);
  Session session(kernel_, processes_, symbols_, file_, clock_, {});
  ASSERT_TRUE(session.start());
  static_cast<void>(session.add(10));
  while (!session.wait(10'000'000)) {
  }
  const Status ran = session.on_sink([] {}).get();
  EXPECT_FALSE(ran);
  EXPECT_EQ(session.finish(), "failed");
}

}  // namespace
}  // namespace memwhy::record
