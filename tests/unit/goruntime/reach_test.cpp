// SPDX-License-Identifier: Apache-2.0
// What goroutines keep, read again and again from the live hourly job: the same bytes each time, and a buffer
// that somebody else can reach as well is nobody's alone.
#include <gtest/gtest.h>

#include <algorithm>

#include "goruntime/goroutines.h"
#include "goruntime/pages.h"
#include "goruntime/program_file.h"
#include "goruntime/reach.h"
#include "goruntime/spans.h"
#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"

namespace memwhy::goruntime::test {
namespace {

constexpr uint64_t kJobs = 3, kJobBytes = 64 << 20;       // of hourly_job
constexpr uint64_t kBuffers = 8, kBufferBytes = 4 << 20;  // of go_reach
constexpr uint64_t kCrowd = 1'000'000;                    // objects of go_reach's crowd
constexpr int kReadings = 20;

struct Reading {
  uint64_t kept = 0;    // by the goroutines that wait in a send
  uint64_t others = 0;  // by all other parked goroutines together
  size_t senders = 0;
  Reach reach;
};

class ReachTest : public testing::Test {
 protected:
  static constexpr size_t kOthers = 0, kSenders = 1;  // groups; a walk begins with the first
  // Main is in no group: what it reaches is shared.
  std::optional<Reading> read(const ReachBudget& budget = {}) {
    Result<GoroutineList> list = read_goroutines(*memory_, globals_);
    Result<HeapPages> pages = read_pages(*memory_, globals_);
    if (!list || !pages || !pages->verified) return std::nullopt;
    Result<SpanTable> spans = read_spans(*memory_, globals_, *pages);
    if (!spans) return std::nullopt;
    std::vector<std::vector<uint32_t>> groups(2);
    for (uint32_t i = 0; i < list->goroutines.size(); ++i) {
      const GoroutineKind& kind = list->kind_of(list->goroutines[i]);
      if (kind.status != GoroutineStatus::kWaiting || list->goroutines[i].id == 1) continue;
      groups[kind.wait_reason() == "chan send" ? kSenders : kOthers].push_back(i);
    }
    Reading out;
    out.senders = groups[kSenders].size();
    out.reach =
        reach(*memory_, globals_, *spans, *list, std::vector<Members>(groups.begin(), groups.end()), budget);
    out.kept = out.reach.groups[kSenders].exclusive_bytes;
    out.others = out.reach.groups[kOthers].exclusive_bytes;
    return out;
  }

  void start(int minor, const char* program, std::vector<std::string> arguments, const char* until,
             const char* experiment = nullptr) {
    const Build build{release(minor), Variant::kStripped, program, false, experiment};
    const std::string path = built(build);
    MEMWHY_REQUIRE_BUILT(path, build);
    target_ = std::make_unique<LiveTarget>(path, std::move(arguments));
    ASSERT_TRUE(target_->wait_for(until));
    target_->wait_until_still();
    std::optional<GoProgram> found = target_->program();
    ASSERT_TRUE(found);
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    add_file(*found, file);
    memory_ = target_->memory();
    Result<Globals> globals = find_globals(*memory_, *layout_of(minor), found->image);
    ASSERT_TRUE(globals) << globals.error().message();
    globals_ = std::move(*globals);
  }

  // Tables that the program itself has not touched are read from its file, as memwhy does.
  static void add_file(GoProgram& program, const Fd& file) {
    const auto open = [&] {
      return symbols::FileBytes::open(Fd(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0)), 1 << 30);
    };
    auto bytes = open(), again = open();
    ASSERT_TRUE(bytes && again);
    auto binary = symbols::Binary::open(std::move(*bytes));
    ASSERT_TRUE(binary);
    program.image.file = std::make_shared<ProgramFile>(std::move(*again), (*binary)->elf().segments(),
                                                       program.image.pclntab - (*binary)->go_table()->vaddr);
  }

  std::unique_ptr<LiveTarget> target_;
  std::unique_ptr<remote::ProcessMemory> memory_;
  Globals globals_;
};

class Jobs : public ReachTest, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Go, Jobs, testing::Values(19, 26, 27), testing::PrintToStringParamName());

TEST_P(Jobs, every_reading_finds_every_buffer) {
  ASSERT_NO_FATAL_FAILURE(start(GetParam(), "hourly_job",
                                {"-period", "1ms", "-size", "64", "-runs", std::to_string(kJobs)}, "done"));
  if (!target_) return;
  for (int i = 0; i < kReadings; ++i) {
    const std::optional<Reading> reading = read();
    ASSERT_TRUE(reading) << i;
    EXPECT_EQ(reading->senders, kJobs);
    EXPECT_TRUE(reading->reach.finished);
    EXPECT_GE(reading->kept, kJobs * kJobBytes) << i;
    EXPECT_LE(reading->kept, kJobs * kJobBytes * 105 / 100) << i;
    EXPECT_LT(reading->others, 1u << 20);
    EXPECT_LE(reading->reach.stacks_by_word, 1u)
        << "a stack without maps; one of the runtime's own may be running";
    EXPECT_GE(reading->reach.stacks_by_map, kJobs + 1);
  }
}

