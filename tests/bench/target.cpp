// SPDX-License-Identifier: Apache-2.0
// The process whose page faults are timed: touches each page of a region once, gives the pages back, and says
// how many ns of its own CPU time a touch took. It lives for the whole run, so that every variant meets the
// same warm process.
//
//   stdin  "seq read 6"          scenario, access, passes
//   stdout "601.2 588.0 … \n"    ns per fault, one number for each pass
#include <alloca.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <numeric>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kPages = 4096;  // 16 MiB: one pass takes 2–10 ms
constexpr size_t kRandomPages =
    8192;                  // 32 MiB, so that page tables and the per-page words leave the first caches
constexpr int kDepth = 8;  // frames above the touching one
constexpr size_t kSites = 64;

volatile char read_into;
bool writes = false;
char* region = nullptr;
std::vector<uint32_t> shuffled;

[[gnu::always_inline]] inline void touch(size_t page) {
  auto* at = reinterpret_cast<volatile char*>(region + page * kPageBytes);
  if (writes) {
    *at = 1;
  } else {
    read_into = *at;
  }
}

// Sixty-four functions: as many faulting instructions, as many return addresses.
template <size_t N>
[[gnu::noinline]] void site(size_t page) {
  touch(page);
  asm volatile("" ::"i"(N));  // keeps the linker from folding equal bodies
}

using Site = void (*)(size_t);
template <size_t... N>
constexpr std::array<Site, sizeof...(N)> make_sites(std::index_sequence<N...>) {
  return {site<N>...};
}
const auto sites = make_sites(std::make_index_sequence<kSites>{});

[[gnu::noinline]] void touch_all(std::string_view scenario) {
  if (scenario == "seq") {
    for (size_t page = 0; page < kPages; ++page) touch(page);
  } else if (scenario == "random") {
    for (const uint32_t page : shuffled) touch(page);
  } else {  // sites: each site owns a run of pages, and the sites take turns
    constexpr size_t kRun = kPages / kSites;
    for (size_t i = 0; i < kRun; ++i) {
      for (size_t s = 0; s < kSites; ++s) sites[s](s * kRun + i);
    }
  }
}

[[gnu::noinline]] void descend(int depth, std::string_view scenario) {
  volatile char pad[48];
  pad[0] = static_cast<char>(depth);
  if (depth == 0) {
    touch_all(scenario);
  } else {
    descend(depth - 1, scenario);
  }
  pad[1] = pad[0];  // work after the call: no tail call, so the frame stays
}

// Where the frames lie within a page decides whether a tracer meets one page of stack or two: another place for each pass.
[[gnu::noinline]] void descend_from(size_t bytes_below, std::string_view scenario) {
  auto* pad = static_cast<volatile char*>(alloca(bytes_below + 16));
  pad[0] = 1;
  descend(kDepth, scenario);
  pad[1] = pad[0];
}

double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace

int main() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  constexpr size_t kBytes = kRandomPages * kPageBytes, kHuge = size_t{2} << 20;
  void* mapped = mmap(nullptr, kBytes + kHuge, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return 1;
  region = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(mapped) + kHuge - 1) & ~(kHuge - 1));
  madvise(region, kBytes, MADV_NOHUGEPAGE);
  shuffled.resize(kRandomPages);
  std::iota(shuffled.begin(), shuffled.end(), 0U);
  std::shuffle(shuffled.begin(), shuffled.end(),
               std::mt19937(7));  // NOLINT(*-msc51-cpp): the same order in each run

  std::mt19937 places(11);  // NOLINT(*-msc51-cpp)
  char scenario[16], access[16];
  int passes = 0;
  while (std::scanf("%15s %15s %d", scenario, access, &passes) == 3) {
    writes = std::strcmp(access, "write") == 0;
    const size_t faults = std::strcmp(scenario, "random") == 0 ? kRandomPages : kPages;
    for (int pass = 0; pass < passes; ++pass) {
      const size_t below = places() % kPageBytes / 16 * 16;
      const double start = cpu_ns();
      descend_from(below, scenario);
      std::printf("%.1f ", (cpu_ns() - start) / static_cast<double>(faults));
      madvise(region, kBytes, MADV_DONTNEED);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  return 0;
}
