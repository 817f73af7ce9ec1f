// SPDX-License-Identifier: Apache-2.0
// The story of the hourly job, read from outside: which goroutines keep the buffers, how much, and where the
// buffers were made.
#include <gtest/gtest.h>

#include <algorithm>

#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"

namespace memwhy::goruntime::test {
namespace {

constexpr uint64_t kRuns = 3, kBufferBytes = 64 << 20;

class HourlyJob : public testing::TestWithParam<Build> {
 protected:
  void start(std::vector<std::string> more = {}) {
    const std::string path = built(GetParam());
    MEMWHY_REQUIRE_BUILT(path, GetParam());
    more.insert(more.begin(), {"-period", "1ms", "-size", "64", "-runs", std::to_string(kRuns)});
    auto target = std::make_unique<LiveTarget>(path, std::move(more));
    ASSERT_TRUE(target->wait_for("done"));
    target->wait_until_still();  // a goroutine that runs is scanned whole, what its stack once held too
    std::optional<GoProgram> program = target->program();
    ASSERT_TRUE(program);
    EXPECT_EQ(program->profiling_linked, GetParam().pprof);
    process_ = std::make_unique<GoProcess>(target->memory(), std::move(*program));
    std::optional<events::GoGoroutines> read = process_->goroutines();
    ASSERT_TRUE(read) << process_->problem();
    EXPECT_TRUE(read->complete) << "the walk ran out of its budget";
    groups_ = std::move(read->groups);
    target_ = std::move(target);
  }

  bool has(const std::vector<uint64_t>& frames, std::string_view wanted) {
    return std::any_of(frames.begin(), frames.end(), [&](uint64_t frame) {
      const std::vector<std::string> names = target_->functions(frame, true);
      return std::find(names.begin(), names.end(), wanted) != names.end();
    });
  }

  std::unique_ptr<LiveTarget> target_;
  std::unique_ptr<GoProcess> process_;
  std::vector<events::GoGroup> groups_;
};

std::vector<Build> builds() {
  std::vector<Build> out;
  for (const int minor : {19, 26, 27})
    for (const bool pprof : {false, true})
      out.push_back({release(minor), Variant::kStripped, "hourly_job", pprof});
  return out;
}

INSTANTIATE_TEST_SUITE_P(Stripped, HourlyJob, testing::ValuesIn(builds()), name_of);

TEST_P(HourlyJob, the_blocked_senders_keep_the_buffers) {
  ASSERT_NO_FATAL_FAILURE(start());
  if (!target_) return;
  const auto is_sender = [](const events::GoGroup& group) { return group.wait_reason == "chan send"; };
  ASSERT_EQ(std::count_if(groups_.begin(), groups_.end(), is_sender), 1);
  const events::GoGroup& senders = *std::find_if(groups_.begin(), groups_.end(), is_sender);
  EXPECT_EQ(&senders, &groups_.front()) << "heaviest first";
  EXPECT_EQ(senders.count, kRuns);
  // The walk is conservative: a word that main's stack still holds of the last job makes that one buffer shared.
  EXPECT_GE(senders.kept_bytes, (kRuns - 1) * kBufferBytes);
  EXPECT_LE(senders.kept_bytes, kRuns * kBufferBytes * 105 / 100);
  EXPECT_TRUE(has(senders.frames, "main.run.func1.1"));
  EXPECT_TRUE(has({senders.created_at}, "main.run"));
  EXPECT_NE(senders.oldest_wait_ns, 0u) << "collections came after each job";
  ASSERT_EQ(senders.large.size(), senders.kept_bytes / kBufferBytes);
  for (const events::GoKeptObject& buffer : senders.large) {
    EXPECT_EQ(buffer.bytes, kBufferBytes);
    EXPECT_EQ(has(buffer.allocated_at, "main.(*job).load"), GetParam().pprof);
  }
  for (const events::GoGroup& group : groups_)
    EXPECT_TRUE(is_sender(group) || group.kept_bytes < 1u << 20) << group.wait_reason;
}

// Go's own search moves what it found to a status of its own: they wait all the same.
class HourlyJobSearched : public HourlyJob {};
INSTANTIATE_TEST_SUITE_P(Stripped, HourlyJobSearched,
                         testing::Values(Build{release(26), Variant::kStripped, "hourly_job", true,
                                               "goroutineleakprofile"},
                                         Build{release(27), Variant::kStripped, "hourly_job", true}),
                         name_of);

TEST_P(HourlyJobSearched, what_go_itself_calls_leaked_still_waits) {
  ASSERT_NO_FATAL_FAILURE(start({"-search"}));
  if (!target_) return;
  const auto senders = std::find_if(groups_.begin(), groups_.end(), [](const events::GoGroup& group) {
    return group.wait_reason == "chan send";
  });
  ASSERT_NE(senders, groups_.end());
  EXPECT_EQ(senders->count, kRuns);
  EXPECT_EQ(senders->leaked, kRuns);
  EXPECT_NE(senders->oldest_wait_ns, 0u);
  EXPECT_GE(senders->kept_bytes, (kRuns - 1) * kBufferBytes);
  for (const events::GoGroup& group : groups_) EXPECT_EQ(group.leaked, &group == &*senders ? kRuns : 0u);
}

TEST_P(HourlyJob, the_healthy_twin_keeps_nothing) {
  ASSERT_NO_FATAL_FAILURE(start({"-fix"}));
  if (!target_) return;
  for (const events::GoGroup& group : groups_) {
    EXPECT_NE(group.wait_reason, "chan send");
    EXPECT_LT(group.kept_bytes, 1u << 20) << group.wait_reason;
  }
}

TEST_P(HourlyJob, the_profile_is_there_when_the_program_can_ask_for_it) {
  ASSERT_NO_FATAL_FAILURE(start());
  if (!target_) return;
  const events::GoProfile profile = process_->profile().value();
  if (!GetParam().pprof) {
    EXPECT_EQ(profile.source, events::GoProfile::Source::kOffInBinary);
    EXPECT_TRUE(profile.buckets.empty());
    return;
  }
  ASSERT_EQ(profile.source, events::GoProfile::Source::kBuckets);
  EXPECT_EQ(profile.rate, 512u << 10);
  EXPECT_FALSE(profile.rate_assumed);
  uint64_t buffers = 0;
  for (const events::GoBucket& bucket : profile.buckets)
    if (bucket.object_bytes == kBufferBytes && has(bucket.stack, "main.(*job).load"))
      buffers += bucket.published_objects;
  EXPECT_EQ(buffers, kRuns);
  process_->stop_when([] { return true; });
  EXPECT_FALSE(process_->profile()) << "no time: the one that was read whole stands";
  EXPECT_THAT(process_->take_notices(),
              testing::Contains("Its Go heap profile is as of the look before: the recording had to end."));
}

}  // namespace
}  // namespace memwhy::goruntime::test
