// SPDX-License-Identifier: Apache-2.0
// Spaces, mappings with their history, ages, the RSS curve, names; what stays bounded; and events that make
// no sense.
#include "timeline/timeline.h"

#include <random>

#include "scan_cases.h"
#include "support/event_script.h"
#include "timeline/curve.h"
#include "timeline/tick_clock.h"

namespace memwhy::testing {
namespace {

using namespace memwhy::events;
using timeline::Timeline;

std::string sites_of(std::string_view script) {
  Timeline timeline;
  play(script, timeline);
  std::string text;
  for (const timeline::MapSite& site : timeline.space(SpaceId{1})->map_sites()) {
    char line[128];
    std::snprintf(
        line, sizeof line, "%llx+%llu s%u %s; ", static_cast<unsigned long long>(site.range.start >> 12),
        static_cast<unsigned long long>(site.range.bytes() >> 12), static_cast<unsigned>(site.stack),
        site.what == timeline::MapSite::What::kMmap  ? "mmap"
        : site.what == timeline::MapSite::What::kBrk ? "brk"
                                                     : "mremap");
    text += line;
  }
  return text;
}

TEST(MapSites, AreCutByUnmapAndCarriedByMremap) {
  EXPECT_EQ(sites_of("@1 mmap 1 100+64 s1"), "100+64 s1 mmap; ");
  EXPECT_EQ(sites_of("@1 mmap 1 100+64 s1\n@2 munmap 1 110+8"), "100+16 s1 mmap; 118+40 s1 mmap; ");
  EXPECT_EQ(sites_of("@1 mmap 1 100+64 s1\n@2 mmap 1 110+8 s2"),
            "100+16 s1 mmap; 110+8 s2 mmap; 118+40 s1 mmap; ");
  EXPECT_EQ(sites_of("@1 mmap 1 100+64 s1\n@2 dontneed 1 110+8"), "100+64 s1 mmap; ");
  EXPECT_EQ(sites_of("@1 mmap 1 100+64 s1\n@2 mremap 1 100+64 to 900+80 s2"),
            "900+64 s1 mmap; 940+16 s2 mremap; ");
  EXPECT_EQ(sites_of("@1 mmap 1 100+64 s1\n@2 mremap 1 100+64 to 900+8 s2"), "900+8 s1 mmap; ");
  EXPECT_EQ(sites_of("@1 mremap 1 100+64 to 900+8 s2"), "900+8 s2 mremap; ");
  EXPECT_EQ(sites_of("@1 brk 1 100+8 s1\n@2 brk-shrink 1 104+4"), "100+4 s1 brk; ");
  EXPECT_EQ(sites_of("@1 mmap 1 100+8 s1\n@1 mmap 1 108+8 s2\n@2 munmap 1 104+8"),
            "100+4 s1 mmap; 10c+4 s2 mmap; ");
}

TEST(MapSites, OfWhatIsNoLongerMappedAreForgottenUnlessTheListMayBeOlder) {
  EXPECT_EQ(sites_of("@1 mmap 1 100+16 s1\n@5 mmap 1 200+16 s2\n@5.5 vmas 1: 104+4 r--p, 108+4 rw-p"),
            "104+8 s1 mmap; 200+16 s2 mmap; ");
}

TEST(Ages, CountFromTheFaultOrTheFirstScan) {
  Timeline timeline;
  play(R"(
    @0 anchor
    @0 attach 1
    vmas 1: 1000+16 rw-p
    @1 scan 1: 1000+2
    @100 anchor
    @4000 table 1: 1002+1 s1 @3995 w, 1003+1 s1 @3980 w, 1004+1 s1 @3930 w, 1005+1 s1 @3000 w
    @4000 scan 1: 1000+6
  )",
       timeline);
  const auto& groups = timeline.space(SpaceId{1})->last_scan()->groups;
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].pages, 4u);
  EXPECT_EQ(groups[0].older_pages, (std::array<uint64_t, 4>{3, 2, 1, 0}));
  EXPECT_EQ(groups[0].oldest, 3'000'000'000'000u);
  EXPECT_EQ(groups[1].pages, 2u);
  EXPECT_EQ(groups[1].older_pages, (std::array<uint64_t, 4>{2, 2, 2, 2}));
  EXPECT_EQ(groups[1].oldest, 1'000'000'000u);
}

