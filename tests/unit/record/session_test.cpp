// SPDX-License-Identifier: Apache-2.0
// Whole sessions, with their threads and the system's clock, over scripted sources. Nothing here waits for a
// length of time; it waits for what must happen.
#include "record/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "unit/record/scripted_sources.h"

namespace memwhy::record {
namespace {

using testing::Contains;

events::VmaMapped mapped() {
  events::VmaMapped event;
  event.space = SpaceId{1};
  return event;
}

size_t entries(const char* directory) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

class SessionTest : public testing::Test {
 protected:
  std::unique_ptr<Session> make(SessionOptions options = {}) {
    options.info.tool_version = "test";
    return std::make_unique<Session>(kernel_, processes_, symbols_, sink_, clock_, std::move(options));
  }
  // Each event in order of time, the first and the last where they belong.
  void check_frame(const std::string& why) const {
    const auto events = sink_.events();
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(word(events.front()), "info");
    EXPECT_EQ(word(events.back()), "end of recording: " + why);
    EXPECT_TRUE(std::ranges::is_sorted(events, {}, &events::Event::time));
  }

  SystemClock clock_;
  ScriptedKernel kernel_{clock_};
  ScriptedProcesses processes_;
  ScriptedSymbols symbols_;
  CollectingSink sink_;
};

TEST_F(SessionTest, AddRecordStop) {
  processes_[10];
  auto session = make();
  ASSERT_TRUE(session->start());
  EXPECT_EQ(session->start().error().code(), ErrorCode::kUsage);
  ASSERT_TRUE(session->add(10));
  EXPECT_EQ(session->add(11).error().code(), ErrorCode::kTargetGone);
  EXPECT_EQ(session->wait(0), std::nullopt);
  EXPECT_EQ(session->finish(), "stopped");
  check_frame("stopped");
  const auto all = words(sink_.events());
  EXPECT_THAT(all, Contains("scan 1").Times(2));
  EXPECT_THAT(all, Contains("coverage"));
  EXPECT_THAT(kernel_.calls(), Contains("untrace 1"));
  EXPECT_EQ(session->progress().scans, 2U);
  EXPECT_EQ(session->progress().rss_bytes, uint64_t{100} << 20);
  EXPECT_EQ(session->finish(), "stopped") << "again is harmless";
  EXPECT_EQ(session->add(10).error().code(), ErrorCode::kUsage);
}

TEST_F(SessionTest, EndsWhenEveryTargetIsGone) {
  processes_[10];
  auto session = make();
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  session->attached();
  kernel_.put(clock_.now(), events::SpaceEnd{SpaceId{1}, events::EndWhy::kExited});
  EXPECT_EQ(session->wait(100 * kSecond), "target_exited");
  EXPECT_EQ(session->finish(), "target_exited");
  check_frame("target_exited");
  EXPECT_THAT(words(sink_.events()), Contains("exited 1").Times(1));
}

TEST_F(SessionTest, EndsAfterItsDuration) {
  processes_[10];
  SessionOptions options;
  options.duration = 300 * kMs;
  auto session = make(options);
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  session->attached();
  EXPECT_EQ(session->wait(100 * kSecond), "duration");
  session->finish();
  check_frame("duration");
  EXPECT_GE(sink_.events().back().time - sink_.events().front().time, 300 * kMs);
}

// Each of them takes half of the duration to be attached: the recording is as long as was asked for all the same.
TEST_F(SessionTest, ADurationBeginsWhenAllAreAttached) {
  constexpr Pid kTargets = 5;
  SessionOptions options;
  options.duration = 200 * kMs;
  auto session = make(options);
  ASSERT_TRUE(session->start());
  TimeNs last = 0;
  for (Pid pid = 10; pid < 10 + kTargets; ++pid) {
    processes_[pid].on_call = [this](const std::string& call) {
      const TimeNs begun = clock_.now();
      while (call == "identity" && clock_.now() < begun + 100 * kMs) std::this_thread::yield();
    };
    ASSERT_TRUE(session->add(pid)) << pid;
    last = clock_.now();
  }
  session->attached();
  EXPECT_EQ(session->wait(100 * kSecond), "duration");
  session->finish();
  EXPECT_GE(sink_.events().back().time - last, 200 * kMs);
}

TEST_F(SessionTest, ATargetThatExitsWhileOthersAreAttachedDoesNotEndIt) {
  processes_[10];
  processes_[11];
  auto session = make();
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  kernel_.put(clock_.now(), events::SpaceEnd{SpaceId{1}, events::EndWhy::kExited});
  sink_.wait_for<events::SpaceEnd>();
  const TimeNs gone = clock_.now();
  while (clock_.now() < gone + 500 * kMs)
    std::this_thread::yield();  // longer than the end of all is waited for
  ASSERT_TRUE(session->add(11));
  session->attached();
  kernel_.put(clock_.now(), events::SpaceEnd{SpaceId{2}, events::EndWhy::kExited});
  EXPECT_EQ(session->wait(100 * kSecond), "target_exited");
  session->finish();
}

TEST_F(SessionTest, TheSinkItselfMayEndIt) {
  processes_[10];
  auto session = make();
  sink_.on_each = [&](const events::Event& event) {
    if (std::holds_alternative<events::PageScan>(event.payload)) session->request_stop("output_full");
  };
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  EXPECT_EQ(session->wait(100 * kSecond), "output_full");
  session->request_stop("stopped");
  EXPECT_EQ(session->finish(), "output_full") << "the first reason counts";
  check_frame("output_full");
}

TEST_F(SessionTest, EventsOfAllThreadsAreInOrderOfTime) {
  processes_[10];
  auto session = make();
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  const TimeNs now = clock_.now();
  for (TimeNs back = 0; back < 200; ++back) kernel_.put(now + (200 - back) * 1000, mapped());
  sink_.wait_for<events::VmaMapped>();
  session->finish();
  check_frame("stopped");
  EXPECT_THAT(words(sink_.events()), Contains("mmap 1").Times(200));
}

TEST_F(SessionTest, ALostRemovalIsFollowedByAScan) {
  processes_[10];
  auto session = make();
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  kernel_.put(clock_.now(), events::Loss{SpaceId::kNone, "removal", 1});
  sink_.wait_for<events::PageScan>([](const auto& scan) { return scan.scan == 2; });
  session->finish();
  const auto all = words(sink_.events());
  const auto loss = std::ranges::find(all, "loss of removal");
  ASSERT_NE(loss, all.end());
  EXPECT_NE(std::find(loss, all.end(), "scan 1"), all.end());
}

TEST_F(SessionTest, ChildrenAreFollowedThroughForkAndExec) {
  processes_[10];
  processes_[20].comm = "program";
  SessionOptions options;
  options.follow = true;
  auto session = make(options);
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  session->attached();
  events::SpaceStart start;
  start.space = SpaceId{2};
  start.tgid = 20;
  start.how = events::StartHow::kForked;
  start.parent = SpaceId{1};
  kernel_.put(clock_.now(), start);
  start.space = SpaceId{3};
  start.how = events::StartHow::kExeced;
  start.parent = SpaceId{2};
  kernel_.put(clock_.now(), start);
  sink_.wait_for<events::PageScan>([](const auto& scan) { return scan.space == SpaceId{3}; });
  kernel_.put(clock_.now(), events::SpaceEnd{SpaceId{1}, events::EndWhy::kExited});
  kernel_.put(clock_.now(), events::SpaceEnd{SpaceId{3}, events::EndWhy::kExited});
  EXPECT_EQ(session->wait(100 * kSecond), "target_exited");
  session->finish();
  check_frame("target_exited");
  const auto all = words(sink_.events());
  for (const char* once : {"start? 2", "execed 2", "start? 3", "start 3", "exited 1", "exited 3"}) {
    EXPECT_THAT(all, Contains(once).Times(1));
  }
}

TEST_F(SessionTest, AddAndRemoveWhileItRuns) {
  processes_[10];
  processes_[11];
  SessionOptions options;
  options.end_alone = false;
  auto session = make(options);
  ASSERT_TRUE(session->start());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(session->add(10));
    ASSERT_TRUE(session->add(11));
    ASSERT_TRUE(session->remove(10));
    ASSERT_TRUE(session->remove(11));
  }
  EXPECT_EQ(session->wait(0), std::nullopt);
  session->finish();
  EXPECT_THAT(words(sink_.events()), Contains("detached 1").Times(20));
  EXPECT_EQ(processes_.open_now, 0);
}

TEST_F(SessionTest, AHundredTimesLeavesNoThreadAndNoFile) {
  processes_[10];
  const size_t threads = entries("/proc/self/task");
  auto session = make();
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  session->finish();
  const size_t files = entries("/proc/self/fd");
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(session->start());
    ASSERT_TRUE(session->add(10));
    if (i % 2 == 0) session->finish();
    if (i % 2 == 1) session = make();
  }
  session.reset();
  // The kernel wakes who joins a thread before it takes the thread out of /proc.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (entries("/proc/self/task") > threads && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  EXPECT_EQ(entries("/proc/self/task"), threads);
  EXPECT_EQ(entries("/proc/self/fd"), files);
  EXPECT_EQ(processes_.open_now, 0);
  EXPECT_THAT(words(sink_.events()), Contains("end of recording: stopped").Times(101));
}

