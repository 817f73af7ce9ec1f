// SPDX-License-Identifier: Apache-2.0
// The memory cgroup of the running kernel, of the version that it has: read while a child holds what the test told it to. No BPF.
#include "procfs/cgroup.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <array>

#include "cgroups.h"
#include "procfs/root.h"

namespace memwhy::kernel_test {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// A child in the cgroup that touches so much and fills a pipe, and then waits.
class Holder {
 public:
  Holder(const MemoryCgroup& cgroup, size_t bytes) {
    std::array<int, 2> told{};
    EXPECT_EQ(::pipe(told.data()), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      MemoryCgroup::put(cgroup.path + "/cgroup.procs", std::to_string(::getpid()));
      auto* memory = static_cast<char*>(
          ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
      const bool held = memory != MAP_FAILED && ::write(told[1], "", 1) == 1;
      if (!held) ::_exit(1);
      while (true) ::pause();
    }
    ::close(told[1]);
    char byte = 0;
    EXPECT_EQ(::read(told[0], &byte, 1), 1);
    ::close(told[0]);
  }
  ~Holder() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

TEST(Cgroup, FiguresOfTheRunningKernel) {
  const MemoryCgroup cgroup;
  if (cgroup.path.empty()) GTEST_SKIP() << "no memory cgroup can be made here";
  MemoryCgroup::put(cgroup.limit, std::to_string(256 * kMiB));
  const Holder holder(cgroup, 48 * kMiB);
  const auto proc = procfs::Root::open("/proc");
  ASSERT_TRUE(proc);
  const procfs::CgroupReader reader(*proc);
  const auto read = reader.read(cgroup.name());
  ASSERT_EQ(read.size(), 1u);
  const events::CgroupMemory& memory = read[0];
  EXPECT_EQ(memory.path, cgroup.name());
  EXPECT_EQ(memory.unified, cgroup.unified);
  EXPECT_EQ(memory.limit_bytes, 256 * kMiB);
  ASSERT_TRUE(memory.anon_bytes);
  EXPECT_GE(*memory.anon_bytes, 48 * kMiB);
  EXPECT_LE(*memory.anon_bytes, 50 * kMiB);
  EXPECT_GE(memory.usage_bytes, *memory.anon_bytes);
  EXPECT_TRUE(memory.file_bytes && memory.reclaimable_bytes && memory.shmem_bytes && memory.dirty_bytes);
  ASSERT_TRUE(memory.kernel_bytes);
  EXPECT_GE(*memory.kernel_bytes, 96 * 1024u);  // page tables of 48 MiB
  EXPECT_LE(*memory.kernel_bytes, 4 * kMiB);
  EXPECT_LE(std::abs(memory.untold_bytes()), static_cast<int64_t>(2 * kMiB));
  EXPECT_TRUE(memory.max_events && memory.oom_kills);
  EXPECT_EQ(memory.oom_kills, 0u);
  if (!memory.unified) return;
  ASSERT_TRUE(memory.page_table_bytes && memory.slab_bytes && memory.kernel_stack_bytes &&
              memory.percpu_bytes);
  EXPECT_GE(*memory.page_table_bytes, 96 * 1024u);
  EXPECT_TRUE(memory.sock_bytes);
}

TEST(Cgroup, TheOneAboveLimits) {
  const MemoryCgroup cgroup;
  if (cgroup.path.empty()) GTEST_SKIP() << "no memory cgroup can be made here";
  MemoryCgroup::put(cgroup.limit, std::to_string(64 * kMiB));
  if (cgroup.unified) MemoryCgroup::put(cgroup.path + "/cgroup.subtree_control", "+memory");
  const std::string below = cgroup.path + "/below";
  ASSERT_EQ(::mkdir(below.c_str(), 0755), 0);
  const auto proc = procfs::Root::open("/proc");
  ASSERT_TRUE(proc);
  const auto read = procfs::CgroupReader(*proc).read(cgroup.name() + "/below");
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].path, cgroup.name() + "/below");
  EXPECT_EQ(read[0].limit_bytes, std::nullopt);
  EXPECT_EQ(read[1].path, cgroup.name());
  EXPECT_EQ(read[1].limit_bytes, 64 * kMiB);
  ::rmdir(below.c_str());
}

}  // namespace
}  // namespace memwhy::kernel_test
