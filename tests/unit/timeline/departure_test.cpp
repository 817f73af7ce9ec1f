// SPDX-License-Identifier: Apache-2.0
// Pages that leave while the scan runs, or right before it by a call that has not come that far: the scan counted them, and
// they keep what is known of them in it.
#include "scan_cases.h"

namespace memwhy::testing {
namespace {

TEST(Departure, PagesThatAreRemovedWhileTheScanRunsKeepTheirStackInIt) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+8 rw-p
    @1 scan 1:
    @2 table 1: 1000+8 s1 @1.5 w
    @2.5 munmap 1 1000+4 s9
    @3 scan 1 start=2.2: 1000+8
    @4 scan 1: 1004+4
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 8 pages
      vma0 fault s1 8
      + vma0 fault s1 8
    scan 3 of space 1: 4 pages
      vma0 fault s1 4
      - vma0 fault s1 4
  )",
               Detail::kFlow);
}

// The call was logged; its thread had no CPU for 50 ms, and meanwhile the scan found the pages.
TEST(Departure, PagesWhoseRemovalHasOnlyBegunKeepTheirStackInTheScan) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+8 rw-p
    @1 scan 1:
    @2 table 1: 1000+8 s1 @1.5 w
    @2.5 munmap 1 1000+4 s9
    @3 scan 1 start=2.55: 1000+8
    @4 scan 1: 1004+4
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 8 pages
      vma0 fault s1 8
      + vma0 fault s1 8
    scan 3 of space 1: 4 pages
      vma0 fault s1 4
      - vma0 fault s1 4
  )",
               Detail::kFlow);
}

// Half a second later it has long been carried out: what is there now came in a way that nobody saw.
TEST(Departure, PagesOfARemovalThatIsOverAreOthers) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+8 rw-p
    @1 scan 1:
    @2 table 1: 1000+8 s1 @1.5 w
    @2.5 munmap 1 1000+4 s9
    @3.5 scan 1 start=3: 1000+8
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 8 pages
      vma0 fault s1 4
      vma0 unknown - 4
  )");
}

// Unmapped, and mapped anew with all of its pages, right before the scan.
TEST(Departure, PagesOfANewerMappingAreNotThoseThatWereRemoved) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+8 rw-p
    @1 scan 1:
    @2 table 1: 1000+8 s1 @1.5 w
    @2.5 munmap 1 1000+4 s9
    @2.52 mmap 1 1000+4 s8
    @3 scan 1 start=2.55: 1000+8
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 8 pages
      vma0 fault s1 4
      vma0 mmap s8 4
  )");
}

// The scan counted pages 1000..1007, which then moved; entries of half of them are heard before, of half after the move.
TEST(Departure, PagesThatAreMovedWhileTheScanRunsKeepTheirStackInItAndAfter) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+8 rw-p
    @1 scan 1:
    @2 table 1: 1000+4 s1 @1.5 w
    @2.5 mremap 1 1000+8 to 8000+12 s9
    @2.6 table 1: 1004+4 s1 @1.5 w
    @3 scan 1 start=2.2: 1000+8
    vmas 1: 8000+12 rw-p
    @4 scan 1: 8000+8
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 8 pages
      vma0 fault s1 8
      + vma0 fault s1 8
    scan 3 of space 1: 8 pages
      vma0 moved s1 8
      + vma0 moved s1 8
      - vma0 fault s1 8
  )",
               Detail::kFlow);
}

// Half of them are unmapped in the tick of the move, right after it, and all are heard of later.
TEST(Departure, PagesThatAreUnmappedInTheTickOfTheirMoveAreGone) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 8000+8 rw-p
    @1 scan 1:
    @1.5 mremap 1 1000+8 to 8000+8 s9
    @1.5 munmap 1 8002+4 s9
    @2 table 1: 1000+8 s1 @1.2 w
    @3 scan 1 start=2.5: 8000+2, 8006+2
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 4 pages
      vma0 moved s1 4
      + vma0 moved s1 4
  )",
               Detail::kFlow);
}

