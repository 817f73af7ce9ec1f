// SPDX-License-Identifier: Apache-2.0
// Entries and operations that are heard in another order than they happened, or in the same tick.
#include "scan_cases.h"

namespace memwhy::testing {
namespace {

TEST(Order, AnEntryOlderThanARemovalIsNotOfThePageThatIsThere) {
  // Faulted at 1, removed at 2, there again at 3 without a fault: the mapping tells. Heard in either order.
  for (const char* heard : {"@1.5 table 1: 1000+4 s1 @1 w\n", "@2.5 table 1: 1000+4 s1 @1 w\n"}) {
    const bool early = heard[2] == '.' && heard[1] == '1';
    const std::string removal = "@2 dontneed 1 1000+2 s9\n";
    const std::string start = "@0 attach 1\n@0.5 mmap 1 1000+16 s5\nvmas 1: 1000+16 rw-p\n";
    const std::string script = start + (early ? heard + removal : removal + heard) + "@3 scan 1: 1000+4\n";
    expect_scans(script, R"(
      scan 1 of space 1: 4 pages
        vma0 fault s1 2
        vma0 mmap s5 2
    )");
  }
}

TEST(Order, ARemovalInTheTickOfAnEntrySparesIt) {
  // 1.000 and 1.003 are the same tick of 4 ms; 1.004 is the next.
  expect_scans(R"(
    @0 attach 1
    @0.5 mmap 1 1000+16 s5
    vmas 1: 1000+16 rw-p
    @1.003 dontneed 1 1000+1
    @1.004 dontneed 1 1001+1
    @2 table 1: 1000+3 s1 @1 w
    @3 scan 1: 1000+3
  )",
               R"(
    scan 1 of space 1: 3 pages
      vma0 fault s1 2
      vma0 mmap s5 1
  )");
}

TEST(Order, ARemovalInTheTickOfAnEntryThatWasHeardBeforeSparesIt) {
  expect_scans(R"(
    @0 attach 1
    @0.5 mmap 1 1000+16 s5
    vmas 1: 1000+16 rw-p
    @1 table 1: 1000+3 s1 @1 w
    @1.003 dontneed 1 1000+1
    @1.004 dontneed 1 1001+1
    @3 scan 1: 1000+3
  )",
               R"(
    scan 1 of space 1: 3 pages
      vma0 fault s1 2
      vma0 mmap s5 1
  )");
}

TEST(Order, AMoveInTheTickOfAnEntryCarriesIt) {
  expect_scans(R"(
    @0 attach 1
    @0.5 mmap 1 1000+16 s5
    @1.003 mremap 1 1000+16 to 8000+16 s6
    @2 table 1: 1000+3 s1 @1 w
    vmas 1: 8000+16 rw-p
    @3 scan 1: 8000+3
  )",
               R"(
    scan 1 of space 1: 3 pages
      vma0 moved s1 3
  )");
}

TEST(Order, ALateEntryGoesThroughRemovalMoveAndRemoval) {
  // Of 8 pages faulted at 1: 2 removed before the move, 2 moved beyond the new end, 1 removed after the move.
  expect_scans(R"(
    @0 attach 1
    @0.5 mmap 1 1000+8 s5
    @1.1 dontneed 1 1000+2
    @1.2 mremap 1 1000+8 to 8000+6 s6
    @1.3 dontneed 1 8002+1
    @1.4 mmap 1 1000+8 s7
    @2 table 1: 1000+8 s1 @1 w
    vmas 1: 1000+8 rw-p, 8000+6 rw-p
    @3 scan 1: 1000+8, 8000+6
  )",
               R"(
    scan 1 of space 1: 14 pages
      vma0 mmap s7 8
      vma1 moved s1 3
      vma1 mmap s5 3
  )");
}

TEST(Order, MovesThereAndBack) {
  expect_scans(R"(
    @0 attach 1
    @0.5 mmap 1 1000+8 s5
    @1.1 mremap 1 1000+8 to 8000+8 s6
    @1.2 mremap 1 8000+8 to 1000+8 s6
    @2 table 1: 1000+8 s1 @1 w
    vmas 1: 1000+8 rw-p
    @3 scan 1: 1000+8
  )",
               R"(
    scan 1 of space 1: 8 pages
      vma0 moved s1 8
  )");
}

