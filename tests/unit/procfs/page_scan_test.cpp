// SPDX-License-Identifier: Apache-2.0
// The scan against values that the child made, and against smaps_rollup of the child standing still.
#include "procfs/page_scan.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <algorithm>
#include <filesystem>

#include "procfs/process.h"
#include "unit/procfs/child.h"

namespace memwhy::procfs {
namespace {

using events::kScanFile;
using events::kScanHuge;
using events::kScanSwapped;
using events::ScanRun;
using Method = PageScanner::Method;

struct Seen {
  std::vector<events::Vma> vmas;
  events::PageScan scan;

  uint64_t resident(uint8_t flags = 0) const {
    uint64_t pages = 0;
    for (const ScanRun& run : scan.runs) {
      if ((run.flags & kScanSwapped) == 0 && (run.flags & flags) == flags) pages += run.count;
    }
    return pages;
  }
  std::vector<ScanRun> within(uint64_t start, uint64_t bytes) const {
    std::vector<ScanRun> runs;
    for (const ScanRun& run : scan.runs) {
      if (run.page >= start >> 12 && run.page < (start + bytes) >> 12) runs.push_back(run);
    }
    return runs;
  }
  const events::Vma* at(uint64_t address) const {
    for (const auto& vma : vmas) {
      if (vma.range.contains(address)) return &vma;
    }
    return nullptr;
  }
};

#ifdef __SANITIZE_ADDRESS__
constexpr bool kShadow = true;
#else
constexpr bool kShadow = false;
#endif

// What both methods must agree upon.
class PageScan : public testing::TestWithParam<Method> {
 protected:
  void SetUp() override {
    if (GetParam() == Method::kPagemapOnly && ::geteuid() != 0)
      GTEST_SKIP() << "frame numbers need CAP_SYS_ADMIN";
    if (GetParam() == Method::kPagemapOnly && kShadow)
      GTEST_SKIP() << "the shadow of AddressSanitizer, 15 TiB, is more than this method reads";
  }
  Seen see(const Child& child, ScanPace pace = {}) {
    child.stop();
    auto root = Root::open("/proc");
    auto process = Process::open(*root, child.pid());
    EXPECT_TRUE(process) << process.error().message();
    process->scan_with(GetParam(), pace);
    Seen seen;
    seen.vmas = *process->vmas();
    seen.scan = *process->scan(seen.vmas);
    EXPECT_TRUE(seen.scan.complete);
    EXPECT_EQ(seen.scan.method, GetParam() == Method::kBest ? "PAGEMAP_SCAN" : "pagemap");
    EXPECT_EQ(seen.resident(), child.rollup_pages("Rss"));
    check_order(seen);
    return seen;
  }
  static void check_order(const Seen& seen) {
    size_t vma = 0;
    PageNumber last = 0;
    for (const ScanRun& run : seen.scan.runs) {
      EXPECT_GE(run.page, last);
      EXPECT_GT(run.count, 0U);
      last = run.page + run.count;
      while (vma < seen.vmas.size() && seen.vmas[vma].range.end <= run.page << 12) ++vma;
      ASSERT_LT(vma, seen.vmas.size());
      EXPECT_GE(run.page << 12, seen.vmas[vma].range.start);
      EXPECT_LE(last << 12, seen.vmas[vma].range.end) << "a run crosses the border of a mapping";
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Methods, PageScan, testing::Values(Method::kBest, Method::kPagemapOnly),
                         [](const auto& method) {
                           return method.param == Method::kBest ? "Ioctl" : "Pagemap";
                         });

TEST_P(PageScan, AnonymousPages) {
  const Child child([] {
    char* at = map_at(kBase, 300 * 4096);
    touch(at + 10 * 4096, 100);
    touch(at + 200 * 4096, 1);
  });
  const auto runs = see(child).within(kBase, 300 * 4096);
  EXPECT_EQ(runs, (std::vector<ScanRun>{{(kBase >> 12) + 10, 100, 0}, {(kBase >> 12) + 200, 1, 0}}));
}

TEST_P(PageScan, TheZeroPageDoesNotCount) {
  const Child child([] {
    char* at = map_at(kBase, 300 * 4096);
    look(at, 64);
    touch(at + 32 * 4096, 2);
  });
  const auto runs = see(child).within(kBase, 300 * 4096);
  EXPECT_EQ(runs, (std::vector<ScanRun>{{(kBase >> 12) + 32, 2, 0}}));
}

TEST_P(PageScan, HugePages) {
  const Child child([] {
    char* at = map_at(kBase, 8 * kMiB);
    ::madvise(at, 8 * kMiB, MADV_HUGEPAGE);
    touch(at + 2 * kMiB, 1);
    touch(at + 4 * kMiB, 1);
    look(at + 6 * kMiB, 1);  // the huge zero page
  });
  const Seen seen = see(child);
  const auto runs = seen.within(kBase, 8 * kMiB);
  if (runs.size() == 1 && runs[0].count != 1024) GTEST_SKIP() << "no transparent huge pages to be had";
  EXPECT_EQ(runs, (std::vector<ScanRun>{{(kBase + 2 * kMiB) >> 12, 1024, kScanHuge}}));
}

TEST_P(PageScan, PartOfAHugePage) {
  const Child child([] {
    char* at = map_at(kBase, 4 * kMiB);
    ::madvise(at, 4 * kMiB, MADV_HUGEPAGE);
    touch(at, 1);
    // Else khugepaged may make it whole again, of a process that stands still.
    ::madvise(at, 4 * kMiB, MADV_NOHUGEPAGE);
    ::madvise(at + 128 * 4096, 128 * 4096, MADV_DONTNEED);
  });
  uint64_t pages = 0;
  for (const ScanRun& run : see(child).within(kBase, 4 * kMiB)) pages += run.count;
  if (pages == 1) GTEST_SKIP() << "no transparent huge pages to be had";
  EXPECT_EQ(pages, 384U);
}

std::string file_of(size_t pages) {
  std::string path = testing::TempDir() + "memwhy_scan_XXXXXX";
  const int fd = ::mkstemp(path.data());
  const std::string page(4096, 'x');
  for (size_t i = 0; i < pages; ++i) EXPECT_EQ(::write(fd, page.data(), page.size()), 4096);
  ::close(fd);
  return path;
}

char* map_file(const std::string& path, size_t pages, int flags) {
  const int fd = ::open(path.c_str(), O_RDWR);
  void* at = ::mmap(reinterpret_cast<void*>(kBase), pages * 4096, PROT_READ | PROT_WRITE,
                    flags | MAP_FIXED_NOREPLACE, fd, 0);
  ::close(fd);
  if (at == MAP_FAILED) ::_exit(4);
  return static_cast<char*>(at);
}

TEST_P(PageScan, PrivateFilePagesAndTheirCopies) {
  const std::string path = file_of(32);
  const Child child([&] {
    char* at = map_file(path, 32, MAP_PRIVATE);
    look(at, 32);
    touch(at + 8 * 4096, 4);
  });
  const Seen seen = see(child);
  EXPECT_EQ(seen.within(kBase, 32 * 4096), (std::vector<ScanRun>{{kBase >> 12, 8, kScanFile},
                                                                 {(kBase >> 12) + 8, 4, 0},
                                                                 {(kBase >> 12) + 12, 20, kScanFile}}));
  EXPECT_EQ(seen.at(kBase)->name, path);
  std::filesystem::remove(path);
}

TEST_P(PageScan, SharedFilePagesAreNotAskedWhoseTheyAre) {
  const std::string path = file_of(32);
  const Child child([&] { look(map_file(path, 32, MAP_SHARED), 32); });
  EXPECT_EQ(see(child).within(kBase, 32 * 4096), (std::vector<ScanRun>{{kBase >> 12, 32, 0}}));
  std::filesystem::remove(path);
}

TEST_P(PageScan, SharedMemory) {
  const Child child([] {
    const int fd = static_cast<int>(::syscall(SYS_memfd_create, "ring", 0));
    if (::ftruncate(fd, 64 * 4096) != 0) ::_exit(5);
    void* at = ::mmap(reinterpret_cast<void*>(kBase), 64 * 4096, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
    touch(static_cast<char*>(at), 16);
    at = ::mmap(reinterpret_cast<void*>(kBase + kMiB), 8 * 4096, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    touch(static_cast<char*>(at), 3);
  });
  const Seen seen = see(child);
  EXPECT_EQ(seen.within(kBase, kMiB), (std::vector<ScanRun>{{kBase >> 12, 16, 0}}));
  EXPECT_EQ(seen.at(kBase)->name, "/memfd:ring (deleted)");
  EXPECT_TRUE(seen.at(kBase)->shmem);
  EXPECT_EQ(seen.within(kBase + kMiB, kMiB), (std::vector<ScanRun>{{(kBase + kMiB) >> 12, 3, 0}}));
  EXPECT_TRUE(seen.at(kBase + kMiB)->shmem);
  EXPECT_EQ(seen.scan.after->rss_shmem_bytes, 19U * 4096);
}

TEST_P(PageScan, ProtectedPagesAreStillThere) {
  const Child child([] {
    char* at = map_at(kBase, 64 * 4096);
    touch(at, 10);
    ::mprotect(at, 64 * 4096, PROT_NONE);
  });
  EXPECT_EQ(see(child).within(kBase, 64 * 4096), (std::vector<ScanRun>{{kBase >> 12, 10, 0}}));
}

TEST_P(PageScan, ForkedChildAndItsCopies) {
  // The memory is the parent's; the child writes to half of it.
  char* at = map_at(kBase, 64 * 4096);
  touch(at, 64);
  {
    const Child child([&] { touch(at, 32); });
    EXPECT_EQ(see(child).within(kBase, 64 * 4096), (std::vector<ScanRun>{{kBase >> 12, 64, 0}}));
  }
  ::munmap(at, 64 * 4096);
}

TEST_P(PageScan, MoreRunsThanTheKernelBuffers) {
  // 512 regions in the kernel, 2,048 for each call: the place where walk_end goes stale.
  const Child child([] { touch(map_at(kBase, 32 * kMiB), 4096, 2); });
  const auto runs = see(child).within(kBase, 32 * kMiB);
  ASSERT_EQ(runs.size(), 4096U);
  for (size_t i = 0; i < runs.size(); ++i) ASSERT_EQ(runs[i], (ScanRun{(kBase >> 12) + 2 * i, 1, 0}));
}

TEST_P(PageScan, StepsOfAnySizeSeeTheSame) {
  if (kShadow) GTEST_SKIP() << "15 TiB of shadow in steps of a page take minutes";
  const Child child([] {
    char* at = map_at(kBase, 16 * kMiB);
    touch(at, 700);
    touch(at + 9 * kMiB, 50, 3);
    look(at + 12 * kMiB, 500);
  });
  const auto whole = see(child).scan.runs;
  auto root = Root::open("/proc");
  auto process = Process::open(*root, child.pid());
  const auto vmas = *process->vmas();
  for (const uint64_t pages : {1, 7, 512, 513}) {
    process->scan_with(GetParam(), ScanPace{pages, 100'000, 0, kMiB});
    EXPECT_EQ(process->scan(vmas)->runs, whole) << pages;
  }
}

TEST_P(PageScan, NeighboursAreTwoRuns) {
  const Child child([] {
    char* at = map_at(kBase, 4 * 4096);
    touch(at, 4);
    ::mprotect(at + 2 * 4096, 2 * 4096, PROT_READ);
  });
  EXPECT_EQ(see(child).within(kBase, 4 * 4096),
            (std::vector<ScanRun>{{kBase >> 12, 2, 0}, {(kBase >> 12) + 2, 2, 0}}));
}

TEST_P(PageScan, GuardPagesAreNotInSwap) {
  const Child child([] {
    char* at = map_at(kBase, 8 * 4096);
    touch(at, 2);
    ::madvise(at + 4 * 4096, 4 * 4096, 102);  // MADV_GUARD_INSTALL, 6.13
  });
  EXPECT_EQ(see(child).within(kBase, 8 * 4096), (std::vector<ScanRun>{{kBase >> 12, 2, 0}}));
}

TEST(PageScanIoctl, AHugeReservationIsCrossedInNoTime) {
  const Child child([] {
    char* at = map_at(kBase, uint64_t{8} << 40, PROT_READ | PROT_WRITE);
    touch(at + (uint64_t{5} << 40), 3);
  });
  child.stop();
  auto root = Root::open("/proc");
  auto process = Process::open(*root, child.pid());
  const auto vmas = *process->vmas();
  const auto scan = process->scan(vmas);
  ASSERT_TRUE(scan);
  if (scan->method != "PAGEMAP_SCAN") GTEST_SKIP() << "needs Linux 6.7";
  const auto found =
      std::find(scan->runs.begin(), scan->runs.end(), ScanRun{(kBase + (uint64_t{5} << 40)) >> 12, 3, 0});
  EXPECT_NE(found, scan->runs.end());
}

TEST(PageScanIoctl, WhatIsNotListedIsNotReported) {
  const Child child([] { touch(map_at(kBase, 16 * 4096), 16); });
  child.stop();
  auto root = Root::open("/proc");
  auto process = Process::open(*root, child.pid());
  events::Vma left;
  left.range = {kBase, kBase + 4 * 4096};
  events::Vma right;
  right.range = {kBase + 8 * 4096, kBase + 9 * 4096};
  EXPECT_EQ(process->scan({left, right})->runs,
            (std::vector<ScanRun>{{kBase >> 12, 4, 0}, {(kBase >> 12) + 8, 1, 0}}));
}

}  // namespace
}  // namespace memwhy::procfs
