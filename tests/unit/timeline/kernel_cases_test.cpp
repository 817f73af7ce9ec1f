// SPDX-License-Identifier: Apache-2.0
// What the kernel does to pages without a fault that says so: one script for each scenario, with the numbers
// that were measured for 1,024 pages (page faults seen, change of RSS).
// Longer than 400 lines because it is a table: a scenario of the kernel's, its script, its numbers.
#include "scan_cases.h"

namespace memwhy::testing {
namespace {

TEST(KernelCase, AnonymousWrite) {
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1
    @2 vmas 1: 1000+1024 rw-p
    table 1: 1000+1024 s2 @1.5 w
    scan 1: 1000+1024
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 fault s2 1024
  )");
}

TEST(KernelCase, DontneedTakesPagesAway) {
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1
    @2 vmas 1: 1000+1024 rw-p
    table 1: 1000+1024 s2 @1.5 w
    scan 1: 1000+1024
    @3 dontneed 1 1000+1024 s3
    @4 scan 1:
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 fault s2 1024
      + vma0 fault s2 1024
    scan 2 of space 1: 0 pages
      - vma0 fault s2 1024
  )",
               Detail::kFlow);
}

TEST(KernelCase, ReadOfAnonymousMemoryIsTheZeroPageThenWriteIsTheFault) {
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1
    @2 vmas 1: 1000+1024 rw-p
    table 1: 1000+1024 s2 @1.5
    scan 1:
    @4 table 1: 1000+1024 s3 @3 w
    scan 1: 1000+1024
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 1024 pages
      vma0 fault s3 1024
  )");
}

TEST(KernelCase, MadvFreeIsLazyUntilGoneAndItsRewriteIsNotSeen) {
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1
    @2 vmas 1: 1000+1024 rw-p
    table 1: 1000+1024 s2 @1.5 w
    scan 1: 1000+1024
    @3 advise 1 1000+1024 free s3
    @4 scan 1: 1000+1024
    @5 table 1: 1000+24 s4 @4.5 w
    @6 scan 1: 1000+624
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 fault s2 1024
    scan 2 of space 1: 1024 pages
      vma0 fault s2 1024 lazy=1024
    scan 3 of space 1: 624 pages, stale 400
      vma0 fault s2 600 lazy=600
      vma0 fault s4 24
  )");
}

TEST(KernelCase, MadvFreeIsHeardBeforeTheEntryThatItFreed) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+8 rw-p
    @2 advise 1 1000+4 free
    @3 table 1: 1000+8 s2 @1.5 w, 1003+1 s2 @2.5 w
    scan 1: 1000+8
  )",
               R"(
    scan 1 of space 1: 8 pages
      vma0 fault s2 8 lazy=3
  )");
}

TEST(KernelCase, MremapCarriesPages) {
  // Half of the entries are heard before the move, half after it.
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1
    @1.2 table 1: 1000+512 s2 @1.1 w
    @2 mremap 1 1000+1024 to 8000+1024 s3
    @2.5 table 1: 1200+512 s2 @1.9 w
    @3 vmas 1: 8000+1024 rw-p
    scan 1: 8000+1024
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 moved s2 1024
  )");
}

TEST(KernelCase, MremapMovesThePagesOfTheLastScanWithoutThemArriving) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+16 rw-p
    @1 table 1: 1000+4 s2 @0.5 w
    scan 1: 1000+8
    @2 mremap 1 1000+16 to 8000+6 s3
    @3 vmas 1: 8000+6 rw-p
    scan 1: 8000+6
  )",
               R"(
    scan 1 of space 1: 8 pages
      vma0 fault s2 4
      vma0 before - 4
      + vma0 fault s2 4
      + vma0 before - 4
    scan 2 of space 1: 6 pages
      vma0 moved s2 4
      vma0 before - 2
      - vma0 before - 2
  )",
               Detail::kFlow);
}

