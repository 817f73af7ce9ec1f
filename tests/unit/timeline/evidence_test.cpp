// SPDX-License-Identifier: Apache-2.0
// The order of evidence: one test for each rule, best first, and for what is stronger than what.
#include "scan_cases.h"

namespace memwhy::testing {
namespace {

TEST(Evidence, OwnEntryIsTheFaultsStack) {
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 100+64 rw-p
    @2 table 1: 100+16 s1 @1 w, 110+8 s2 @1 wk
    @2 scan 1: 100+24
  )",
               R"(
    scan 1 of space 1: 24 pages
      vma0 fault s1 16
      vma0 kfault s2 8
  )");
}

TEST(Evidence, ALostStackIsKnownAsLost) {
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 100+64 rw-p
    @2 table 1: 100+3 lost @1 w, 103+1 - @1 w
    @2 scan 1: 100+4
  )",
               R"(
    scan 1 of space 1: 4 pages
      vma0 fault - 1
      vma0 fault lost 3 lost=3
  )");
}

TEST(Evidence, TheLastFaultOfAPageWins) {
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 100+64 rw-p
    @2 table 1: 100+4 s1 @1 w
    @3 table 1: 101+1 s2 @2.5 w
    @4 scan 1: 100+4
  )",
               R"(
    scan 1 of space 1: 4 pages
      vma0 fault s1 3
      vma0 fault s2 1
  )");
}

TEST(Evidence, HugeBlockIsItsLastFaults) {
  // 0x200..0x3ff is one 2 MiB block, 0x400.. the next. Page 0x210 has an entry of its own.
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 200+1024 rw-p
    @2 table 1: 210+1 s1 @1 w, 220+1 s2 @1.5 w, 400+1 s3 @1 w
    @2 scan 1: 200+1024 huge
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 fault s1 1 huge=1
      vma0 fault s2 1 huge=1
      vma0 fault s3 1 huge=1
      vma0 huge s2 510 huge=510
      vma0 huge s3 511 huge=511
  )");
}

// The loader's: parts are mapped over, and a page was written by the kernel in exec. Nothing there was ever huge.
TEST(Evidence, ABlockOfFileMappingsWasNoHugePage) {
  expect_scans(R"(
    @0 exec 1 from 9
    @0.8 table 1: 1004+1 s1 @0.5
    @0.9 fixed 1 1002+1
    vmas 1
      1000+2 r--p /lib/ld.so inode=7
      1002+8 rw-p /lib/ld.so inode=7 offset=0x2000
    @2 scan 1: 1004+1 file, 1008+1
  )",
               R"(
    scan 1 of space 1: 2 pages
      vma1 fault s1 1 file
      vma1 unknown - 1
  )");
}

TEST(Evidence, FaultAroundIsTheWindowOf64KiB) {
  // The fault of 0x105 brought 0x100..0x10f. 0x110 is in the next window and joined to it: a large folio
  // brought it. 0x113 is behind a gap.
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 100+64 r--p /lib/x inode=7
    @2 table 1: 105+1 s1 @1
    @2 scan 1: 100+17 file, 113+1 file
  )",
               R"(
    scan 1 of space 1: 18 pages
      vma0 fault s1 1 file
      vma0 around s1 16 file
      vma0 unknown - 1 file
  )");
}

TEST(Evidence, FaultAroundStaysInsideTheMapping) {
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1
      100+8 r--p /lib/x inode=7
      108+8 r-xp /lib/x inode=7 offset=0x8000
    @2 table 1: 105+1 s1 @1
    @2 scan 1: 100+16 file
  )",
               R"(
    scan 1 of space 1: 16 pages
      vma0 fault s1 1 file
      vma0 around s1 7 file
      vma1 unknown - 8 file
  )");
}

TEST(Evidence, AnonymousPagesHaveNoFaultAround) {
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1
      100+16 rw-p
      110+16 rw-p /lib/x inode=7
    @2 table 1: 105+1 s1 @1 w, 115+1 s1 @1 w
    @2 scan 1: 105+2, 115+2
  )",
               R"(
    scan 1 of space 1: 4 pages
      vma0 fault s1 1
      vma0 unknown - 1
      vma1 fault s1 1
      vma1 unknown - 1
  )");
}

