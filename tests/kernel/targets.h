// SPDX-License-Identifier: Apache-2.0
// What the tests trace: children of the test program that do one known thing and then wait. No second binary
// is needed, so that the tests run in a minimal VM.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>

namespace memwhy::kernel_test {

constexpr size_t kPage = 4096;
constexpr size_t kSites = 8, kCallers = 2, kClasses = kSites * kCallers;

// Written by the target, read by the test: memory that both share.
struct Report {
  uint64_t address = 0;
  uint64_t values[16] = {};
  uint32_t frames = 0;
  uint64_t frame[256] = {};
  pid_t pids[8] = {};
  uint64_t sp[8] = {}, tls[8] = {};
};

// A forked child that runs `work` when told to, says when it is done, and is killed at the end.
class Target {
 public:
  explicit Target(const std::function<void(Report&)>& work);
  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  pid_t pid() const { return pid_; }
  const Report& report() const { return *report_; }
  void go();            // starts the work and waits until it is done; fails the test when the target dies
  void start();         // only the first half
  void wait_done();     // only the second half
  int kill_and_wait();  // wait(2) status

 private:
  pid_t pid_ = -1;
  int to_child_ = -1, from_child_ = -1;
  Report* report_ = nullptr;
};

// pages of fresh private anonymous memory, on a 2 MiB boundary, never huge
char* fresh_pages(size_t pages);

// Touches `pages` pages from kSites places through kCallers callers six frames up, with equal stack pointers.
size_t class_of(size_t page);
void touch_by_class(char* memory, size_t pages);
// [start, end) of the function that touches pages of that site, and of the function through which caller `c`
// comes.
bool in_site(size_t site, uint64_t ip);

// Writes *page with this stack pointer and frame pointer in the registers.
void touch_with_stack(uint64_t sp, uint64_t bp, char* page);

// Touches the page `depth` calls deep; report.frame = its own walk of the chain as it was then.
void touch_deep(unsigned depth, char* page, Report& report);

// system calls with no libc frame in between
long raw_read(int fd, void* buffer, size_t bytes);

// Becomes a program that touches 64 pages, writes their address to `tell` and ends when it can read a byte of `wait`.
// Without more arguments it allocates nothing: it may be called between vfork and exec. With many, exec takes milliseconds.
[[noreturn]] void exec_target(int tell, int wait, size_t more_arguments = 0);
// That program, from its argv: its exit status.
int run_exec_target(int argc, char** argv);

}  // namespace memwhy::kernel_test