// Mapped, and touched at one page, after the last scan: its neighbours are met for the first time in the scan from under which
// all of them are unmapped.
TEST(Departure, PagesAroundAFaultThatAreUnmappedWhileTheScanRunsAreKnownInIt) {
  expect_scans(R"(
    @0 attach 1
    vmas 1:
    @1 scan 1:
    @1.2 mmap 1 1000+32 s5
    vmas 1: 1000+32 r--p /lib/x inode=7
    @2 table 1: 1005+1 s1 @1.5
    @2.5 munmap 1 1000+32 s9
    @3 scan 1 start=2.2: 1000+16 file
    vmas 1:
    @4 scan 1:
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 16 pages
      vma0 fault s1 1 file
      vma0 around s1 15 file
      + vma0 fault s1 1 file
      + vma0 around s1 15 file
    scan 3 of space 1: 0 pages
      - vma0 fault s1 1 file
      - vma0 around s1 15 file
  )",
               Detail::kFlow);
}

// As before, and then mapped and touched anew: what the next scan finds is the new ones.
TEST(Departure, PagesThatComeBackWhileTheScanRunsAreTheNewOnes) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+32 r--p /lib/x inode=7
    @1 scan 1:
    @2 table 1: 1005+1 s1 @1.5
    @2.5 dontneed 1 1000+32 s9
    @3 scan 1 start=2.2: 1000+16 file
    @3.5 table 1: 1006+1 s2 @2.8
    @4 scan 1: 1000+16 file
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 16 pages
      vma0 fault s1 1 file
      vma0 around s1 15 file
      + vma0 fault s1 1 file
      + vma0 around s1 15 file
    scan 3 of space 1: 16 pages
      vma0 fault s2 1 file
      vma0 around s2 15 file
      + vma0 fault s2 1 file
      + vma0 around s2 15 file
      - vma0 fault s1 1 file
      - vma0 around s1 15 file
  )",
               Detail::kFlow);
}

// The rest of a huge page whose only fault is in its first one.
TEST(Departure, AHugePageThatIsReplacedWhileTheScanRuns) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+512 rw-p
    @1 scan 1:
    @2 table 1: 1000+1 s1 @1.5 w
    @2.5 dontneed 1 1000+512 s9
    @3 scan 1 start=2.2: 1000+512 huge
    @3.5 table 1: 1000+1 s2 @2.8 w
    @4 scan 1: 1000+512 huge
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 512 pages
      vma0 fault s1 1 huge=1
      vma0 huge s1 511 huge=511
      + vma0 fault s1 1 huge=1
      + vma0 huge s1 511 huge=511
    scan 3 of space 1: 512 pages
      vma0 fault s2 1 huge=1
      vma0 huge s2 511 huge=511
      + vma0 fault s2 1 huge=1
      + vma0 huge s2 511 huge=511
      - vma0 fault s1 1 huge=1
      - vma0 huge s1 511 huge=511
  )",
               Detail::kFlow);
}

// The same right before the scan: what comes back stays nobody's but the new stack's.
TEST(Departure, AHugePageWhoseRemovalHasOnlyBegunIsReplacedLater) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+512 rw-p
    @1 scan 1:
    @2 table 1: 1000+1 s1 @1.5 w
    @2.5 dontneed 1 1000+512 s9
    @3 scan 1 start=2.55: 1000+512 huge
    @3.5 table 1: 1000+1 s2 @2.8 w
    @4 scan 1: 1000+512 huge
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 512 pages
      vma0 fault s1 1 huge=1
      vma0 huge s1 511 huge=511
    scan 3 of space 1: 512 pages
      vma0 fault s2 1 huge=1
      vma0 huge s2 511 huge=511
  )");
}

