// SPDX-License-Identifier: Apache-2.0
// The process whose page faults are timed: touches each page of a region once, gives the pages back, and says
// how many ns of its own CPU time a touch took. It lives for the whole run, so that every variant meets the
// same warm process.
//
// It works on a thread whose frames are in one page of its stack, whatever the kernel's choice of addresses: a chain that
// crosses a page costs a tracer more, and would differ from run to run.
//
//   stdin  "seq read 6"          scenario, access, passes
//   stdout "601.2 588.0 … \n"    ns per fault, one number for each pass
#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
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
    8192;  // 32 MiB, so that page tables and the per-page words leave the first caches
constexpr size_t kRegionBytes = kRandomPages * kPageBytes;
constexpr int kDepth = 8;  // frames above the touching one
constexpr size_t kSites = 64;

volatile char read_into;
bool writes = false;
uintptr_t lowest = 0;  // frame of the last "place"
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

// Reads a page after the other, in a file whose unwind tables nobody can read, as it claims to be another machine's.
using Foreign = void (*)(char* first, size_t pages);
Foreign foreign = nullptr;

bool map_foreign() {
  constexpr uint8_t kCode[] = {0x8a, 0x07,                            // mov (%rdi),%al
                               0x48, 0x81, 0xc7, 0,    0x10, 0,   0,  // add $0x1000,%rdi
                               0x48, 0xff, 0xce, 0x75, 0xf2, 0xc3};   // dec %rsi; jnz; ret
  constexpr uint16_t kMachine = EM_RISCV;
  std::array<uint8_t, 2 * kPageBytes> file{};
  const int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  const int fd = memfd_create("foreign", MFD_CLOEXEC);
  if (read(own, file.data(), sizeof(Elf64_Ehdr)) != sizeof(Elf64_Ehdr)) return false;
  std::memcpy(file.data() + offsetof(Elf64_Ehdr, e_machine), &kMachine, sizeof kMachine);
  std::memcpy(file.data() + kPageBytes, kCode, sizeof kCode);
  if (write(fd, file.data(), file.size()) != static_cast<ssize_t>(file.size())) return false;
  void* code = mmap(nullptr, kPageBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, kPageBytes);
  close(own);
  close(fd);
  foreign = reinterpret_cast<Foreign>(code);
  return code != MAP_FAILED;
}

// A page from a leaf of a tree: as many paths as leaves, and each path but once in 2^20 pages.
constexpr int kTreeDepth = 20;
constexpr uintptr_t kTreeBytes = 512;  // of stack, about
uint32_t next_leaf = 0;

[[gnu::noinline]] void to_leaf(uint32_t leaf, int depth, size_t page) {
  if (depth == 0) {
    touch(page);
  } else if ((leaf >> (depth - 1) & 1) != 0) {
    to_leaf(leaf, depth - 1, page);
    asm volatile("" ::"i"(1));
  } else {
    to_leaf(leaf, depth - 1, page);
    asm volatile("" ::"i"(0));  // another call: not one body for both
  }
}

[[gnu::noinline]] void touch_all(std::string_view scenario) {
  if (scenario == "place") {
    lowest = reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) - kTreeBytes;
  } else if (scenario == "tree") {
    for (size_t page = 0; page < kPages; ++page) to_leaf(next_leaf++, kTreeDepth, page);
  } else if (scenario == "seq") {
    for (size_t page = 0; page < kPages; ++page) touch(page);
  } else if (scenario == "random") {
    for (const uint32_t page : shuffled) touch(page);
  } else if (scenario == "foreign") {
    foreign(region, kPages);
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

double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// From the bottom of the calls up to the thread's first frame.
bool in_one_page(uintptr_t highest) { return lowest / kPageBytes == (highest + 15) / kPageBytes; }

void* try_place(void* fits) {
  descend(kDepth, "place");
  *static_cast<bool*>(fits) = in_one_page(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
  return nullptr;
}

void* obey(void* /*unused*/) {
  char scenario[16], access[16];
  int passes = 0;
  while (std::scanf("%15s %15s %d", scenario, access, &passes) == 3) {
    writes = std::strcmp(access, "write") == 0;
    const size_t faults = std::strcmp(scenario, "random") == 0 ? kRandomPages : kPages;
    for (int pass = 0; pass < passes; ++pass) {
      const double start = cpu_ns();
      descend(kDepth, scenario);
      std::printf("%.1f ", (cpu_ns() - start) / static_cast<double>(faults));
      madvise(region, kRegionBytes, MADV_DONTNEED);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  return nullptr;
}

void run_on(char* stack, size_t bytes, void* (*body)(void*), void* argument) {
  pthread_attr_t attributes;
  pthread_t thread = 0;
  pthread_attr_init(&attributes);
  if (pthread_attr_setstack(&attributes, stack, bytes) != 0 ||
      pthread_create(&thread, &attributes, body, argument) != 0)
    std::exit(1);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

}  // namespace

int main() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  constexpr size_t kHuge = size_t{2} << 20, kStackBytes = 256 << 10;
  void* mapped = mmap(nullptr, kRegionBytes + kHuge, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED || stack == MAP_FAILED || !map_foreign()) return 1;
  region = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(mapped) + kHuge - 1) & ~(kHuge - 1));
  madvise(region, kRegionBytes, MADV_NOHUGEPAGE);
  madvise(stack, kStackBytes, MADV_NOHUGEPAGE);
  shuffled.resize(kRandomPages);
  std::iota(shuffled.begin(), shuffled.end(), 0U);
  std::shuffle(shuffled.begin(), shuffled.end(),
               std::mt19937(7));  // NOLINT(*-msc51-cpp): the same order in each run
  bool fits = false;
  size_t bytes = kStackBytes;
  while (!fits && bytes > kStackBytes - kPageBytes) {
    bytes -= 256;
    run_on(static_cast<char*>(stack), bytes, try_place, &fits);
  }
  if (!fits) return 1;
  run_on(static_cast<char*>(stack), bytes, obey, nullptr);
  return 0;
}