TEST(TickClock, TakesTheRateFromTheAnchors) {
  timeline::TickClock clock;
  EXPECT_EQ(clock.to_ns(250), 1'000'000'000u);
  clock.add({5'000'000'000, 0, 0, 70'000});
  EXPECT_EQ(clock.to_ns(70'001), 5'004'000'000u);
  clock.add({15'000'300'000, 0, 0, 80'000});  // 10,000 ticks in 10 s: 1000 Hz
  EXPECT_EQ(clock.to_ns(80'001), 15'001'300'000u);
  EXPECT_EQ(clock.to_tick(15'001'300'000), 80'001u);
  EXPECT_EQ(clock.to_tick(15'000'299'999), 79'999u);
  EXPECT_EQ(clock.to_tick(0), 80'000u - 15'001u);
  EXPECT_EQ(clock.to_ns(0), 0u);
}

TEST(RssCurve, IsThinnedEvenlyAndKeepsTheEnds) {
  timeline::Curve<timeline::RssPoint, 4096> curve;
  for (uint64_t i = 0; i < 100'000; ++i) curve.add({i, i, 0, 0, 0});
  const auto points = curve.points();
  EXPECT_LE(points.size(), size_t{4096});
  EXPECT_EQ(points.front().time, 0u);
  EXPECT_EQ(points[1].time, 32u);
  EXPECT_EQ(points[2].time, 64u);
  EXPECT_EQ(points.back().time, 99'999u);
}

TEST(Spaces, KeepTheirLastStateWhenTheyEnd) {
  Timeline timeline;
  play(R"(
    @0 attach 1 pid=7 comm=web
    vmas 1: 1000+16 rw-p
    @1 counters 1 anon=64K file=4K error=1K
    scan 1: 1000+16
    attach 1 exe=/bin/web
    @2 exit 1 pid=7 code=9 rss=65536
    space-end 1 exited
    oom 1
    @9 scan 1: 1000+1
  )",
       timeline);
  const timeline::AddressSpace& space = *timeline.space(SpaceId{1});
  EXPECT_EQ(space.identity().comm, "web");
  EXPECT_EQ(space.identity().exe, "/bin/web");
  EXPECT_EQ(space.identity().tgid, 7);
  EXPECT_EQ(space.ended(), TimeNs{2'000'000'000});
  EXPECT_EQ(space.end()->why, EndWhy::kExited);
  EXPECT_EQ(space.exit()->rss_bytes, 65536u);
  EXPECT_TRUE(space.oom_victim());
  EXPECT_EQ(space.last_scan()->resident_pages,
            16u);  // what is told of the dead a second later is not of them
  EXPECT_EQ(space.counters()->rss_bytes(), 68u << 10);
  EXPECT_EQ(space.rss_curve().size(), 1u);
  EXPECT_EQ(timeline.space(SpaceId{2}), nullptr);
}

TEST(Names, FallBackToTheParents) {
  Timeline timeline;
  play(R"(
    @0 attach 1
    symbol 1 0x401000 main@a.c:3
    fork 2 from 1
    fork 3 from 2
    symbol 3 0x401000 ret other@b.c:4
    exec 4 from 3
    stack s1 1 0x401000 0x401100 cut
    binary b1 /bin/web build=ab12 go=go1.26.8 race
  )",
       timeline);
  EXPECT_EQ(timeline.symbol(SpaceId{3}, 0x401000, false)->frames[0].function, "main");
  EXPECT_EQ(timeline.symbol(SpaceId{3}, 0x401000, true)->frames[0].function, "other");
  EXPECT_EQ(timeline.symbol(SpaceId{2}, 0x401000, true), nullptr);
  EXPECT_EQ(timeline.symbol(SpaceId{4}, 0x401000, false), nullptr);
  EXPECT_EQ(timeline.stack(StackId{1})->frames.size(), 2u);
  EXPECT_TRUE(timeline.stack(StackId{1})->cut);
  EXPECT_TRUE(timeline.binary(BinaryId{1})->go->race);
}

// 16 GiB in which every page has another stack than its neighbours: the worst case.
TEST(Memory, Of16GiBOfMixedPagesIsBelow64MiB) {
  constexpr uint64_t kTotal = uint64_t{16} << 18;
  Timeline timeline;
  PageTableRuns runs{SpaceId{1}, false, 1000, {}};
  runs.runs.reserve(kTotal);
  for (uint64_t page = 0; page < kTotal; ++page) {
    runs.runs.push_back(
        {0x7f0000000 + page, 1, static_cast<StackId>(1 + page % 5003), 500 + page % 7, kFaultWrite});
  }
  timeline.on_event({4'000'000'000, std::move(runs)});
  PageScan scan;
  scan.space = SpaceId{1};
  scan.start = 5'000'000'000;
  scan.runs.push_back({0x7f0000000, kTotal, 0});
  timeline.on_event({5'000'000'000, scan});
  const timeline::AddressSpace& space = *timeline.space(SpaceId{1});
  EXPECT_EQ(space.last_scan()->resident_pages, kTotal);
  EXPECT_EQ(space.last_scan()->groups.size(), 5003u);
  EXPECT_LE(space.memory_bytes(), size_t{64} << 20);
  // A fork shares it.
  timeline.on_event(
      {6'000'000'000, SpaceStart{SpaceId{2}, 8, StartHow::kForked, SpaceId{1}, "", "", {}, 0, "", ""}});
  EXPECT_LE(timeline.space(SpaceId{2})->memory_bytes() + space.memory_bytes(), size_t{64} << 20);
}

TEST(Memory, OfUniformPagesIsARecordForEach2MiB) {
  Timeline timeline;
  play("@0 attach 1\n@1 table 1: 7f0000000+4194304 s1 @0.5 w\n@2 scan 1: 7f0000000+4194304", timeline);
  EXPECT_EQ(timeline.space(SpaceId{1})->last_scan()->groups[0].pages, 4194304u);
  EXPECT_LE(timeline.space(SpaceId{1})->memory_bytes(), size_t{2} << 20);
}

TEST(Memory, StaysBoundedOverManyOperationsAndSpaces) {
  Timeline timeline;
  for (uint64_t i = 0; i < 300'000; ++i) {
    const TimeNs time = i * 1'000'000;
    const AddressRange range{(0x1000 + i % 100'000 * 2) << 12, (0x1001 + i % 100'000 * 2) << 12};
    timeline.on_event({time, VmaMapped{SpaceId{1}, 0, range, 3, 0x22, -1, 0, StackId{1}, i / 4 + 1}});
    timeline.on_event({time, VmaUnmapped{SpaceId{1}, 0, range, UnmapWhy::kMunmap, 0, StackId{1}, i / 4 + 1}});
  }
  EXPECT_LE(timeline.space(SpaceId{1})->memory_bytes(), size_t{16} << 20);
  timeline.on_event({TimeNs{300'000'000'000}, PageTableRuns{SpaceId{1}, false, 75'000, {}}});
  for (uint32_t i = 2; i < 4'000; ++i) {
    const TimeNs time = TimeNs{300'000'000'000} + i * TimeNs{10'000'000};
    const SpaceId child{i};
    timeline.on_event({time, SpaceStart{child, 9, StartHow::kForked, SpaceId{1}, "", "", {}, 0, "", ""}});
    timeline.on_event({time, SpaceEnd{child, EndWhy::kExited}});
  }
  EXPECT_LE(timeline.spaces().size(), 1300u);
  EXPECT_EQ(timeline.spaces().front(), SpaceId{1});
}

TEST(Nonsense, IsSurvived) {
  expect_scans(R"(
    @5 vmas 1: 200+16 rw-p, 100+512 rw-p, 180+16 rw-p
    @4 table 7: fffffffffffff+64 s1 @9999999 w, 0+1 s1 @0
    scan 1: 110+4, 112+8, 100+1, fffffffffffff+7
    munmap 1 0x5000-0x1000
    mremap 1 0x0-0xffffffffffffffff to 0x5000-0xffffffffffffffff
    mremap 1 0x5000-0x6000 to 0x5000-0x5000
    advise 1 0x0-0xffffffffffffffff free
    fork 1 from 1
    fork 3 from 4
    fork 4 from 3
    symbol 3 0x1 f
    space-end 9 exited
    loss 0 removal
    @0 scan 1: 100+1 huge
  )",
               R"(
    scan 1 of space 1: 12 pages
      vma0 before - 11
      vma- before - 1
    scan 2 of space 1: 1 pages
      vma0 before - 1 huge=1
  )");
}

TEST(Nonsense, AtRandomIsSurvivedAndStillAddsUp) {
  std::mt19937_64 random(7);
  auto address = [&] { return random() % 4 == 0 ? random() : random() % (uint64_t{1} << 22); };
  Timeline timeline([](const timeline::AddressSpace&, const timeline::ScanResult& result) {
    uint64_t pages = 0;
    for (const auto& group : result.groups) pages += group.pages;
    EXPECT_EQ(pages, result.resident_pages);
  });
  for (int i = 0; i < 4'000; ++i) {
    const SpaceId space{static_cast<uint32_t>(random() % 4)};
    const AddressRange range{address(), address()};
    const StackId stack{static_cast<uint32_t>(random())};
    const uint64_t tick = random() % 8 == 0 ? random() : random() % 1000;
    const TimeNs time = random() % 16 == 0 ? random() : random() % 10'000'000'000;
    Event event{time, Loss{space, "removal", 1}};
    switch (random() % 12) {
      case 0:
        event.payload = VmaMapped{space, 0, range, 3, static_cast<uint32_t>(random()), -1, 0, stack, tick};
        break;
      case 1:
        event.payload = VmaUnmapped{space, 0, range, UnmapWhy::kMunmap, 0, stack, tick};
        break;
      case 2:
        event.payload = VmaMoved{space, 0, range, {address(), address()}, stack, tick};
        break;
      case 3:
        event.payload = VmaAdvised{space, 0, range, 8, stack, tick};
        break;
      case 4:
        event.payload = HeapGrown{space, 0, range, stack, tick};
        break;
      case 5:
        event.payload =
            SpaceStart{space, 1, static_cast<StartHow>(random() % 3), SpaceId{1}, "", "", {}, 0, "", ""};
        break;
      case 6:
        event.payload = ClockAnchor{random(), random(), random(), random()};
        break;
      case 7: {
        VmaList list{space, {}};
        for (int v = 0; v < 4; ++v) list.vmas.emplace_back().range = {address(), address()};
        event.payload = list;
        break;
      }
      case 8:
      case 9: {
        PageTableRuns runs{space, random() % 2 == 0, tick, {}};
        for (int r = 0; r < 8; ++r) {
          runs.runs.push_back({address() >> (random() % 12), static_cast<uint32_t>(random() % 2000), stack,
                               tick + r, static_cast<uint8_t>(random())});
        }
        event.payload = runs;
        break;
      }
      case 10: {
        PageScan scan;
        scan.space = space;
        scan.start = random() % 2 == 0 ? time : random();
        scan.complete = random() % 4 != 0;
        for (int r = 0; r < 8; ++r) {
          scan.runs.push_back({address() >> (random() % 12), static_cast<uint32_t>(random() % 2000),
                               static_cast<uint8_t>(random())});
        }
        event.payload = scan;
        break;
      }
      default:
        break;
    }
    timeline.on_event(event);
  }
}

TEST(EventScript, ReadsWhatItWrites) {
  const std::string script = R"(@0 info tool=0.1 host=h kernel=6.18 arch=x86-64 cpus=4 what="pid 7"
@0.5 anchor
@0.5 hooks read=direct fault:tp_btf not_seen="a thing"
@0.5 coverage seen=9 recorded=8 full=1 kind=vma_map:3:2:1 prog=f:9:900:0
@1 attach 1 pid=7 comm=web binary=b1 class=x86-64
@1 binary b1 /bin/web inode=3 build=ab go=go1.26 race
@1 symbol 1 0x401000 ret binary=b1 offset=4096 main.f@a.go:3
@1 stack s1 1 0x401000 0x402000 cut
@1 threads 1 7:0x7ffd00:0x7f00
@1 counters 1 anon=4096 usage=10 limit=20
@1 vmas 1
  100+16 rw-p [heap]
  200+16 r-xs "/a b" inode=4 offset=4096 shmem
@2 scan 1 n=1 start=1.5
  100+3
  200+16 huge file
@2 table 1 asof=2 restated
  100+3 s1 @1.5 w k
@3 mmap 1 300+4 s1 prot=3 flags=34 fd=3
@3 munmap 1 0x300001-0x300fff -
@3 dontneed 1 100+1 s1
@3 advise 1 100+1 free lost
@3 mremap 1 100+1 to 900+2 s1
@3 brk 1 110+1 s1
@3 loss 1 removal 2
@4 fork 2 from 1 pid=8 class=x86-64
@4 exit 1 pid=7 code=9 rss=4096
@4 oom 1 pid=7
@4 space-end 1 exited
@4 recording-end stopped
)";
  EXPECT_EQ(format_script(parse_script(script)), script);
  EXPECT_THROW(parse_script("@0 frobnicate 1"), std::invalid_argument);
  EXPECT_THROW(parse_script("@0 mmap 1 100 s1"), std::invalid_argument);
  EXPECT_THROW(parse_script("@0 scan 1: 100+1 hug"), std::invalid_argument);
}

}  // namespace
}  // namespace memwhy::testing