// A mapping that populates itself took the place of one that was unmapped before the scan began.
TEST(Departure, PagesThatANewMappingPopulatedAreNotItsPredecessors) {
  expect_scans(R"(
    @0 attach 1
    vmas 1:
    @1 scan 1:
    @1.5 mmap 1 1000+8 s5
    @2.15 munmap 1 1000+8 s9
    vmas 1: 1000+8 rw-p
    @2.3 mmap 1 1000+8 s7 flags=0x8022
    @3 scan 1 start=2.2: 1000+8
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 8 pages
      vma0 mmap s7 8
  )");
}

// Without a fault: who mapped them is known after the mapping is gone.
TEST(Departure, PagesOfAMappingThatIsUnmappedWhileTheScanRunsAreItsMakers) {
  expect_scans(R"(
    @0 attach 1
    vmas 1:
    @1 scan 1:
    @1.5 mmap 1 1000+8 s5 flags=0x8022
    @1.6 mmap 1 2000+8 s6 flags=0x8022
    vmas 1: 1000+8 rw-p, 2000+8 rw-p
    @2.3 munmap 1 1000+8 s9
    @2.4 mmap 1 1000+4 s7 prot=3
    @2.5 munmap 1 1000+4 s9
    @2.6 mremap 1 2000+8 to 9000+8 s8
    @3 scan 1 start=2.2: 1000+8, 2000+8
    @4 scan 1: 1000+8, 2000+8
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 16 pages
      vma0 mmap s5 4
      vma0 mmap s7 4
      vma1 mmap s6 8
    scan 3 of space 1: 16 pages
      vma0 unknown - 8
      vma1 unknown - 8
  )");
}

// They move together, and the fault is heard of before or after that.
TEST(Departure, PagesAroundAFaultThatMovedAreKnownAtTheirNewPlace) {
  for (const char* heard : {"@1.7", "@2.5"}) {
    const bool early = std::string_view(heard) == "@1.7";
    const std::string entry = std::string(heard) + " table 1: 1004+1 s1 @1.5\n",
                      move = "@2 mremap 1 1000+16 to 8000+16 s9\n";
    const std::string start = "@0 attach 1\nvmas 1: 1000+16 r--p /lib/x inode=7\n@1 scan 1:\n";
    const std::string scan = "vmas 1: 8000+16 r--p /lib/x inode=7\n@3 scan 1: 8000+16 file\n";
    expect_scans(start + (early ? entry + move : move + entry) + scan, R"(
      scan 1 of space 1: 0 pages
      scan 2 of space 1: 16 pages
        vma0 around s1 15 file
        vma0 moved s1 1 file
    )");
  }
}

// What the mapping grew by came with its own faults.
TEST(Departure, PagesOfTheGrowthOfAMovedMappingAreThoseOfItsFaults) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+8 r--p /lib/x inode=7
    @1 scan 1:
    @1.7 table 1: 1004+1 s1 @1.5
    @2 mremap 1 1000+8 to 8000+16 s9
    @2.5 table 1: 800a+1 s2 @2.2
    vmas 1: 8000+16 r--p /lib/x inode=7
    @3 scan 1: 8000+16 file
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 16 pages
      vma0 fault s2 1 file
      vma0 around s1 7 file
      vma0 around s2 7 file
      vma0 moved s1 1 file
  )");
}

// Those that were dropped after the move came again by a fault that nobody told of, not with the one that moved.
TEST(Departure, PagesThatWereDroppedAfterTheirMoveAreOthers) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+16 r--p /lib/x inode=7
    @1 scan 1:
    @1.7 table 1: 1004+1 s1 @1.5
    @2 mremap 1 1000+16 to 8000+16 s9
    @2.2 dontneed 1 8008+8 s2
    vmas 1: 8000+16 r--p /lib/x inode=7
    @3 scan 1 start=2.5: 8000+16 file
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 16 pages
      vma0 around s1 7 file
      vma0 moved s1 1 file
      vma0 mmap s9 8 file
  )");
}

}  // namespace
}  // namespace memwhy::testing
