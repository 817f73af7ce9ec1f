// SPDX-License-Identifier: Apache-2.0
// A child process with memory of known content, and what the kernel itself says of it while it stands still.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <utility>

namespace memwhy::procfs {

// Runs `body` in a forked child, which then waits to be killed. The constructor returns when `body` has.
class Child {
 public:
  explicit Child(const std::function<void()>& body) {
    int ready[2];
    int go[2];
    if (::pipe(ready) != 0 || ::pipe(go) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(ready[0]);
      ::close(go[1]);
      body();
      char byte = 'r';
      if (::write(ready[1], &byte, 1) != 1 || ::read(go[0], &byte, 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    ::close(ready[1]);
    ::close(go[0]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1) << "the child died while it made its memory";
    ::close(ready[0]);
    go_ = go[1];
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { end(); }

  pid_t pid() const { return pid_; }

  // Stopped, and known to be so.
  void stop() const {
    ::kill(pid_, SIGSTOP);
    int status = 0;
    ASSERT_EQ(::waitpid(pid_, &status, WUNTRACED), pid_);
    ASSERT_TRUE(WIFSTOPPED(status));
  }
  // Killed; a zombie until end().
  void kill() const {
    ::kill(pid_, SIGKILL);
    siginfo_t info = {};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT), 0);
  }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(go_);
    pid_ = -1;
  }

  // A line of smaps_rollup in pages, such as "Rss".
  uint64_t rollup_pages(const std::string& key, const std::string& below = "") const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/" + below + "smaps_rollup");
    std::string word;
    while (file >> word) {
      uint64_t kib = 0;
      if (word == key + ":" && file >> kib) return kib / 4;
    }
    ADD_FAILURE() << "no " << key << " in smaps_rollup";
    return 0;
  }

 private:
  pid_t pid_ = -1;
  int go_ = -1;
};

// Anonymous memory at an address that the parent chose, so that both know it.
inline char* map_at(uint64_t address, size_t bytes, int protection = PROT_READ | PROT_WRITE) {
  void* at = ::mmap(reinterpret_cast<void*>(address), bytes, protection,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) ::_exit(3);
  return static_cast<char*>(at);
}

inline void touch(char* at, size_t pages, size_t step = 1) {
  for (size_t i = 0; i < pages; ++i) static_cast<volatile char*>(at)[i * step * 4096] = 1;
}

inline void look(const char* at, size_t pages) {
  for (size_t i = 0; i < pages; ++i) static_cast<void>(static_cast<const volatile char*>(at)[i * 4096]);
}

// Nothing else is there: not the heap, not the mmap area, and not the shadow or the allocator of AddressSanitizer.
constexpr uint64_t kBase = 0x200000000000;
constexpr uint64_t kMiB = uint64_t{1} << 20;

}  // namespace memwhy::procfs