TEST(KernelCase, FileReadFromTheCache) {
  // 64 faults, one in each window.
  std::string faults, separator;
  for (int window = 0; window < 64; ++window) {
    char item[64];
    std::snprintf(item, sizeof item, "%x+1 s2 @1.5", 0x1000 + window * 16 + 3);
    faults += separator + item;
    separator = ", ";
  }
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1 fd=3
    @2 vmas 1: 1000+1024 r--p /data inode=7
    table 1: )" + faults +
                   R"(
    scan 1: 1000+1024 file
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 fault s2 64 file
      vma0 around s2 960 file
  )");
}

TEST(KernelCase, FileReadWithLargeFolios) {
  // 19 faults; each brings a folio of up to 54 pages, more than a window.
  std::string faults, separator;
  for (int folio = 0; folio < 19; ++folio) {
    char item[64];
    std::snprintf(item, sizeof item, "%x+1 s2 @1.5", 0x1000 + folio * 54);
    faults += separator + item;
    separator = ", ";
  }
  expect_scans(R"(
    @0 exec 1 from 9
    vmas 1: 1000+1024 r--s /data inode=7
    @2 table 1: )" +
                   faults + R"(
    scan 1: 1000+1024
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 fault s2 19
      vma0 around s2 1005
  )");
}

TEST(KernelCase, PrivateFileWriteIsAnAnonymousCopy) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+1024 rw-p /data inode=7
    @1 table 1: 1000+1 s2 @0.5
    scan 1: 1000+16 file
    @2 table 1: 1000+1024 s3 @1.5 w
    @3 scan 1: 1000+1024
  )",
               R"(
    scan 1 of space 1: 16 pages
      vma0 fault s2 1 file
      vma0 around s2 15 file
      + vma0 fault s2 1 file
      + vma0 around s2 15 file
    scan 2 of space 1: 1024 pages
      vma0 fault s3 1024
      + vma0 fault s3 1024
      - vma0 fault s2 1 file
      - vma0 around s2 15 file
  )",
               Detail::kFlow);
}

TEST(KernelCase, HugePageTouch) {
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1
    @2 vmas 1: 1000+1024 rw-p
    table 1: 1000+1 s2 @1.5 w, 1200+1 s2 @1.5 w
    scan 1: 1000+1024 huge
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 fault s2 2 huge=2
      vma0 huge s2 1022 huge=1022
  )");
}

TEST(KernelCase, DontneedInsideAHugePageLeavesTheRestAsItWas) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+512 rw-p
    @1 table 1: 1000+1 s2 @0.5 w
    scan 1: 1000+512 huge
    @2 dontneed 1 1000+128
    @3 scan 1: 1080+384
  )",
               R"(
    scan 1 of space 1: 512 pages
      vma0 fault s2 1 huge=1
      vma0 huge s2 511 huge=511
      + vma0 fault s2 1 huge=1
      + vma0 huge s2 511 huge=511
    scan 2 of space 1: 384 pages
      vma0 huge s2 384
      - vma0 fault s2 1 huge=1
      - vma0 huge s2 127 huge=127
  )",
               Detail::kFlow);
}

TEST(KernelCase, AHugePageThatIsSplitBeforeItsFirstScanKeepsItsFault) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+512 rw-p
    @1 scan 1:
    @2 table 1: 1000+1 s2 @1.5 w
    @2.5 dontneed 1 1000+128
    @3 scan 1: 1080+384
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 384 pages
      vma0 huge s2 384
  )");
}

// The table is read at 1 Hz: its entry is heard of when it is gone already.
TEST(KernelCase, AHugePageThatIsSplitBeforeItsFaultIsHeardOfKeepsItsFault) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+512 rw-p
    @1 scan 1:
    @1.8 dontneed 1 1000+128
    @2 table 1: 1000+1 s2 @1.5 w
    @3 scan 1: 1080+384
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 384 pages
      vma0 huge s2 384
  )");
}

TEST(KernelCase, PopulateMlockAndDirectReadAreTheMapSites) {
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1 flags=0x8022
    @1.1 mmap 1 2000+1024 s2
    @1.2 advise 1 2000+1024 populate s3
    @2 vmas 1: 1000+1024 rw-p, 2000+1024 rw-p
    scan 1: 1000+1024, 2000+1024
  )",
               R"(
    scan 1 of space 1: 2048 pages
      vma0 mmap s1 1024
      vma1 mmap s2 1024
  )");
}

