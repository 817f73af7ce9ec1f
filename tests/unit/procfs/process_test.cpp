// SPDX-License-Identifier: Apache-2.0
#include "procfs/process.h"
#include "base/exit_status.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

#include <filesystem>
#include <fstream>

#include "procfs/root.h"
#include "unit/procfs/child.h"

namespace memwhy::procfs {
namespace {

namespace fs = std::filesystem;

class ProcessTest : public testing::Test {
 protected:
  ProcessTest() : root_(*Root::open("/proc")) {}
  Root root_;
};

TEST_F(ProcessTest, IdentityOfAChild) {
  const Child child([] { ::prctl(PR_SET_NAME, "a) R (b c"); });
  auto process = Process::open(root_, child.pid());
  ASSERT_TRUE(process) << process.error().message();
  const auto identity = process->identity();
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->tgid, child.pid());
  EXPECT_EQ(identity->comm, "a) R (b c");
  EXPECT_EQ(identity->exe, fs::read_symlink("/proc/self/exe").string());
  timespec boot = {};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  const double age = static_cast<double>(boot.tv_sec) + static_cast<double>(boot.tv_nsec) * 1e-9 -
                     static_cast<double>(identity->started_ns) * 1e-9;
  EXPECT_GE(age, 0.0);
  EXPECT_LT(age, 60.0);
}

TEST_F(ProcessTest, CountersAreTheKernels) {
  const Child child([] { touch(map_at(kBase, 8 * kMiB), 2048); });
  child.stop();
  auto process = Process::open(root_, child.pid());
  const auto counters = process->counters();
  ASSERT_TRUE(counters);
  EXPECT_NEAR(static_cast<double>(counters->rss_bytes()),
              static_cast<double>(child.rollup_pages("Rss") * 4096),
              static_cast<double>(counters->error_bytes));
  EXPECT_GE(counters->rss_anon_bytes + counters->error_bytes, 8 * kMiB);
  EXPECT_GE(counters->peak_bytes + counters->error_bytes, counters->rss_bytes());
  EXPECT_EQ(counters->threads, 1U);
  EXPECT_GT(counters->page_table_bytes, 0U);
}

TEST_F(ProcessTest, AliveUntilItIsNot) {
  const Child child([] {});
  auto process = Process::open(root_, child.pid());
  ASSERT_TRUE(process->vmas());
  EXPECT_TRUE(process->alive());
  const auto vmas = *process->vmas();
  child.kill();
  EXPECT_FALSE(process->alive());
  for (const ErrorCode code : {process->counters().error().code(), process->vmas().error().code(),
                               process->scan(vmas).error().code()}) {
    EXPECT_EQ(code, ErrorCode::kTargetGone);
  }
  const auto again = Process::open(root_, child.pid());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), ErrorCode::kTargetGone);
  EXPECT_NE(again.error().message().find("zombie"), std::string::npos) << again.error().message();
}

TEST_F(ProcessTest, AnExecIsAnotherAddressSpace) {
  int gate[2];
  ASSERT_EQ(::pipe(gate), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    char byte = 0;
    ::close(gate[1]);
    ::dup2(gate[0], STDIN_FILENO);
    if (::read(gate[0], &byte, 1) == 1)
      ::execlp("cat", "cat", nullptr);  // reads from the gate until we close it
    ::_exit(1);
  }
  ::close(gate[0]);
  auto process = Process::open(root_, pid);
  ASSERT_TRUE(process);
  const auto vmas = *process->vmas();
  ASSERT_FALSE(vmas.empty());
  ASSERT_EQ(::write(gate[1], "x", 1), 1);
  // The old address space goes with the exec; its maps become empty then.
  Result<std::vector<events::Vma>> now = process->vmas();
  while (now && process->alive()) now = process->vmas();
  ASSERT_FALSE(now);
  EXPECT_EQ(now.error().code(), ErrorCode::kTargetGone);
  const auto scan = process->scan(vmas);
  ASSERT_FALSE(scan) << "an old address space must not be read as the new one";
  EXPECT_EQ(scan.error().code(), ErrorCode::kTargetGone);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  ::close(gate[1]);
}

