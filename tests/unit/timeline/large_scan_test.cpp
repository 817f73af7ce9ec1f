// SPDX-License-Identifier: Apache-2.0
// Scans of large mappings, of which many chunks are looked at as one: they come to what each page alone would. A chunk is 0x200
// pages, a leaf of the table 0x8000; nothing here begins or ends where one does.
#include "scan_cases.h"
#include "timeline/reconciler.h"

namespace memwhy::testing {
namespace {

constexpr const char* kMapped = R"(
    @0 exec 1 from 9
    vmas 1
      100010+4000000 rw-p
      600000+100000 r--p /lib/x inode=7
)";

std::string with(const char* script) { return std::string(kMapped) + script; }

TEST(LargeScan, ACallInTheMiddleKeepsItsPages) {
  expect_scans(with(R"(
    @1 table 1: 180000+1000 s1 @0.5 w
    @2 scan 1: 100010+4000000
    @10 scan 1: 100010+1000000, 300000+1000000, 600005+90000 file
  )"),
               R"(
    scan 1 of space 1: 4000000 pages
      vma0 fault s1 1000
      vma0 unknown - 3999000
      + vma0 fault s1 1000
      + vma0 unknown - 3999000
    scan 2 of space 1: 2090000 pages
      vma0 fault s1 1000
      vma0 unknown - 1999000
      vma1 unknown - 90000 file
      + vma1 unknown - 90000 file
      - vma0 unknown - 2000000
  )",
               Detail::kFlow);
}

TEST(LargeScan, WhatIsUnmappedOrSwappedHasLeft) {
  expect_scans(with(R"(
    @2 scan 1: 100010+4000000
    @10 munmap 1 300000+500000
    @20 scan 1: 100010+1000000, 37a120+500000 swapped, 400000+100
  )"),
               R"(
    scan 1 of space 1: 4000000 pages
      vma0 unknown - 4000000
      + vma0 unknown - 4000000
    scan 2 of space 1: 1000100 pages, swapped 500000
      vma0 unknown - 1000100
      - vma0 unknown - 2999900
  )",
               Detail::kFlow);
}

TEST(LargeScan, MakersAndHugePagesAreTold) {
  expect_scans(R"(
    @0 exec 1 from 9
    @1 mmap 1 100010+2000000 s1
    @1 mmap 1 2e8490+2000000 s2
    vmas 1: 100010+4000000 rw-p
    @2 scan 1: 100010+3000000, 3dc6d0+1000000 huge
  )",
               R"(
    scan 1 of space 1: 4000000 pages
      vma0 mmap s1 2000000
      vma0 mmap s2 2000000 huge=1000000
  )");
}

TEST(LargeScan, EntriesWithoutAPageAreStale) {
  expect_scans(with(R"(
    @1 table 1: 100010+3000000 s1 @0.5 w
    @2 scan 1: 100010+1000000
    @10 scan 1: 600000+1 file
  )"),
               R"(
    scan 1 of space 1: 1000000 pages, stale 2000000
      vma0 fault s1 1000000
      + vma0 fault s1 1000000
    scan 2 of space 1: 1 pages, stale 1000000
      vma1 unknown - 1 file
      + vma1 unknown - 1 file
      - vma0 fault s1 1000000
  )",
               Detail::kFlow);
}

TEST(LargeScan, AChildHasThemFromItsParent) {
  expect_scans(with(R"(
    @1 table 1: 100010+3000000 s1 @0.5 w
    @2 scan 1: 100010+3000000
    @3 fork 2 from 1
    vmas 2: 100010+4000000 rw-p
    @4 table 2: 200000+5 s2 @3.5 w
    @5 scan 2: 100010+3000000
    @6 scan 1: 100010+3000000
  )"),
               R"(
    scan 1 of space 1: 3000000 pages
      vma0 fault s1 3000000
    scan 2 of space 2: 3000000 pages
      vma0 fault s2 5
      vma0 inherited s1 2999995
    scan 3 of space 1: 3000000 pages
      vma0 fault s1 3000000
  )");
}

// 2^35 pages in each scan, of which a table has room for 2^28: no more is done than what the file says takes.
TEST(LargeScan, OfMoreThanAMachineHasIsOneStep) {
  using namespace timeline;
  StackDictionary stacks;
  PageModel model(stacks);
  const TickClock clock;
  const MapSites sites;
  const auto vmas = std::make_shared<std::vector<events::Vma>>(1);
  vmas->front().range = {kPageBytes, uint64_t{1} << 48};
  constexpr uint64_t kScans = 64, kRuns = 8;
  for (uint64_t n = 1; n <= kScans; ++n) {
    events::PageScan scan;
    scan.scan = n;
    scan.complete = true;
    PageNumber page = 1;
    if (n % 2 != 0) {  // every other one finds nothing
      for (uint64_t i = 0; i < kRuns; ++i, page += UINT32_MAX) scan.runs.push_back({page, UINT32_MAX, 0});
    }
    const ScanResult result =
        Reconciler(model, {scan, TimeNs{n * 1'000'000'000}, vmas, sites, clock, true, nullptr}).run();
    EXPECT_EQ(result.resident_pages, scan.runs.size() * UINT32_MAX);
    EXPECT_EQ(model.table().chunks(), scan.runs.empty() ? 0 : PageTable::kMaxChunks);
  }
  EXPECT_LE(model.steps(), kScans * (4 * kRuns + 8));
  EXPECT_LE(model.memory_bytes(), size_t{4} << 20);
}

}  // namespace
}  // namespace memwhy::testing
