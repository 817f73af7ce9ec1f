// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <vector>

#define NOINLINE __attribute__((noinline, noclone))

namespace memwhy::kernel_test {

Target::Target(const std::function<void(Report&)>& work) {
  report_ = static_cast<Report*>(
      ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  new (report_) Report;
  int to_child[2], from_child[2];
  if (::pipe(to_child) != 0 || ::pipe(from_child) != 0) std::abort();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(to_child[1]);
    ::close(from_child[0]);
    char byte = 0;
    if (::read(to_child[0], &byte, 1) == 1) {
      work(*report_);
      if (::write(from_child[1], "d", 1) == 1) (void)!::read(to_child[0], &byte, 1);
    }
    ::_exit(0);
  }
  ::close(to_child[0]);
  ::close(from_child[1]);
  to_child_ = to_child[1];
  from_child_ = from_child[0];
}

Target::~Target() {
  if (pid_ > 0) kill_and_wait();
  ::close(to_child_);
  ::close(from_child_);
  ::munmap(report_, sizeof(Report));
}

void Target::start() { ASSERT_EQ(::write(to_child_, "g", 1), 1); }

void Target::wait_done() {
  char byte = 0;
  ASSERT_EQ(::read(from_child_, &byte, 1), 1) << "the target died";
}

void Target::go() {
  start();
  wait_done();
}

int Target::kill_and_wait() {
  int status = 0;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

char* fresh_pages(size_t pages) {
  constexpr size_t kHuge = size_t{2} << 20;
  auto* memory = static_cast<char*>(::mmap(nullptr, pages * kPage + kHuge, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  memory += (kHuge - reinterpret_cast<uint64_t>(memory) % kHuge) % kHuge;
  ::madvise(memory, pages * kPage, MADV_NOHUGEPAGE);
  return memory;
}

// --- touch_by_class: sites below six frames; the two callers differ in nothing but the line
// ---------------------------

namespace {
volatile int sink;

template <size_t N>
NOINLINE void site(char* page) {
  *static_cast<volatile char*>(page) = static_cast<char>(N + 1);
  asm volatile("" ::: "memory");
}
using Site = void (*)(char*);
constexpr Site kSite[kSites] = {site<0>, site<1>, site<2>, site<3>, site<4>, site<5>, site<6>, site<7>};

NOINLINE void down5(size_t n, char* page) {
  kSite[n](page);
  sink = sink + 1;
}
NOINLINE void down4(size_t n, char* page) {
  down5(n, page);
  sink = sink + 1;
}
NOINLINE void down3(size_t n, char* page) {
  down4(n, page);
  sink = sink + 1;
}
NOINLINE void down2(size_t n, char* page) {
  down3(n, page);
  sink = sink + 1;
}
NOINLINE void down1(size_t n, char* page) {
  down2(n, page);
  sink = sink + 1;
}
NOINLINE void touch_one(size_t which, char* page) {
  if (which % kCallers == 0) {
    down1(which / kCallers, page);
    sink = sink + 1;
  } else {
    down1(which / kCallers, page);
    sink = sink + 3;
  }
}
}  // namespace

size_t class_of(size_t page) {
  const size_t caller = (static_cast<uint32_t>(page) * 2654435761u) >> 28 & 1;
  return page * 7 / 3 % kSites * kCallers + caller;
}

void touch_by_class(char* memory, size_t pages) {
  for (size_t i = 0; i < pages; ++i) touch_one(class_of(i), memory + i * kPage);
}

bool in_site(size_t n, uint64_t ip) {
  const auto start = reinterpret_cast<uint64_t>(kSite[n]);
  return ip >= start && ip < start + 32;
}

void touch_with_stack(uint64_t sp, uint64_t bp, char* page) {
  asm volatile(
      "mov %%rsp, %%r12\n\t"
      "mov %%rbp, %%r13\n\t"
      "mov %[sp], %%rsp\n\t"
      "mov %[bp], %%rbp\n\t"
      "movb $1, (%[page])\n\t"
      "mov %%r12, %%rsp\n\t"
      "mov %%r13, %%rbp\n\t"
      :
      : [sp] "r"(sp), [bp] "r"(bp), [page] "r"(page)
      : "r12", "r13", "memory");
}

namespace {
NOINLINE void touch_here(char* page, Report& report) {
  auto* frame = static_cast<uint64_t*>(__builtin_frame_address(0));
  uint32_t n = 0;
  while (frame && n < 256 && frame[1] >= kPage) {
    report.frame[n++] = frame[1];
    auto* next = reinterpret_cast<uint64_t*>(frame[0]);
    if (next <= frame) break;
    frame = next;
  }
  report.frames = n;
  *static_cast<volatile char*>(page) = 1;
}
}  // namespace

NOINLINE void touch_deep(unsigned depth, char* page, Report& report) {
  if (depth == 0)
    touch_here(page, report);
  else
    touch_deep(depth - 1, page, report);
  sink = sink + 1;
}

NOINLINE long raw_read(int fd, void* buffer, size_t bytes) {
  long result = SYS_read;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(static_cast<long>(fd)), "S"(buffer), "d"(bytes)
               : "rcx", "r11", "memory");
  return result;
}

void exec_target(int tell, int wait, size_t more_arguments) {
  std::array<char, 16> out{}, in{};
  std::to_chars(out.data(), out.data() + out.size() - 1, tell);
  std::to_chars(in.data(), in.data() + in.size() - 1, wait);
  const char* argv[] = {"kernel_tests", "--target", out.data(), in.data(), nullptr};
  if (more_arguments == 0) {
    ::execv("/proc/self/exe", const_cast<char**>(argv));
    ::_exit(127);
  }
  std::vector<const char*> longer(std::begin(argv), std::prev(std::end(argv)));
  longer.insert(longer.end(), more_arguments, "");
  longer.push_back(nullptr);
  ::execv("/proc/self/exe", const_cast<char**>(longer.data()));
  ::_exit(127);
}

int run_exec_target(int argc, char** argv) {
  if (argc < 4) return 2;
  char* memory = fresh_pages(64);
  for (size_t i = 0; i < 64; ++i) *static_cast<volatile char*>(memory + i * kPage) = 1;
  const auto address = reinterpret_cast<uint64_t>(memory);
  if (::write(std::atoi(argv[2]), &address, sizeof address) != sizeof address) return 3;
  char byte = 0;
  (void)!::read(std::atoi(argv[3]), &byte, 1);
  return 7;
}

}  // namespace memwhy::kernel_test
