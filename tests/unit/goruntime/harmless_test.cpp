// SPDX-License-Identifier: Apache-2.0
// Reading changes nothing in the target: no page more, no page table more. And it costs little.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>

#include "goruntime/pages.h"
#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"

namespace memwhy::goruntime::test {
namespace {

class Harmless : public testing::TestWithParam<Build> {};

INSTANTIATE_TEST_SUITE_P(Releases, Harmless,
                         testing::Values(Build{release(19), Variant::kStripped},
                                         Build{release(26), Variant::kStripped},
                                         Build{release(27), Variant::kStripped}),
                         name_of);

TEST_P(Harmless, readings_bring_in_no_page) {
  const std::string path = built(GetParam());
  MEMWHY_REQUIRE_BUILT(path, GetParam());
  LiveTarget target(path);
  ASSERT_TRUE(target.wait_for("ready"));
  target.wait_until_still();
  ASSERT_EQ(::kill(target.pid(), SIGSTOP), 0);  // so that only we could be the cause
  int status = 0;
  ASSERT_EQ(::waitpid(target.pid(), &status, WUNTRACED), target.pid());
  const uint64_t rss = target.kib("smaps_rollup", "Rss"), tables = target.kib("status", "VmPTE");
  const uint64_t dirty = target.kib("smaps_rollup", "Pss_Dirty");
  ASSERT_NE(rss, ~uint64_t{0});
  ASSERT_NE(tables, ~uint64_t{0});

  std::optional<GoProgram> program = target.program();
  ASSERT_TRUE(program);
  GoProcess process(target.memory(), std::move(*program));
  const events::PageScan none;
  for (int i = 0; i < 40; ++i) {
    const HeapReading heap = process.heap(none);
    ASSERT_EQ(heap.how.layout, events::GoLayout::kTable) << heap.pages.problem;
    ASSERT_TRUE(process.statistics());
    if (i % 10 != 0) continue;  // these read whole objects
    EXPECT_EQ(process.profile()->source,
              process.problem().empty() ? process.profile()->source : events::GoProfile::Source::kUnreadable);
    const std::optional<events::GoGoroutines> goroutines = process.goroutines();
    ASSERT_TRUE(goroutines);
    EXPECT_TRUE(goroutines->complete);
  }
  // The kernel may take pages of a stopped process away, and clean them; nobody but us could bring one in.
  EXPECT_LE(target.kib("smaps_rollup", "Rss"), rss);
  EXPECT_LE(target.kib("smaps_rollup", "Pss_Dirty"), dirty);
  EXPECT_LE(target.kib("status", "VmPTE"), tables);
  ::kill(target.pid(), SIGCONT);
}

// Not a benchmark (tests/bench): a bound that a search gone quadratic would break, and the figure.
TEST(Search, of_a_large_binary_is_quick) {
  const Build build{release(26), Variant::kStripped, "hourly_job", true};
  const std::string path = built(build);
  MEMWHY_REQUIRE_BUILT(path, build);
  LiveTarget target(path, {"-runs", "1", "-size", "1", "-period", "1ms"});
  ASSERT_TRUE(target.wait_for("done"));
  const std::optional<GoProgram> program = target.program();
  ASSERT_TRUE(program);
  const std::unique_ptr<remote::ProcessMemory> memory = target.memory();
  const auto start = std::chrono::steady_clock::now();
  Result<Globals> globals = find_globals(*memory, *layout_of(26), program->image);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(globals.ok());
  const BucketLists lists = find_buckets(*memory, *globals);
  EXPECT_NE(lists.head(BucketKind::kMemory), 0u);
  EXPECT_NE(lists.table, 0u);
  std::printf("net/http: found in %.1f ms, %llu calls, %llu bytes\n", took.count(),
              (unsigned long long)memory->calls(), (unsigned long long)memory->bytes_read());
  EXPECT_LT(memory->calls(), 20'000u);
}

}  // namespace
}  // namespace memwhy::goruntime::test