TEST_F(ProcessTest, TheMainThreadMayLeave) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    touch(map_at(kBase, kMiB), 100);
    static int out = ready[1];
    static pid_t leader = ::getpid();
    pthread_t thread = {};
    ::pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          // The leader is gone when its state says so.
          std::string text;
          do {
            text = *read_file(AT_FDCWD, "/proc/" + std::to_string(leader) + "/stat");
          } while (!parse_stat(text)->dead());
          if (::write(out, "x", 1) != 1) ::_exit(1);
          while (true) ::pause();
        },
        nullptr);
    ::syscall(SYS_exit, 0);
  }
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1) << "the child died while it made its memory";
  auto process = Process::open(root_, pid);
  ASSERT_TRUE(process) << process.error().message();
  EXPECT_TRUE(process->alive());
  const auto counters = process->counters();
  ASSERT_TRUE(counters) << counters.error().message();
  EXPECT_GT(counters->rss_anon_bytes, 0U);
  const auto vmas = process->vmas();
  ASSERT_TRUE(vmas) << vmas.error().message();
  const auto scan = process->scan(*vmas);
  ASSERT_TRUE(scan);
  const events::ScanRun mine{kBase >> 12, 100, 0};
  EXPECT_NE(std::find(scan->runs.begin(), scan->runs.end(), mine), scan->runs.end());
  EXPECT_NE(process->identity()->exe, "");
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_FALSE(process->alive());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(ProcessTest, ClearErrors) {
  const auto nobody = Process::open(root_, 0x3fffffff);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code(), ErrorCode::kTargetGone);
  EXPECT_EQ(nobody.error().message(), "no process with pid 1073741823");
  EXPECT_EQ(Process::open(root_, 0).error().code(), ErrorCode::kUsage);
  const auto kernel = Process::open(root_, 2);
  ASSERT_FALSE(kernel);
  if (kernel.error().message().find("kthreadd") == std::string::npos)
    GTEST_SKIP() << "pid 2 is no kernel thread here";
  EXPECT_EQ(kernel.error().code(), ErrorCode::kUsage);
  EXPECT_EQ(kernel.error().message(), "pid 2 (kthreadd) is a kernel thread: it has no memory of its own");
}

TEST_F(ProcessTest, AThreadIsNotAProcess) {
  int ids[2];
  ASSERT_EQ(::pipe(ids), 0);
  const Child child([&] {
    static int out = ids[1];
    pthread_t thread = {};
    ::pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          const auto tid = static_cast<pid_t>(::syscall(SYS_gettid));
          if (::write(out, &tid, sizeof tid) != sizeof tid) ::_exit(1);
          while (true) ::pause();
        },
        nullptr);
  });
  pid_t tid = 0;
  ASSERT_EQ(::read(ids[0], &tid, sizeof tid), static_cast<ssize_t>(sizeof tid));
  const auto process = Process::open(root_, tid);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code(), ErrorCode::kUsage);
  EXPECT_NE(process.error().message().find(std::to_string(child.pid())), std::string::npos);
  ::close(ids[0]);
  ::close(ids[1]);
}

TEST_F(ProcessTest, WithoutTheCapabilityItSaysWhichIsMissing) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a target of another user";
  const Child target([] {});
  int answer[2];
  ASSERT_EQ(::pipe(answer), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(1);
    const auto root = Root::open("/proc");
    const auto process = Process::open(*root, target.pid());
    const std::string text =
        process ? "opened"
                : std::to_string(exit_status(process.error().code())) + " " + process.error().message();
    ::_exit(::write(answer[1], text.data(), text.size()) < 0 ? 1 : 0);
  }
  char text[512] = {};
  ::close(answer[1]);
  ASSERT_GT(::read(answer[0], text, sizeof text - 1), 0);
  ::waitpid(pid, nullptr, 0);
  ::close(answer[0]);
  EXPECT_EQ(std::string(text), "5 reading maps of pid " + std::to_string(target.pid()) +
                                   " needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH: run as root");
}