TEST(KernelCase, ReadIntoAFreshBufferIsAKernelFault) {
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1
    @2 vmas 1: 1000+1024 rw-p
    table 1: 1000+1024 s2 @1.5 wk
    scan 1: 1000+1024
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 kfault s2 1024
  )");
}

TEST(KernelCase, RemoteWriteIsUnknownWithoutAMapSite) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+1024 rw-p
    @1 scan 1:
    @2 scan 1: 1000+1024
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 1: 1024 pages
      vma0 unknown - 1024
  )");
}

TEST(KernelCase, CollapseOfAHalfPopulatedBlock) {
  // Two blocks, every second page touched; MADV_COLLAPSE fills them up.
  std::string touched;
  std::string found;
  for (int page = 0; page < 1024; page += 2) {
    char item[64];
    std::snprintf(item, sizeof item, "%s%x+1", page == 0 ? "" : ", ", 0x1000 + page);
    touched += std::string(item) + " s2 @1 w";
    found += item;
  }
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+1024 rw-p
    @1.5 table 1: )" +
                   touched + R"(
    @1.5 scan 1: )" +
                   found + R"(
    @2 advise 1 1000+1024 collapse s3
    @3 scan 1: 1000+1024 huge
  )",
               R"(
    scan 1 of space 1: 512 pages
      vma0 fault s2 512
    scan 2 of space 1: 1024 pages
      vma0 fault s2 512 huge=512
      vma0 huge s2 512 huge=512
  )");
}

TEST(KernelCase, MemfdWriteAndASecondMappingRead) {
  std::string faults, separator;
  for (int window = 0; window < 64; ++window) {
    char item[64];
    std::snprintf(item, sizeof item, "%s%x+1 s3 @1.6", separator.c_str(), 0x2000 + window * 16);
    faults += item;
    separator = ", ";
  }
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1 flags=1 fd=3
    @1 mmap 1 2000+1024 s1 flags=1 fd=3
    @2 vmas 1
      1000+1024 rw-s /memfd:a inode=5 shmem
      2000+1024 rw-s /memfd:a inode=5 shmem
    table 1: 1000+1024 s2 @1.5 w
    table 1: )" + faults +
                   R"(
    scan 1: 1000+1024, 2000+1024
  )",
               R"(
    scan 1 of space 1: 2048 pages
      vma0 fault s2 1024
      vma1 fault s3 64
      vma1 around s3 960
  )");
}

TEST(KernelCase, PunchHoleIsOnlySeenByTheScan) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+1024 rw-s /memfd:a inode=5 shmem
    @1 table 1: 1000+1024 s2 @0.5 w
    scan 1: 1000+1024
    @3 scan 1: 1000+512
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 fault s2 1024
      + vma0 fault s2 1024
    scan 2 of space 1: 512 pages, stale 512
      vma0 fault s2 512
      - vma0 fault s2 512
  )",
               Detail::kFlow);
}

TEST(KernelCase, ForkedChildHasTheParentsPagesAndItsOwnCopies) {
  // The parent's fault at 2.5 s is the parent's alone; the one at 1.9 s is heard after the fork, and is the
  // child's too.
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+1024 rw-p
    @1 table 1: 1000+1000 s1 @0.5 w
    @2 fork 2 from 1
    @3 table 1: 13e8+8 s1 @1.9 w, 1000+16 s2 @2.5 w
    table 2: 1000+512 s3 @2.6 w
    @3 vmas 2: 1000+1024 rw-p
    @3 scan 2: 1000+1008
    @3 scan 1: 1000+1008
    @4 dontneed 1 1000+1024
    @5 scan 1:
    @5 scan 2: 1000+1008
  )",
               R"(
    scan 1 of space 2: 1008 pages
      vma0 fault s3 512
      vma0 inherited s1 496
    scan 2 of space 1: 1008 pages
      vma0 fault s1 992
      vma0 fault s2 16
    scan 3 of space 1: 0 pages
    scan 4 of space 2: 1008 pages
      vma0 fault s3 512
      vma0 inherited s1 496
  )");
}