// A heap with more objects than the walk may remember: what the group reaches is found, that nobody else does is not.
TEST_P(Jobs, a_walk_that_variables_exhaust_still_finds_every_buffer) {
  ASSERT_NO_FATAL_FAILURE(start(GetParam(), "hourly_job",
                                {"-period", "1ms", "-size", "64", "-runs", std::to_string(kJobs)}, "done"));
  if (!target_) return;
  for (const ReachBudget& budget : {ReachBudget{.objects = 64}, ReachBudget{.read_bytes = 1}}) {
    const std::optional<Reading> reading = read(budget);
    ASSERT_TRUE(reading);
    EXPECT_FALSE(reading->reach.finished);
    EXPECT_GE(reading->kept, kJobs * kJobBytes);
    EXPECT_LE(reading->kept, kJobs * kJobBytes * 105 / 100);
    const std::vector<KeptObject>& large = reading->reach.groups[kSenders].large;
    ASSERT_EQ(large.size(), kJobs);
    for (const KeptObject& buffer : large) EXPECT_EQ(buffer.bytes, kJobBytes);
  }
}

class Crowd : public ReachTest {};

// One goroutine before the senders reaches more than the reserve: it takes its share of it, and no more.
TEST_F(Crowd, a_group_that_reaches_much_leaves_the_others_their_share) {
  ASSERT_NO_FATAL_FAILURE(start(26, "go_reach", {"crowd"}, "ready"));
  if (!target_) return;
  target_->stop_between_work();  // of a goroutine that runs, every word counts
  const std::optional<Reading> reading = read({.objects = 64, .group_objects = 50'000});
  ASSERT_TRUE(reading);
  EXPECT_FALSE(reading->reach.finished);
  EXPECT_LT(reading->reach.groups[kOthers].exclusive_objects, kCrowd / 2);
  EXPECT_EQ(reading->reach.groups[kSenders].large.size(), kBuffers);
  const std::optional<Reading> whole = read();
  ASSERT_TRUE(whole);
  EXPECT_TRUE(whole->reach.finished);
  EXPECT_GE(whole->reach.groups[kOthers].exclusive_objects, kCrowd);
  EXPECT_EQ(whole->reach.groups[kSenders].large.size(), kBuffers);
}

// Who else has the first buffer.
struct Sharing {
  const char* how;
  bool shared;
  bool by_word;  // main's stack is one that the maps alone don't tell
};
void PrintTo(const Sharing& sharing, std::ostream* out) { *out << sharing.how; }

class Shared : public ReachTest, public testing::WithParamInterface<std::tuple<int, Sharing>> {};
INSTANTIATE_TEST_SUITE_P(
    Go, Shared,
    testing::Combine(testing::Values(19, 20, 21, 22, 23, 24, 25, 26, 27),
                     testing::Values(Sharing{"alone", false, false}, Sharing{"global", true, false},
                                     Sharing{"local", true, false}, Sharing{"pointed", true, false},
                                     Sharing{"closure", true, false}, Sharing{"loop", true, false},
                                     Sharing{"several", true, true}, Sharing{"panicking", true, true},
                                     Sharing{"argument", true, false}, Sharing{"syscall", true, false},
                                     Sharing{"tail", false, false})),
    [](const auto& test) {
      return "go1_" + std::to_string(std::get<0>(test.param)) + "_" + std::get<1>(test.param).how;
    });

TEST_P(Shared, what_another_reaches_is_not_theirs_alone) {
  const auto& [minor, sharing] = GetParam();
  ASSERT_NO_FATAL_FAILURE(start(minor, "go_reach", {sharing.how}, "ready"));
  if (!target_) return;
  target_->stop_between_work();  // of a goroutine that runs, every word counts
  const std::optional<Reading> reading = read();
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->senders, kBuffers);
  const uint64_t wanted = (kBuffers - (sharing.shared ? 1 : 0)) * kBufferBytes;
  // By word, main's stack may have one or two of the others as well, of calls that are long over.
  EXPECT_GE(reading->kept, wanted - (sharing.by_word ? 2 * kBufferBytes : 0));
  EXPECT_LT(reading->kept, wanted + kBufferBytes / 2);
  EXPECT_EQ(reading->reach.stacks_by_word, sharing.by_word ? 1u : 0u);
}

// Where the pointers of a span are told is decided when a program is built.
using Experiment = std::tuple<std::pair<int, const char*>, const char*>;
class Experiments : public ReachTest, public testing::WithParamInterface<Experiment> {};
INSTANTIATE_TEST_SUITE_P(Go, Experiments,
                         testing::Combine(testing::Values(std::pair(25, "greenteagc"),
                                                          std::pair(26, "nogreenteagc")),
                                          testing::Values("global", "closure", "tail")),
                         [](const auto& test) {
                           const auto build = std::get<0>(test.param);
                           return "go1_" + std::to_string(build.first) + "_" + build.second + "_" +
                                  std::get<1>(test.param);
                         });

TEST_P(Experiments, pointers_are_read_where_this_build_tells_them) {
  const auto& [build, how] = GetParam();
  ASSERT_NO_FATAL_FAILURE(start(build.first, "go_reach", {how}, "ready", build.second));
  if (!target_) return;
  target_->stop_between_work();  // of a goroutine that runs, every word counts
  const std::optional<Reading> reading = read();
  ASSERT_TRUE(reading);
  const uint64_t wanted = (how == std::string_view("tail") ? kBuffers : kBuffers - 1) * kBufferBytes;
  EXPECT_GE(reading->kept, wanted);
  EXPECT_LT(reading->kept, wanted + kBufferBytes / 2);
}

}  // namespace
}  // namespace memwhy::goruntime::test
