// SPDX-License-Identifier: Apache-2.0
#include "explain/interval.h"

#include <gtest/gtest.h>

#include <string>

#include "unit/explain/told.h"

namespace memwhy::explain {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;

// 16 pages before attach; 16 more by s1 until 1010 s, 32 more until 1020 s. The name of s1 is read at 1021 s. A second process
// ends at 1006 s, a third one starts at 1015 s.
constexpr const char* kGrowing = R"(
@1000 info tool=0 host=h kernel=k arch=x86_64 cpus=2 what="pid 7"
anchor
binary b1 /bin/web
attach 1 pid=7 comm=web exe=/bin/web binary=b1
attach 2 pid=8 comm=short exe=/bin/short
vmas 1
  100+512 rw-p
vmas 2
  100+512 rw-p
counters 1 anon=64K threads=1
@1001 scan 1: 100+16
scan 2: 100+4
@1005 space-end 2 exited
@1009 counters 1 anon=128K threads=2
stack s1 1 0x401000
@1010 table 1: 110+16 s1 @1009 w
scan 1: 100+32
@1015 attach 3 pid=9 comm=late exe=/bin/late
@1019 counters 1 anon=256K threads=3
@1020 table 1: 120+32 s1 @1018 w
scan 1: 100+64
@1021 symbol 1 0x401000 binary=b1 grow@web.c:7
@1022 recording-end stopped
)";

Explanation part(TimeNs from, TimeNs to) {
  Explainer explainer;
  IntervalSink sink(explainer, {from, to});
  memwhy::testing::play(kGrowing, sink);
  Explanation explanation = explainer.finish();
  expect_adds_up(explanation);
  return explanation;
}

TEST(Interval, TheWholeIsAsWithoutOne) {
  const Explanation whole = part(0, Interval{}.to);
  ASSERT_EQ(whole.processes.size(), 3U);
  EXPECT_EQ(whole.processes[0].rss.bytes, 64 * kPageBytes);
  EXPECT_EQ(whole.processes[0].rss.start_bytes, 16 * kPageBytes);
  EXPECT_EQ(whole.processes[0].scans, 3U);
}

TEST(Interval, EndsWithTheLastScanBefore) {
  const Explanation until = part(0, 1012 * kSecond);
  ASSERT_EQ(until.processes.size(), 2U);  // the third one is not there yet
  const ProcessExplanation& web = until.processes[0];
  EXPECT_EQ(web.rss.bytes, 32 * kPageBytes);
  EXPECT_EQ(web.scan_time, 1010 * kSecond);
  EXPECT_EQ(web.threads, 2U);
  EXPECT_EQ(until.end, 1012 * kSecond);
  EXPECT_TRUE(until.coverage.complete);  // the recording was closed, though later
}

TEST(Interval, NamesThatWereReadLaterAreKnown) {
  const Explanation until = part(0, 1012 * kSecond);
  const std::vector<Entry> top = top_of(until, "anon.other");
  ASSERT_FALSE(top.empty());
  EXPECT_EQ(frames(until.processes[0], top.front().stack), std::vector<std::string>{"grow (web.c:7)"});
}

TEST(Interval, BeginsWithTheLastScanBefore) {
  const Explanation since = part(1012 * kSecond, Interval{}.to);
  ASSERT_EQ(since.processes.size(), 2U);  // the second one has ended by then
  const ProcessExplanation& web = since.processes[0];
  EXPECT_EQ(since.start, 1012 * kSecond);
  EXPECT_EQ(web.rss.start_bytes, 32 * kPageBytes);
  EXPECT_EQ(web.rss.bytes, 64 * kPageBytes);
  EXPECT_EQ(web.scans, 2U);
  ASSERT_FALSE(web.timeline.empty());
  EXPECT_EQ(web.timeline.front().time, 1009 * kSecond);  // the last reading of the counters before
  // 32 pages in the 10 s between its two scans, and none of what came before.
  const LedgerLine* grown = line(since, "anon.other");
  ASSERT_NE(grown, nullptr);
  ASSERT_TRUE(grown->growth_bytes_per_s && grown->arrived_bytes_per_s);
  EXPECT_NEAR(*grown->growth_bytes_per_s, 3.2 * kPageBytes, 1);
  EXPECT_NEAR(*grown->arrived_bytes_per_s, 3.2 * kPageBytes, 1);
}

TEST(Interval, EvidenceOfBeforeStays) {
  const Explanation since = part(1012 * kSecond, Interval{}.to);
  EXPECT_EQ(pages(since, "anon.other"), 48U);  // 16 of them came before it begins
  EXPECT_EQ(pages(since, "anon.before_attach"), 16U);
}

TEST(Interval, GoBeginsAnewWithItsLastReading) {
  const std::string script = std::string(R"(
@1000 anchor
binary b1 /bin/web go=go1.26.8
attach 1 pid=7 comm=web exe=/bin/web binary=b1
vmas 1
  c000000+1024 rw-p
go-statistics 1 in_use=1M allocated=10M gc=3 pause=3:1700000999000000000:1000
@1001 go-heap 1 in_use=1M allocated=10M gc=3 quiet: c000000+256 heap live=1M
scan 1: c000000+256
@1010 go-statistics 1 in_use=1M allocated=30M gc=5 pause=4:1700001005000000000:2000 pause=5:1700001006000000000:4000
@1011 go-heap 1 in_use=1M allocated=30M gc=5 quiet: c000000+256 heap live=1M
scan 1: c000000+256
@1020 go-statistics 1 in_use=1M allocated=35M gc=6 pause=6:1700001015000000000:8000
@1021 go-heap 1 in_use=1M allocated=35M gc=6 quiet: c000000+256 heap live=1M
scan 1: c000000+256
)");
  Explainer explainer;
  IntervalSink sink(explainer, {1012 * kSecond, Interval{}.to});
  memwhy::testing::play(script, sink);
  const Explanation since = explainer.finish();
  ASSERT_TRUE(since.processes.at(0).go && since.processes[0].go->pauses);
  EXPECT_EQ(since.processes[0].go->pauses->collections, 1U);
  EXPECT_EQ(since.processes[0].go->pauses->total_ns, 8000U);
}

TEST(Interval, TheContainerBeginsAnewWithItsLastReading) {
  Explainer explainer;
  IntervalSink sink(explainer, {1012 * kSecond, Interval{}.to});
  memwhy::testing::play(R"(
@1000 anchor
attach 1 pid=7 comm=web exe=/bin/web cgroup=/pod
vmas 1: 100+512 rw-p
@1001 cgroup /pod v2 usage=100M limit=500M max_events=3
scan 1: 100+16
@1010 cgroup /pod v2 usage=200M limit=500M max_events=5
@1020 cgroup /pod v2 usage=300M limit=500M max_events=9
@1021 scan 1: 100+16
)",
                        sink);
  const Explanation since = explainer.finish();
  ASSERT_TRUE(since.processes.at(0).cgroup_memory);
  EXPECT_EQ(since.processes[0].cgroup_memory->max_events_seen, 4U);
  ASSERT_EQ(since.processes[0].cgroup_memory->curve.size(), 2U);
  EXPECT_EQ(since.processes[0].cgroup_memory->curve[0].usage_bytes, 200U << 20);
}

}  // namespace
}  // namespace memwhy::explain
