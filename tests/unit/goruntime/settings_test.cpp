// SPDX-License-Identifier: Apache-2.0
// Programs whose collector, profile or build is not as usual, read live: GOGC and GOMEMLIMIT, another rate of sampling,
// marks inside of spans or not.
#include <gtest/gtest.h>

#include <sys/wait.h>

#include "goruntime/pages.h"
#include "goruntime/profile.h"
#include "goruntime/spans.h"
#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"

namespace memwhy::goruntime::test {
namespace {

struct Setting {
  const char* name;
  int percent, limit_mib;
  bool goal;
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

class CollectorSettings : public testing::TestWithParam<std::tuple<int, Setting>> {};
INSTANTIATE_TEST_SUITE_P(
    Go, CollectorSettings,
    testing::Combine(testing::Values(19, 20, 21, 26, 27),
                     testing::Values(Setting{"usual", 100, 0, true}, Setting{"off", -1, 0, false},
                                     Setting{"limit_only", -1, 500, true},
                                     Setting{"limit_is_less", 100, 150, true},
                                     Setting{"limit_is_passed", 100, 50, true},
                                     Setting{"limit_is_more", 100, 4000, true}, Setting{"zero", 0, 0, true},
                                     Setting{"one", 1, 0, true})),
    [](const auto& test) {
      return "go1_" + std::to_string(std::get<0>(test.param)) + "_" + std::get<1>(test.param).name;
    });

TEST_P(CollectorSettings, the_goal_is_the_one_that_the_runtime_tells) {
  const auto& [minor, setting] = GetParam();
  const Build build{release(minor), Variant::kStripped};
  const std::string path = built(build);
  MEMWHY_REQUIRE_BUILT(path, build);
  LiveTarget target(
      path, {"-percent", std::to_string(setting.percent), "-limit", std::to_string(setting.limit_mib)});
  ASSERT_TRUE(target.wait_for("ready"));
  target.wait_until_still();
  const nlohmann::json told = target.ask("dump");
  target.wait_until_still();
  std::optional<GoProgram> program = target.program();
  ASSERT_TRUE(program);
  const std::unique_ptr<remote::ProcessMemory> memory = target.memory();
  Result<Globals> globals = find_globals(*memory, *layout_of(minor), program->image);
  ASSERT_TRUE(globals) << globals.error().message();
  Result<HeapPages> pages = read_pages(*memory, *globals);
  ASSERT_TRUE(pages) << pages.error().message();
  EXPECT_TRUE(pages->verified);
  EXPECT_EQ(pages->after.gc_percent, setting.percent);
  if (!setting.goal) {
    EXPECT_EQ(pages->after.heap_goal, 0u) << told["goal"];
    return;
  }
  const auto goal = told["goal"].get<uint64_t>();
  EXPECT_GE(pages->after.heap_goal, goal - goal / 100);
  EXPECT_LE(pages->after.heap_goal, goal + goal / 100);
}

class Unswept : public testing::TestWithParam<Build> {};
INSTANTIATE_TEST_SUITE_P(
    Go, Unswept,
    testing::Values(Build{release(24), Variant::kStripped, "go_unswept"},
                    Build{release(25), Variant::kStripped, "go_unswept"},
                    Build{release(25), Variant::kStripped, "go_unswept", false, "greenteagc"},
                    Build{release(26), Variant::kStripped, "go_unswept"},
                    Build{release(26), Variant::kStripped, "go_unswept", false, "nogreenteagc"},
                    Build{release(27), Variant::kStripped, "go_unswept"},
                    Build{release(27), Variant::kStripped, "go_unswept", false, "nogreenteagc"}),
    name_of);

// Marks are at the end of a small span, or in the bitmap that its mspan names: as the program was built.
TEST_P(Unswept, marks_are_read_where_this_build_keeps_them) {
  constexpr uint64_t kObjects = 1'000'000, kObjectBytes = 64;
  const std::string path = built(GetParam());
  MEMWHY_REQUIRE_BUILT(path, GetParam());
  LiveTarget target(path);
  int status = 0;
  ASSERT_EQ(::waitpid(target.pid(), &status, WUNTRACED), target.pid());
  ASSERT_TRUE(WIFSTOPPED(status));
  std::optional<GoProgram> program = target.program();
  ASSERT_TRUE(program);
  const std::unique_ptr<remote::ProcessMemory> memory = target.memory();
  Result<Globals> globals = find_globals(*memory, *layout_of(GetParam().release.minor), program->image);
  ASSERT_TRUE(globals) << globals.error().message();
  Result<HeapPages> pages = read_pages(*memory, *globals);
  ASSERT_TRUE(pages && pages->verified);
  Result<SpanTable> spans = read_spans(*memory, *globals, *pages);
  ASSERT_TRUE(spans);
  uint64_t unswept = 0, taken = 0, live = 0;
  for (const Span& span : spans->spans) {
    if (span.kind != SpanKind::kObjects || span.swept || span.element_bytes != kObjectBytes) continue;
    const Occupancy all = occupancy(span, span.address, span.address + span.bytes());
    ++unswept;
    live += all.live_bytes;
    taken += all.live_bytes + all.unmarked_bytes;
  }
  ASSERT_GT(taken, kObjects * kObjectBytes / 2) << "of " << unswept << " spans; it was swept too soon";
  EXPECT_GE(live, taken / 4 - taken / 100);
  EXPECT_LE(live, taken / 4 + taken / 100);
}

class ProfileRate : public testing::TestWithParam<Build> {};
std::vector<Build> builds() {
  std::vector<Build> out;
  for (const Release& each : kReleases) out.push_back({each, Variant::kStripped});
  for (const Variant variant : {Variant::kPie, Variant::kRace, Variant::kCgo})
    out.push_back({release(19), variant});
  return out;
}
INSTANTIATE_TEST_SUITE_P(Go, ProfileRate, testing::ValuesIn(builds()), name_of);

TEST_P(ProfileRate, a_rate_that_the_program_chose_is_never_taken_for_the_default) {
  const std::string path = built(GetParam());
  MEMWHY_REQUIRE_BUILT(path, GetParam());
  LiveTarget target(path, {"-rate", "1"});
  ASSERT_TRUE(target.wait_for("ready"));
  target.wait_until_still();
  const auto objects = target.ask("dump")["objects"].get<uint64_t>();
  const auto profile = [&](auto change) {
    std::optional<GoProgram> program = target.program();
    change(*program);
    return GoProcess(target.memory(), std::move(*program)).profile().value();
  };
  const auto bytes = [](const events::GoProfile& of) {
    uint64_t sum = 0;
    for (const events::GoBucket& bucket : of.buckets) sum += bucket.published_objects * bucket.object_bytes;
    return sum;
  };
  const events::GoProfile known = profile([](GoProgram&) {});
  ASSERT_EQ(known.source, events::GoProfile::Source::kBuckets);
  EXPECT_EQ(known.rate, 1u);
  EXPECT_FALSE(known.rate_assumed);
  EXPECT_TRUE(known.rate_known());
  EXPECT_GE(bytes(known), objects - objects / 20);
  EXPECT_LE(bytes(known), objects + objects / 20);
  // Its functions were renamed: the profile is there all the same, and what can't be known of it is not told.
  const events::GoProfile renamed = profile([](GoProgram& program) {
    program.profiling_linked = false;
    program.sampler = {};
  });
  ASSERT_EQ(renamed.source, events::GoProfile::Source::kBuckets);
  const bool by_name = GetParam().release.minor < 24;
  EXPECT_EQ(renamed.rate, by_name ? 0u : 1u);
  EXPECT_EQ(!renamed.rate_known(), by_name);
}

}  // namespace
}  // namespace memwhy::goruntime::test
