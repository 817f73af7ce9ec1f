// SPDX-License-Identifier: Apache-2.0
#include "procfs/shared_pages.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/fd.h"

namespace memwhy::procfs {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// This process has `bytes` of a mapping, all of it resident.
events::Vma mapped(void* at, size_t bytes, bool shared) {
  const auto start = reinterpret_cast<uint64_t>(at);
  events::Vma vma;
  vma.range = {start, start + bytes};
  vma.read = vma.write = true;
  vma.shared = shared;
  return vma;
}

std::optional<events::SharedPages> sampled(const std::vector<events::Vma>& vmas,
                                           const std::vector<events::Vma>& parents) {
  const Fd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)),
      root(::open("/proc", O_PATH | O_CLOEXEC));
  std::vector<events::ScanRun> runs;
  for (const events::Vma& vma : vmas)
    runs.push_back({vma.range.start >> kPageShift, static_cast<uint32_t>(vma.range.bytes() / kPageBytes), 0});
  return sample_shared(pagemap.get(), root.get(), vmas, runs, [&] { return parents; });
}

std::optional<events::SharedPages> sampled(const events::Vma& vma) { return sampled({vma}, {}); }

// A child that has what this process has at this moment, until it is ended.
class Child {
 public:
  Child() : pid_(::fork()) {
    if (pid_ != 0) return;
    ::pause();
    ::_exit(0);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

char* filled(int flags) {
  void* at = ::mmap(nullptr, 16 * kMiB, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  ::madvise(at, 16 * kMiB, MADV_NOHUGEPAGE);
  std::memset(at, 1, 16 * kMiB);
  return static_cast<char*>(at);
}

TEST(SharedPages, WhatWasWrittenSinceAFork) {
  if (::access("/proc/kpagecount", R_OK) != 0) GTEST_SKIP() << "frames are told to root only";
  char* at = filled(MAP_PRIVATE);
  ASSERT_NE(at, nullptr);
  const events::Vma vma = mapped(at, 16 * kMiB, false);
  EXPECT_EQ(sampled(vma), events::SharedPages{}) << "nobody else has it";
  {
    const Child child;
    std::memset(at, 2, 12 * kMiB);
    const std::optional<events::SharedPages> shared = sampled(vma);
    ASSERT_TRUE(shared);
    EXPECT_EQ(shared->anonymous_mappers, 2u);
    EXPECT_EQ(shared->own_bytes + shared->anonymous_bytes, 16 * kMiB);
    EXPECT_NEAR(static_cast<double>(shared->own_bytes), 12.0 * kMiB, kMiB / 8.0);
    EXPECT_EQ(shared->memory_bytes, 0u);
  }
  ::munmap(at, 16 * kMiB);
}

// Of a mapping of which every page was copied no page is shared: that the parent has it shows that it was.
TEST(SharedPages, WhatWasCopiedAsAWhole) {
  if (::access("/proc/kpagecount", R_OK) != 0) GTEST_SKIP() << "frames are told to root only";
  char *at = filled(MAP_PRIVATE), *other = filled(MAP_PRIVATE);
  ASSERT_NE(at, nullptr);
  ASSERT_NE(other, nullptr);
  const std::vector<events::Vma> vmas = {mapped(std::min(at, other), 16 * kMiB, false),
                                         mapped(std::max(at, other), 16 * kMiB, false)};
  {
    const Child child;
    std::memset(at, 2, 16 * kMiB);
    std::memset(other, 2, 8 * kMiB);
    EXPECT_NEAR(static_cast<double>(sampled(vmas, {})->own_bytes), 8.0 * kMiB, kMiB / 4.0);
    EXPECT_NEAR(static_cast<double>(sampled(vmas, vmas)->own_bytes), 24.0 * kMiB, kMiB / 4.0);
    std::vector<events::Vma> parents = vmas;
    parents[at < other ? 0 : 1].range.end -= 12 * kMiB;
    EXPECT_NEAR(static_cast<double>(sampled(vmas, parents)->own_bytes), 12.0 * kMiB, kMiB / 4.0)
        << "the parent has a quarter of it";
  }
  ::munmap(at, 16 * kMiB);
  ::munmap(other, 16 * kMiB);
}

TEST(SharedPages, SharedMemoryAndHowManyMapIt) {
  if (::access("/proc/kpagecount", R_OK) != 0) GTEST_SKIP() << "frames are told to root only";
  char* at = filled(MAP_SHARED);
  ASSERT_NE(at, nullptr);
  const events::Vma vma = mapped(at, 16 * kMiB, true);
  // What a child does not touch of shared memory it does not map.
  const std::optional<events::SharedPages> alone = sampled(vma);
  ASSERT_TRUE(alone);
  EXPECT_EQ(alone->memory_bytes, 0u);
  char* again = static_cast<char*>(::mremap(at, 0, 16 * kMiB, MREMAP_MAYMOVE));  // mapped a second time
  ASSERT_NE(again, MAP_FAILED);
  std::memset(again, 1, 16 * kMiB);
  const std::optional<events::SharedPages> shared = sampled(vma);
  ASSERT_TRUE(shared);
  EXPECT_EQ(shared->memory_bytes, 16 * kMiB);
  EXPECT_EQ(shared->memory_mappers, 2u);
  ::munmap(again, 16 * kMiB);
  ::munmap(at, 16 * kMiB);
}

// Files like those of the kernel, a word for each page or frame; page N is in frame N + 1.
class MadeFrames {
 public:
  MadeFrames() {
    std::string name = testing::TempDir() + "memwhy_frames_XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~MadeFrames() {
    for (const char* file : {"pagemap", "kpagecount", "kpageflags"}) ::unlink((path_ + "/" + file).c_str());
    ::rmdir(path_.c_str());
  }
  void write(const char* file, const std::vector<uint64_t>& words) const {
    const Fd out(::open((path_ + "/" + file).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const auto bytes = static_cast<ssize_t>(words.size() * 8);
    ASSERT_EQ(::write(out.get(), words.data(), words.size() * 8), bytes);
  }
  std::optional<events::SharedPages> sampled(uint32_t pages) const {
    const Fd pagemap(::open((path_ + "/pagemap").c_str(), O_RDONLY | O_CLOEXEC)),
        root(::open(path_.c_str(), O_PATH | O_CLOEXEC));
    return sample_shared(pagemap.get(), root.get(), {mapped(nullptr, pages * kPageBytes, false)},
                         {{0, pages, 0}});
  }

 private:
  std::string path_;
};

// KSM makes one of equal pages of one process, which no fork has shared. Of 4 MiB a quarter is shared and a quarter merged.
TEST(SharedPages, WhatKsmMergedIsNotSharedByAFork) {
  constexpr uint64_t kPresent = uint64_t{1} << 63, kKsm = uint64_t{1} << 21;
  constexpr uint32_t kPages = 1024;
  std::vector<uint64_t> entries, counts = {0}, flags = {0};
  for (uint32_t page = 0; page < kPages; ++page) {
    entries.push_back(kPresent | (page + 1));
    counts.push_back(page < 256 ? 3 : page < 512 ? 100 : 1);
    flags.push_back(page >= 256 && page < 512 ? kKsm : 0);
  }
  const MadeFrames made;
  made.write("pagemap", entries);
  made.write("kpagecount", counts);
  EXPECT_FALSE(made.sampled(kPages)) << "which pages KSM merged is not known";
  made.write("kpageflags", flags);
  const std::optional<events::SharedPages> shared = made.sampled(kPages);
  ASSERT_TRUE(shared);
  EXPECT_EQ(shared->anonymous_bytes, kMiB);
  EXPECT_EQ(shared->own_bytes, 2 * kMiB);
  EXPECT_EQ(shared->anonymous_mappers, 3u);
}

}  // namespace
}  // namespace memwhy::procfs