// Written and forked in one tick, and the child is scanned before the parent's entries are heard.
TEST(KernelCase, PagesWrittenInTheTickOfTheForkAreInherited) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+1024 rw-p
    @1 scan 1:
    @2 fork 2 from 1
    @2.2 vmas 2: 1000+1024 rw-p
    @2.2 scan 2: 1000+1024
    @3 table 1: 1000+1024 s1 @2 w
    @4 scan 2: 1000+1024
  )",
               R"(
    scan 1 of space 1: 0 pages
    scan 2 of space 2: 1024 pages
      vma0 unknown - 1024
    scan 3 of space 2: 1024 pages
      vma0 inherited s1 1024
  )");
}

TEST(KernelCase, AChildsFilePagesAreItsOwnFaults) {
  // Page tables of file mappings are not copied by a fork.
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+16 r--s /data inode=7
    @1 table 1: 1003+1 s1 @0.5
    scan 1: 1000+16
    @2 fork 2 from 1
    vmas 2: 1000+16 r--s /data inode=7
    @3 table 2: 1007+1 s2 @2.5
    scan 2: 1000+16
  )",
               R"(
    scan 1 of space 1: 16 pages
      vma0 fault s1 1
      vma0 around s1 15
    scan 2 of space 2: 16 pages
      vma0 fault s2 1
      vma0 around s2 15
  )");
}

TEST(KernelCase, ParentWritesAfterTheChildExits) {
  // Copy on write that finds itself the only owner: 1,024 faults, RSS unchanged.
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+1024 rw-p
    @1 table 1: 1000+1024 s1 @0.5 w
    scan 1: 1000+1024
    @2 fork 2 from 1
    @2.1 space-end 2 exited
    @3 table 1: 1000+1024 s1 @2.5 w
    @4 scan 1: 1000+1024
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 fault s1 1024
      + vma0 fault s1 1024
    scan 2 of space 1: 1024 pages
      vma0 fault s1 1024
  )",
               Detail::kFlow);
}

TEST(KernelCase, PageoutAndSwapIn) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+1024 rw-p
    @1 table 1: 1000+1024 s1 @0.5 w
    scan 1: 1000+1024
    @2 scan 1: 1000+1024 swapped
    @3 table 1: 1000+512 s2 @2.5
    @4 scan 1: 1000+1024
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 fault s1 1024
      + vma0 fault s1 1024
    scan 2 of space 1: 0 pages, swapped 1024
      - vma0 fault s1 1024
    scan 3 of space 1: 1024 pages
      vma0 fault s1 512
      vma0 fault s2 512
      + vma0 fault s1 512
      + vma0 fault s2 512
  )",
               Detail::kFlow);
}

TEST(KernelCase, UserfaultfdCopyIsTheMapSite) {
  expect_scans(R"(
    @0 attach 1
    @1 mmap 1 1000+1024 s1
    @2 vmas 1: 1000+1024 rw-p
    scan 1: 1000+1024
  )",
               R"(
    scan 1 of space 1: 1024 pages
      vma0 mmap s1 1024
  )");
}

TEST(KernelCase, BrkGrowTouchAndShrink) {
  expect_scans(R"(
    @0 attach 1
    vmas 1: 1000+16 rw-p [heap]
    @1 brk 1 1010+1024 s1
    @2 vmas 1: 1000+1040 rw-p [heap]
    table 1: 1010+1024 s2 @1.5 w
    scan 1: 1000+1040
    @3 brk-shrink 1 1010+1024 s3
    @4 vmas 1: 1000+16 rw-p [heap]
    scan 1: 1000+16
  )",
               R"(
    scan 1 of space 1: 1040 pages
      vma0 fault s2 1024
      vma0 before - 16
      + vma0 fault s2 1024
      + vma0 before - 16
    scan 2 of space 1: 16 pages
      vma0 before - 16
      - vma0 fault s2 1024
  )",
               Detail::kFlow);
}

}  // namespace
}  // namespace memwhy::testing