TEST_F(ProcessTest, HostileFileNames) {
  const std::string path = testing::TempDir() + "memwhy a\nb (deleted)";
  std::ofstream(path) << std::string(8192, 'x');
  const Child child([&] {
    const int fd = ::open(path.c_str(), O_RDONLY);
    const void* at =
        ::mmap(reinterpret_cast<void*>(kBase), 8192, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0);
    if (at == MAP_FAILED) ::_exit(1);
  });
  fs::remove(path);
  auto process = Process::open(root_, child.pid());
  bool found = false;
  const auto vmas = process->vmas();
  ASSERT_TRUE(vmas);
  for (const auto& vma : *vmas) {
    EXPECT_NE(vma.name, "[vsyscall]");
    if (vma.range.start != kBase) continue;
    found = true;
    EXPECT_EQ(vma.name, testing::TempDir() + "memwhy a\\012b (deleted) (deleted)");
    EXPECT_FALSE(vma.hugetlb);
    EXPECT_NE(vma.inode, 0U);
  }
  EXPECT_TRUE(found);
}

TEST_F(ProcessTest, TensOfThousandsOfMappings) {
  constexpr size_t kMappings = 20'000;
  const Child child([] {
    char* at = map_at(kBase, kMappings * 4096);
    for (size_t i = 0; i < kMappings; i += 2) ::mprotect(at + i * 4096, 4096, PROT_READ);
  });
  auto process = Process::open(root_, child.pid());
  const auto vmas = process->vmas();
  ASSERT_TRUE(vmas);
  size_t mine = 0;
  uint64_t last = 0;
  for (const auto& vma : *vmas) {
    EXPECT_GE(vma.range.start, last);
    last = vma.range.end;
    if (vma.range.start >= kBase && vma.range.end <= kBase + kMappings * 4096) ++mine;
  }
  EXPECT_EQ(mine, kMappings);
}

TEST(RootTest, FindsByComm) {
  const Child child([] { ::prctl(PR_SET_NAME, "memwhy-findme-x"); });
  const auto root = Root::open("/proc");
  EXPECT_EQ(root->find_by_comm("memwhy-findme-x"), (std::vector<Pid>{child.pid()}));
  EXPECT_EQ(root->find_by_comm("memwhy-findme-xyz"), (std::vector<Pid>{child.pid()}))
      << "15 bytes are all there is";
  EXPECT_TRUE(root->find_by_comm("memwhy-findme").empty());
}

TEST(RootTest, HostFacts) {
  const auto info = Root::open("/proc")->host();
  EXPECT_EQ(info.page_bytes, 4096U);
  EXPECT_EQ(info.cpus, static_cast<uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
  EXPECT_NE(kernel_version(info.kernel_release), 0U);
}

// A made-up procfs.
class FakeRoot : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "memwhy_proc_XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(path_); }
  void file(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  fs::path path_;
};

TEST_F(FakeRoot, APidOfAContainerIsToldAsTheHostsPid) {
  file("4711/status", "Name:\tweb\nTgid:\t4711\nNSpid:\t4711\t7\n");
  file("4712/status", "Name:\tweb\nTgid:\t4712\nNSpid:\t4712\t8\n");
  file("5000/status", "Name:\tweb\nTgid:\t5000\nNSpid:\t5000\t8\n");
  const auto root = Root::open(path_);
  EXPECT_FALSE(root->own_namespace());
  EXPECT_EQ(Process::open(*root, 7).error().message(),
            "no process with pid 7 (inside a container 7 is host pid 4711)");
  EXPECT_EQ(Process::open(*root, 8).error().message(),
            "no process with pid 8 (inside containers 8 is host pid 4712, 5000)");
  EXPECT_EQ(Process::open(*root, 9).error().message(), "no process with pid 9");
}

TEST_F(FakeRoot, FindsByCgroup) {
  file("10/cgroup", "0::/kubepods/pod1/c1\n");
  file("11/cgroup", "0::/kubepods/pod1\n");
  file("12/cgroup", "0::/kubepods/pod10\n");
  file("13/cgroup", "5:memory:/kubepods/pod1/x\n0::/other\n");
  const auto root = Root::open(path_);
  EXPECT_EQ(root->find_by_cgroup("/kubepods/pod1"), (std::vector<Pid>{10, 11, 13}));
  EXPECT_EQ(root->find_by_cgroup("/kubepods/pod1/"), (std::vector<Pid>{10, 11, 13}));
  EXPECT_EQ(root->find_by_cgroup("/"), (std::vector<Pid>{10, 11, 12, 13}));
  EXPECT_TRUE(root->find_by_cgroup("/none").empty());
}

}  // namespace
}  // namespace memwhy::procfs
