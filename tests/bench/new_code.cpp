// SPDX-License-Identifier: Apache-2.0
// A process that meets 10,000 new addresses of code a second, for ten seconds, as a farm of compilers may: each function touches a
// page, once, and has an unwind table. What learning costs there is measured (workloads.cpp).
#include <sys/mman.h>

#include <cstdint>
#include <ctime>

asm(".text\n"
    ".p2align 4\n"
    "strangers:\n"
    ".rept 100000\n"
    ".cfi_startproc\n"
    "push %rbx\n"
    ".cfi_adjust_cfa_offset 8\n"
    "movb $1, (%rdi)\n"
    "pop %rbx\n"
    ".cfi_adjust_cfa_offset -8\n"
    "ret\n"
    ".cfi_endproc\n"
    ".p2align 4\n"
    ".endr\n");
extern "C" {
[[gnu::visibility("hidden")]] extern char strangers[];
}

int main() {
  constexpr int kFunctions = 100'000, kTogether = 10;
  constexpr long kEvery = 1'000'000;  // ns: so many together
  constexpr size_t kPages = 4096, kPageBytes = 4096, kFunctionBytes = 16;
  auto* pages = static_cast<char*>(
      mmap(nullptr, kPages * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (pages == MAP_FAILED) return 1;
  madvise(pages, kPages * kPageBytes, MADV_NOHUGEPAGE);
  timespec next{};
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (int i = 0; i < kFunctions; ++i) {
    const size_t page = static_cast<size_t>(i) % kPages;
    if (page == 0) madvise(pages, kPages * kPageBytes, MADV_DONTNEED);
    reinterpret_cast<void (*)(char*)>(strangers + static_cast<size_t>(i) * kFunctionBytes)(pages +
                                                                                           page * kPageBytes);
    if (i % kTogether != kTogether - 1) continue;
    next.tv_nsec += kEvery;
    if (next.tv_nsec >= 1'000'000'000) {
      next.tv_nsec -= 1'000'000'000;
      ++next.tv_sec;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
  }
  return 0;
}
