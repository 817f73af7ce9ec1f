// SPDX-License-Identifier: Apache-2.0
// What can be done from inside the sandboxes: each system call in a process of its own.
#include "files/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

namespace memwhy::files {
namespace {

enum class Fate : uint8_t { kDone, kRefused, kKilled, kNoSandbox, kOther };

const char* text(Fate fate) {
  constexpr std::array kTexts = {"done", "refused", "killed", "no sandbox", "other"};
  return kTexts[static_cast<size_t>(fate)];
}

// What became of it, in a child inside the sandbox.
Fate try_inside(Role role, const std::function<long()>& attempt) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!enter_sandbox(role, 64)) ::_exit(77);
    ::_exit(attempt() < 0 ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGSYS ? Fate::kKilled : Fate::kOther;
  if (WEXITSTATUS(status) == 77) return Fate::kNoSandbox;
  return WEXITSTATUS(status) == 0 ? Fate::kDone : Fate::kRefused;
}

struct Attempt {
  const char* name;
  Fate opener, parser;
  std::function<long()> run;
};

long raw(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  return ::syscall(number, a, b, c, d);
}

// A descriptor of a file that is open before the sandbox closes.
int file = -1;
const long kPath = reinterpret_cast<long>("/etc/passwd");
std::array<char, 4096> buffer;
const long kBuffer = reinterpret_cast<long>(buffer.data());

const std::vector<Attempt>& attempts() {
  using enum Fate;
  static const std::vector<Attempt> kAll = {
      // Needed.
      {"read", kDone, kDone, [] { return raw(SYS_read, file, kBuffer, 16); }},
      {"fstat", kDone, kDone, [] { return raw(SYS_fstat, file, kBuffer); }},
      {"lseek", kDone, kDone, [] { return raw(SYS_lseek, file, 0, SEEK_SET); }},
      {"brk", kDone, kDone, [] { return raw(SYS_brk, 0); }},
      {"mmap", kDone, kDone,
       [] {
         return reinterpret_cast<long>(
                    ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) == -1
                    ? -1L
                    : 0L;
       }},
      {"clock_gettime", kDone, kDone, [] { return raw(SYS_clock_gettime, CLOCK_MONOTONIC, kBuffer); }},
      {"getrandom", kDone, kDone, [] { return raw(SYS_getrandom, kBuffer, 8, 0); }},
      {"pread64", kKilled, kDone, [] { return raw(SYS_pread64, file, kBuffer, 16, 0); }},
      // Files.
      {"openat for reading", kDone, kRefused, [] { return raw(SYS_openat, AT_FDCWD, kPath, O_RDONLY); }},
      {"openat for writing", kKilled, kRefused,
       [] { return raw(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/dev/null"), O_WRONLY); }},
      {"openat to create", kKilled, kRefused,
       [] { return raw(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/tmp/x"), O_RDWR | O_CREAT, 0600); }},
      {"open", kKilled, kRefused, [] { return raw(SYS_open, kPath, O_RDONLY); }},
      {"readlink", kDone, kRefused,
       [] { return raw(SYS_readlink, reinterpret_cast<long>("/proc/self/exe"), kBuffer, 4096); }},
      {"unlink", kKilled, kKilled, [] { return raw(SYS_unlink, reinterpret_cast<long>("/nonexistent")); }},
      {"rename", kKilled, kKilled, [] { return raw(SYS_rename, kPath, kPath); }},
      {"mkdir", kKilled, kKilled, [] { return raw(SYS_mkdir, kPath, 0700); }},
      {"chmod", kKilled, kKilled, [] { return raw(SYS_chmod, kPath, 0700); }},
      {"chown", kKilled, kKilled, [] { return raw(SYS_chown, kPath, 0, 0); }},
      {"mount", kKilled, kKilled, [] { return raw(SYS_mount, kPath, kPath, kPath, 0); }},
      {"chroot", kKilled, kKilled, [] { return raw(SYS_chroot, kPath); }},
      {"ftruncate", kKilled, kKilled, [] { return raw(SYS_ftruncate, file, 0); }},
      {"memfd_create", kKilled, kKilled, [] { return raw(SYS_memfd_create, kPath, 0); }},
      {"getdents64", kKilled, kKilled, [] { return raw(SYS_getdents64, file, kBuffer, 4096); }},
      // Others.
      {"fork", kKilled, kKilled, [] { return raw(SYS_fork); }},
      {"clone3", kKilled, kKilled, [] { return raw(SYS_clone3, kBuffer, 88); }},
      {"execve", kKilled, kKilled, [] { return raw(SYS_execve, kPath, 0, 0); }},
      {"kill", kKilled, kKilled, [] { return raw(SYS_kill, ::getppid(), 0); }},
      {"ptrace", kKilled, kKilled, [] { return raw(SYS_ptrace, PTRACE_TRACEME); }},
      {"process_vm_readv", kKilled, kKilled,
       [] { return raw(SYS_process_vm_readv, 1, kBuffer, 0, kBuffer); }},
      {"process_vm_writev", kKilled, kKilled,
       [] { return raw(SYS_process_vm_writev, 1, kBuffer, 0, kBuffer); }},
      {"pidfd_open", kKilled, kKilled, [] { return raw(SYS_pidfd_open, 1, 0); }},
      {"setuid", kKilled, kKilled, [] { return raw(SYS_setuid, 0); }},
      {"capset", kKilled, kKilled, [] { return raw(SYS_capset, kBuffer, kBuffer); }},
      {"unshare", kKilled, kKilled, [] { return raw(SYS_unshare, 0); }},
      // The machine.
      {"socket", kKilled, kKilled, [] { return raw(SYS_socket, AF_INET, SOCK_STREAM, 0); }},
      {"connect", kKilled, kKilled, [] { return raw(SYS_connect, file, kBuffer, 16); }},
      {"bpf", kKilled, kKilled, [] { return raw(SYS_bpf, 0, kBuffer, 16); }},
      {"perf_event_open", kKilled, kKilled, [] { return raw(SYS_perf_event_open, kBuffer, 0, -1, -1); }},
      {"userfaultfd", kKilled, kKilled, [] { return raw(SYS_userfaultfd, 0); }},
      {"io_uring_setup", kKilled, kKilled, [] { return raw(SYS_io_uring_setup, 1, kBuffer); }},
      {"keyctl", kKilled, kKilled, [] { return raw(SYS_keyctl, 0); }},
      {"reboot", kKilled, kKilled, [] { return raw(SYS_reboot, 0); }},
      {"mmap of code", kKilled, kKilled,
       [] { return raw(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS); }},
      {"mprotect to code", kKilled, kKilled,
       [] { return raw(SYS_mprotect, kBuffer & ~4095L, 4096, PROT_READ | PROT_EXEC); }},
      {"sethostname", kKilled, kKilled, [] { return raw(SYS_sethostname, kBuffer, 1); }},
  };
  return kAll;
}

class Sandbox : public testing::TestWithParam<Role> {};
INSTANTIATE_TEST_SUITE_P(Roles, Sandbox, testing::Values(Role::kOpener, Role::kParser),
                         [](const auto& role) { return role.param == Role::kOpener ? "Opener" : "Parser"; });

TEST_P(Sandbox, OnlyWhatIsListedPasses) {
  ASSERT_GE(attempts().size(), 40u);
  if (file < 0) file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  for (const Attempt& attempt : attempts()) {
    const Fate expected = GetParam() == Role::kOpener ? attempt.opener : attempt.parser;
    EXPECT_STREQ(text(try_inside(GetParam(), attempt.run)), text(expected)) << attempt.name;
  }
}

// Read of the child while it stands still inside.
TEST_P(Sandbox, CapabilitiesAreThoseOfTheTable) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root: there is nothing to give up";
  std::array<int, 2> ready{}, go{};
  ASSERT_EQ(::pipe2(ready.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(go.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(go[1]);  // the end of which lets it go
    const char word = enter_sandbox(GetParam(), 64) ? 'y' : 'n';
    static_cast<void>(!::write(ready[1], &word, 1));
    char end = 0;
    static_cast<void>(!::read(go[0], &end, 1));
    ::_exit(0);
  }
  ::close(go[0]);
  char word = 0;
  ASSERT_EQ(::read(ready[0], &word, 1), 1);
  EXPECT_EQ(word, 'y');
  uint64_t permitted = ~uint64_t{0}, bounding = ~uint64_t{0}, uid = 0, no_new = 0, filter = 0;
  if (std::FILE* status = std::fopen(("/proc/" + std::to_string(child) + "/status").c_str(), "re")) {
    std::array<char, 256> line{};
    unsigned long value = 0;
    while (std::fgets(line.data(), line.size(), status) != nullptr) {
      if (std::sscanf(line.data(), "CapPrm: %lx", &value) == 1) permitted = value;
      if (std::sscanf(line.data(), "CapBnd: %lx", &value) == 1) bounding = value;
      if (std::sscanf(line.data(), "Uid: %lu", &value) == 1) uid = value;
      if (std::sscanf(line.data(), "NoNewPrivs: %lu", &value) == 1) no_new = value;
      if (std::sscanf(line.data(), "Seccomp: %lu", &value) == 1) filter = value;
    }
    std::fclose(status);
  }
  const uint64_t wanted = GetParam() == Role::kParser
                              ? 0
                              : uint64_t{1} << CAP_SYS_PTRACE | uint64_t{1} << CAP_DAC_READ_SEARCH |
                                    uint64_t{1} << CAP_CHECKPOINT_RESTORE;
  EXPECT_EQ(permitted, wanted);
  EXPECT_EQ(bounding, 0u);
  EXPECT_EQ(uid, 65534u);
  EXPECT_EQ(no_new, 1u);
  EXPECT_EQ(filter, 2u);
  ::close(go[1]);
  ::waitpid(child, nullptr, 0);
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(SandboxMemory, OfTheParserEnds) {
  const Fate fate = try_inside(Role::kParser, [] {
    void* all =
        ::mmap(nullptr, 2 * kParserMemoryBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return all == MAP_FAILED ? -1L : 0L;
  });
  EXPECT_STREQ(text(fate), "refused");
}
#endif

}  // namespace
}  // namespace memwhy::files
