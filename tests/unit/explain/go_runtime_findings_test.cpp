// SPDX-License-Identifier: Apache-2.0
// Causes beside the objects of a Go heap, each with its healthy twin: stacks, profiles, tables, the race detector.
#include "unit/explain/go_script.h"

namespace memwhy::explain {
namespace {

TEST(GoroutineStacks, DeepOnesAreAProblemManyAreNot) {
  auto with = [](int goroutines) {
    return four_times("c000000+2560 heap live=10M, c000a00+10240 stack", "c000000+12800",
                      "in_use=10M live=10M goal=20M stacks=40M",
                      fmt::format(": {} \"IO wait\" stack=40M since=9 {}", goroutines, kReadFrames));
  };
  auto e = with(100);
  ASSERT_NE(finding(e, "goroutine-stacks"), nullptr);
  EXPECT_EQ(finding(e, "goroutine-stacks")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(e, "goroutine-stacks")->bytes, 40u << 20);
  EXPECT_EQ(finding(e, "goroutine-stacks")->evidence.at(0),
            "40.0 MiB in 100 goroutines in IO wait at main.serve (main.go:90)");
  EXPECT_EQ(problems(with(5000)), 0u);
}

// 20,000 goroutines with stacks of 8 KiB have ended; `left` with `stack` each are still there.
Explanation ended_goroutines(int left, const std::string& stack, int collections,
                             const std::string& setting = "") {
  std::string script = go_program("go1.26.8");
  for (int i = 0; i < 4; ++i)
    script += moment(
        11 + 10 * i, "c000000+2560 heap live=10M, c000a00+40960 stack", "c000000+43520",
        fmt::format(": {} \"IO wait\" stack={} since=9 {}", left, stack, kReadFrames),
        fmt::format("in_use=10M live=10M goal=20M stacks=160M gc={} {}", 5 + i * collections, setting));
  return told(script);
}

TEST(GoroutineStacks, OfGoroutinesThatEndedAreNotDeep) {
  auto e = ended_goroutines(10, "80K", 0);
  const Finding* found = finding(e, "goroutine-stacks");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->claim,
            "Stacks of goroutines that ended hold 159.9 MiB (94 %) of app's memory: 10 goroutines are left, "
            "with 80.0 KiB of stacks.");
  EXPECT_EQ(found->bytes, (160u << 20) - (80u << 10));
  EXPECT_EQ(found->recoverable_bytes, (160u << 20) - (80u << 10));
  EXPECT_EQ(found->remedy, "None needed: the next collection frees them.");
  EXPECT_EQ(finding(ended_goroutines(10, "80K", 0, "gogc=off"), "goroutine-stacks")->remedy,
            "The next collection frees them, and the collector is off (GOGC=off): runtime.GC() is one.");
  // Collections came, and they stayed.
  e = ended_goroutines(10, "80K", 1);
  EXPECT_EQ(finding(e, "goroutine-stacks")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(e, "goroutine-stacks")->evidence.back(),
            "never less than 160.0 MiB in 4 scans, with 3 collections in between");
  // Ten with 16 MiB each are deep.
  e = ended_goroutines(10, "160M", 0);
  EXPECT_EQ(finding(e, "goroutine-stacks")->kind, FindingKind::kProblem);
  EXPECT_NE(finding(e, "goroutine-stacks")->claim.find("10 goroutines, 16.0 MiB each on average"),
            std::string::npos);
}

TEST(ProfilerBuckets, ByTheRuntimesCounter) {
  auto with = [](int mib) {
    return four_times("c000000+25600 heap live=100M", "c000000+25600, 20000+8192",
                      fmt::format("in_use=100M live=100M goal=200M profiler={}M", mib));
  };
  ASSERT_NE(finding(with(30), "profiler-buckets"), nullptr);
  EXPECT_EQ(finding(with(30), "profiler-buckets")->bytes, 30u << 20);
  EXPECT_EQ(finding(with(10), "profiler-buckets"), nullptr);
}

TEST(ProfilerBuckets, ByTheirPagesWhereTheyWereMet) {
  // 32 MiB of the runtime's own beside the heap: 24 MiB of it are pages of buckets, and resident
  const Explanation e =
      four_times("20000+6144 profiler, c000000+25600 heap live=100M", "20000+8192, c000000+25600",
                 "in_use=100M live=100M goal=200M profiler=30M");
  EXPECT_EQ(pages(e, "go.runtime.profiler"), 6144u);
  ASSERT_NE(finding(e, "profiler-buckets"), nullptr);
  EXPECT_EQ(finding(e, "profiler-buckets")->bytes, 24u << 20);
  EXPECT_EQ(finding(e, "profiler-buckets")->confidence, Confidence::kHigh);
  EXPECT_TRUE(finding(e, "profiler-buckets")->against.empty());
}

// A heap of `mib`, and 32 MiB in a mapping where tables were met; the runtime counts `metadata` MiB of tables.
Explanation tables(int mib, int metadata) {
  return told(
      go_program("go1.26.8") +
      fmt::format("@11 go-heap 1 quiet tables=0x20000000 in_use={0}M released=900M live={0}M goal=4G "
                  "metadata={2}M: c000000+{1} heap live={0}M\nscan 1: 400+40 file, c000000+{1}, 20000+8192\n",
                  mib, mib * 256, metadata));
}

TEST(MetadataAfterPeak, FarMoreThanTheHeapNeeds) {
  auto e = tables(64, 40);
  EXPECT_EQ(pages(e, "go.runtime.metadata"), 8192u);
  ASSERT_NE(finding(e, "metadata-after-peak"), nullptr);
  EXPECT_EQ(finding(e, "metadata-after-peak")->bytes, 32u << 20);
  EXPECT_EQ(finding(e, "metadata-after-peak")->confidence, Confidence::kHigh);
  EXPECT_EQ(finding(tables(400, 40), "metadata-after-peak"), nullptr);
}

// What lies in the same mapping and is not counted as tables is somebody else's.
TEST(MetadataAfterPeak, NoMoreThanTheRuntimeCounts) {
  ASSERT_NE(finding(tables(64, 20), "metadata-after-peak"), nullptr);
  EXPECT_EQ(finding(tables(64, 20), "metadata-after-peak")->bytes, 20u << 20);
  EXPECT_EQ(finding(tables(64, 3), "metadata-after-peak"), nullptr);
}

// TSan's own memory rises; who touched it, else its shape, says why.
Explanation race(const std::string& mapping, const std::string& stack, const std::vector<int>& counts) {
  std::string script = go_program("go1.26.8 race cgo");
  script +=
      "vmas 1\n  400+64 r-xp /srv/app inode=7\n  7f000000+" + mapping + " rw-p\n@11 scan 1: 400+40 file\n";
  int seconds = 21;
  for (const int count : counts) {
    script += fmt::format("@{} table 1 restated: 7f000000+{} {} @{} w\n", seconds, count, stack, seconds - 5);
    script += fmt::format("@{} scan 1: 400+40 file, 7f000000+{}\n", seconds + 1, count);
    seconds += 10;
  }
  return told(script);
}

TEST(RaceDetectorLeak, PanicsAndChurnToldApart) {
  auto panics = race("32769", "s3", {2000, 8000, 14000, 20000});
  const Finding* found = finding(panics, "race-detector-leak");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_NE(found->claim.find("recovers panics"), std::string::npos);
  EXPECT_EQ(found->bytes, 20000 * kPageBytes);
  auto churn = race("32768", "s4", {2000, 8000, 14000, 20000});
  EXPECT_NE(finding(churn, "race-detector-leak")->claim.find("start and end"), std::string::npos);
  EXPECT_EQ(finding(race("32768", "s4", {20000, 20000, 20000, 20000}), "race-detector-leak"), nullptr);
}

}  // namespace
}  // namespace memwhy::explain