TEST(Order, MremapInPlaceGrowsAndShrinks) {
  expect_scans(R"(
    @0 attach 1
    @0.5 mmap 1 1000+8 s5
    @1 table 1: 1000+8 s1 @0.9 w
    @1.1 mremap 1 1000+8 to 1000+4 s6
    @1.2 mremap 1 1000+4 to 1000+12 s7
    vmas 1: 1000+12 rw-p
    @3 scan 1: 1000+12
  )",
               R"(
    scan 1 of space 1: 12 pages
      vma0 fault s1 4
      vma0 mmap s7 8
  )");
}

TEST(Order, RestatedEntriesOfPagesThatWereRemovedStayDead) {
  // The kernel's table never forgets: the entry of 1 s is told again at 60 s, long after its removal was
  // forgotten.
  expect_scans(R"(
    @0 attach 1
    @0.5 mmap 1 1000+8 s5
    vmas 1: 1000+8 rw-p
    @2 table 1: 1000+8 s1 @1 w
    @3 dontneed 1 1000+8
    @10 table 1:
    @10 scan 1: 1000+8
    @20 table 1:
    @20 scan 1: 1000+8
    @30 table 1:
    @30 scan 1: 1000+8
    @60 table 1 restated: 1000+8 s1 @1 w
    @60 scan 1: 1000+8
  )",
               R"(
    scan 1 of space 1: 8 pages
      vma0 mmap s5 8
    scan 2 of space 1: 8 pages
      vma0 mmap s5 8
    scan 3 of space 1: 8 pages
      vma0 mmap s5 8
    scan 4 of space 1: 8 pages
      vma0 mmap s5 8
  )");
}

TEST(Order, ARestatedListFillsWhatADamagedTraceLost) {
  // The entries of 21 s were in a chunk that is missing; the pages are new in scan 3, so the restated ones
  // fit.
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+8 rw-p
    @10 table 1:
    @10 scan 1:
    @20 table 1:
    @20 scan 1:
    @30 table 1:
    @30 scan 1: 1000+8
    @35 table 1 restated: 1000+4 s1 @21 w, 1004+4 s1 @15 w
    @40 scan 1: 1000+8
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 0 pages
    scan 3 of space 1: 8 pages
      vma0 unknown - 8
    scan 4 of space 1: 8 pages
      vma0 fault s1 4
      vma0 unknown - 4
  )");
}

TEST(Order, AnIncompleteScanProvesNoAbsence) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+8 rw-p
    @1 table 1: 1000+8 s1 @0.5 w
    scan 1: 1000+8
    @2 scan 1 incomplete: 1000+2
    @3 scan 1: 1000+8
  )",
               R"(
    scan 1 of space 1: 8 pages
      vma0 fault s1 8
      + vma0 fault s1 8
    scan 2 of space 1: 2 pages, incomplete
      vma0 fault s1 2
    scan 3 of space 1: 8 pages
      vma0 fault s1 8
  )",
               Detail::kFlow);
}

TEST(Order, ALostRemovalLeavesOlderEntriesInDoubtUntilTheNextScan) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+8 rw-p
    @1 table 1: 1000+4 s1 @0.5 w
    @2 loss 1 removal 3
    @3 table 1: 1004+4 s2 @2.5 w
    scan 1: 1000+8
    @4 scan 1: 1000+8
  )",
               R"(
    scan 1 of space 1: 8 pages, doubtful 4
      vma0 fault s1 4
      vma0 fault s2 4
    scan 2 of space 1: 8 pages
      vma0 fault s1 4
      vma0 fault s2 4
  )");
}

TEST(Order, ADiskReadThatIsUnderWayAtTheScanIsNotForgotten) {
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 1000+8 r--s /data inode=7
    @1 table 1: 1000+1 s1 @0.98
    scan 1:
    @2 scan 1: 1000+2
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 2 pages
      vma0 fault s1 1
      vma0 around s1 1
  )");
}

}  // namespace
}  // namespace memwhy::testing