TEST(Evidence, TheFirstFaultOfTheWindowBroughtIt) {
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 100+64 r--s /data inode=7
    @2 table 1: 105+1 s1 @1.5, 106+1 s2 @1
    @2 scan 1: 104+3
  )",
               R"(
    scan 1 of space 1: 3 pages
      vma0 fault s1 1
      vma0 fault s2 1
      vma0 around s2 1
  )");
}

TEST(Evidence, AFaultThatIsOlderThanTheLastScanBroughtNothingNew) {
  // Page 0x106 was absent in scan 1, so the fault at 1 s cannot have brought it.
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 100+64 r--s /data inode=7
    @2 table 1: 105+1 s1 @1
    @2 scan 1: 105+1
    @4 scan 1: 105+2
  )",
               R"(
    scan 1 of space 1: 1 pages
      vma0 fault s1 1
    scan 2 of space 1: 2 pages
      vma0 fault s1 1
      vma0 unknown - 1
  )");
}

TEST(Evidence, ADerivedPageKeepsItsStackWhenItsNeighbourChanges) {
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 100+64 r--s /data inode=7
    @2 table 1: 105+1 s1 @1
    @2 scan 1: 104+3
    @3 dontneed 1 105+1
    @4 table 1: 105+1 s2 @3.5
    @4 scan 1: 104+3
  )",
               R"(
    scan 1 of space 1: 3 pages
      vma0 fault s1 1
      vma0 around s1 2
    scan 2 of space 1: 3 pages
      vma0 fault s2 1
      vma0 around s1 2
  )");
}

TEST(Evidence, MapSiteWhenNobodyFaulted) {
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 100+16 s4
    @1 brk 1 200+16 s5
    @2 vmas 1: 100+16 rw-p, 200+16 rw-p [heap], 300+16 rw-p
    @2 scan 1: 100+16, 200+1, 300+2
  )",
               R"(
    scan 1 of space 1: 19 pages
      vma0 mmap s4 16
      vma1 mmap s5 1
      vma2 before - 2
  )");
}

TEST(Evidence, BeforeAttachStaysAsLongAsThePageStays) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 100+16 rw-p
    @1 scan 1: 100+4
    @2 dontneed 1 103+1 s7
    @3 table 1: 100+1 s1 @2 w
    @3 scan 1: 100+5
  )",
               R"(
    scan 1 of space 1: 4 pages
      vma0 before - 4
    scan 2 of space 1: 5 pages
      vma0 fault s1 1
      vma0 before - 2
      vma0 unknown - 2
  )");
}

TEST(Evidence, AnExecedSpaceHasNothingFromBefore) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 100+16 rw-p
    @1 scan 1: 100+4
    @2 exec 2 from 1
    space-end 1 execed
    vmas 2: 100+16 rw-p [stack]
    @3 scan 2: 100+4
  )",
               R"(
    scan 1 of space 1: 4 pages
      vma0 before - 4
    scan 2 of space 2: 4 pages
      vma0 unknown - 4
  )");
}

TEST(Evidence, PagesOutsideAllMappingsAreCounted) {
  expect_scans(R"(
    @0 attach 1
    @1 scan 1: 100+4
  )",
               R"(
    scan 1 of space 1: 4 pages
      vma- before - 4
  )");
}

TEST(Evidence, EvidenceThatComesLateStillCounts) {
  // The entry of 0x100 was faulted before scan 1 and heard after it; scan 2 knows.
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 100+16 r--s /data inode=7
    @1 scan 1: 100+2
    @1.2 table 1: 100+1 s1 @0.9
    @2 scan 1: 100+2
  )",
               R"(
    scan 1 of space 1: 2 pages
      vma0 unknown - 2
      + vma0 unknown - 2
    scan 2 of space 1: 2 pages
      vma0 fault s1 1
      vma0 around s1 1
  )",
               Detail::kFlow);
}

}  // namespace
}  // namespace memwhy::testing