TEST_F(SessionTest, ScansAreNumberedAnewInEachRecording) {
  processes_[10];
  auto session = make();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(session->start());
    ASSERT_TRUE(session->add(10));
    session->finish();
  }
  std::vector<uint64_t> numbers;
  for (const auto& event : sink_.events()) {
    if (const auto* scan = std::get_if<events::PageScan>(&event.payload)) numbers.push_back(scan->scan);
  }
  EXPECT_EQ(numbers, (std::vector<uint64_t>{1, 2, 1, 2}));
}

// Holds who wants to pass until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [&] { return open_; });
  }
  void open() {
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    opened_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

TEST_F(SessionTest, AStalledSinkCostsCountedEventsAndNoMemory) {
  processes_[10];
  SessionOptions options;
  options.queue_bytes = 200 * bytes_of({0, events::VmaMapped{}});
  auto session = make(options);
  Gate gate;
  sink_.on_each = [&](const events::Event& event) {
    if (std::holds_alternative<events::VmaMapped>(event.payload)) gate.pass();
  };
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  for (int i = 0; i < 1000; ++i) kernel_.put(clock_.now(), mapped());
  while (session->progress().events_lost == 0) std::this_thread::yield();
  const uint64_t lost = session->progress().events_lost;
  gate.open();
  session->finish();
  check_frame("stopped");
  size_t delivered = 0;
  uint64_t told = 0;
  for (const auto& event : sink_.events()) {
    if (std::holds_alternative<events::VmaMapped>(event.payload)) ++delivered;
    if (const auto* loss = std::get_if<events::Loss>(&event.payload))
      told += loss->what == "queue" ? loss->count : 0;
  }
  EXPECT_EQ(delivered + told, 1000U) << "what did not arrive was told";
  EXPECT_LE(lost, 1000U);
}

// Of 1000 stacks most find no room while the sink stands still; afterwards each is there.
TEST_F(SessionTest, AStalledSinkCostsNoStack) {
  processes_[10];
  SessionOptions options;
  options.queue_bytes = 200 * bytes_of({0, events::VmaMapped{}});
  auto session = make(options);
  Gate gate;
  sink_.on_each = [&](const events::Event& event) {
    if (std::holds_alternative<events::VmaMapped>(event.payload)) gate.pass();
  };
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  for (uint32_t id = 1; id <= 1000; ++id) {
    events::Stack stack;
    stack.id = StackId{id};
    stack.space = SpaceId{1};
    stack.frames = {0x1000123, id};
    kernel_.put(clock_.now(), stack);
    events::VmaMapped event = mapped();
    event.stack = stack.id;
    kernel_.put(clock_.now(), event);
  }
  while (session->progress().events_lost == 0) std::this_thread::yield();
  gate.open();
  session->finish();
  EXPECT_EQ(word(sink_.events().back()), "end of recording: stopped");
  std::set<StackId> told;
  for (const auto& event : sink_.events()) {
    const auto* stack = std::get_if<events::Stack>(&event.payload);
    if (stack == nullptr) continue;
    told.insert(stack->id);
    EXPECT_EQ(stack->frames[1], static_cast<uint32_t>(stack->id));
  }
  EXPECT_EQ(told.size(), 1000U);
}

// The sampler is inside a reading that does not come back.
class StuckSession : public SessionTest {
 protected:
  // From when armed_ is true.
  void stuck_in(const std::string& name) {
    processes_[10].on_call = [this, name](const std::string& call) {
      if (call != name || !armed_) return;
      {
        const std::lock_guard lock(mutex_);
        inside_ = true;
      }
      entered_.notify_all();
      gate_.pass();
    };
  }
  void wait_until_stuck() {
    std::unique_lock lock(mutex_);
    entered_.wait(lock, [&] { return inside_; });
  }
  std::vector<std::string> not_seen() const {
    std::vector<std::string> last;
    for (const auto& event : sink_.events()) {
      if (const auto* hooks = std::get_if<events::HookReport>(&event.payload)) last = hooks->sentences();
    }
    return last;
  }

  Gate gate_;
  std::mutex mutex_;
  std::condition_variable entered_;
  bool inside_ = false;
  std::atomic<bool> armed_ = false;
};

TEST_F(StuckSession, EndsWithoutAReadingThatDoesNotComeBack) {
  stuck_in("counters");
  auto session = make();
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  armed_ = true;
  session->attached();
  wait_until_stuck();
  EXPECT_EQ(session->finish(50 * kMs), "stopped");
  EXPECT_TRUE(session->abandoned());
  check_frame("stopped");
  EXPECT_THAT(words(sink_.events()), Contains("scan 1").Times(1)) << "that of the attaching";
  EXPECT_THAT(words(sink_.events()), Contains("coverage"));
  EXPECT_THAT(not_seen(), Contains(testing::HasSubstr("The last look at the processes was not finished")));
  EXPECT_EQ(session->start().error().code(), ErrorCode::kConflict);
  const size_t told = sink_.events().size();
  gate_.open();
  session.reset();  // waits for it
  EXPECT_EQ(sink_.events().size(), told) << "what comes too late is not told";
  EXPECT_EQ(processes_.open_now, 0);
}

TEST_F(StuckSession, TheDurationIsKeptByWhoWaits) {
  stuck_in("counters");
  SessionOptions options;
  options.duration = 2 * kSecond;
  auto session = make(options);
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  armed_ = true;
  session->attached();
  wait_until_stuck();  // after a second
  EXPECT_EQ(session->wait(100 * kSecond), "duration");
  EXPECT_EQ(session->finish(50 * kMs), "duration");
  check_frame("duration");
  gate_.open();
}

TEST_F(StuckSession, EndsWhileItAttaches) {
  stuck_in("scan");
  armed_ = true;
  auto session = make();
  ASSERT_TRUE(session->start());
  std::future<Status> added = session->begin_add(10);
  wait_until_stuck();
  session->request_stop("stopped");
  EXPECT_EQ(session->finish(50 * kMs), "stopped");
  EXPECT_TRUE(session->abandoned());
  check_frame("stopped");
  EXPECT_THAT(words(sink_.events()), Contains("start 1")) << "what was known of it is kept";
  EXPECT_EQ(added.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  gate_.open();
  session.reset();
  EXPECT_EQ(added.wait_for(std::chrono::seconds(0)), std::future_status::ready) << "nobody waits for ever";
}

TEST_F(SessionTest, NoMemoryInAReadingEndsTheRecording) {
  std::atomic<bool> full = false;
  processes_[10].on_call = [&](const std::string& call) {
    if (full && call == "counters") throw std::bad_alloc();
  };
  auto session = make();
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  full = true;
  session->attached();
  EXPECT_EQ(session->wait(100 * kSecond), "out_of_memory");
  EXPECT_EQ(session->finish(), "out_of_memory");
  check_frame("out_of_memory");
  ASSERT_TRUE(session->failure());
  EXPECT_EQ(session->failure()->code(), ErrorCode::kEnvironment);
  EXPECT_THAT(session->failure()->message(), testing::HasSubstr("no more memory"));
  EXPECT_THAT(words(sink_.events()), Contains("scan 1")) << "what was seen is kept";
  EXPECT_EQ(processes_.open_now, 0);
}

TEST_F(SessionTest, NoMemoryWhileAttachingIsAnAnswer) {
  processes_[10].on_call = [](const std::string& call) {
    if (call == "scan") throw std::bad_alloc();
  };
  auto session = make();
  ASSERT_TRUE(session->start());
  EXPECT_THROW(session->begin_add(10).get(), std::bad_alloc);
  EXPECT_EQ(session->finish(), "out_of_memory");
}

TEST_F(SessionTest, NoMemoryInIntakeEndsTheRecording) {
  processes_[10];
  std::atomic<bool> full = false;
  kernel_.on_drain = [&] {
    if (full) throw std::bad_alloc();
  };
  auto session = make();
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  full = true;
  EXPECT_EQ(session->wait(100 * kSecond), "out_of_memory");
  EXPECT_EQ(session->finish(), "out_of_memory");
  check_frame("out_of_memory");
  EXPECT_THAT(words(sink_.events()), Contains("scan 1").Times(2)) << "the last scan was made";
}

TEST_F(SessionTest, ABugInTheSinkEndsTheRecordingAndBlocksNobody) {
  processes_[10];
  auto session = make();
  sink_.on_each = [](const events::Event& event) {
    if (std::holds_alternative<events::PageScan>(event.payload)) throw std::logic_error("a planted one");
  };
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  EXPECT_EQ(session->wait(100 * kSecond), "failed");
  EXPECT_EQ(session->finish(), "failed");
  ASSERT_TRUE(session->failure());
  EXPECT_EQ(session->failure()->code(), ErrorCode::kInternal);
  EXPECT_THAT(session->failure()->message(), testing::HasSubstr("a planted one"));
}

TEST_F(SessionTest, ASentenceOfWhoRecordsIsToldWithTheHooks) {
  processes_[10];
  auto session = make();
  ASSERT_TRUE(session->start());
  ASSERT_TRUE(session->add(10));
  session->notice("Two were left out.");
  session->finish();
  std::vector<std::string> told;
  for (const auto& event : sink_.events()) {
    if (const auto* hooks = std::get_if<events::HookReport>(&event.payload)) told = hooks->sentences();
  }
  EXPECT_EQ(told, std::vector<std::string>{"Two were left out."});
}

}  // namespace
}  // namespace memwhy::record
