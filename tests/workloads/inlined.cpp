// SPDX-License-Identifier: Apache-2.0
// Memory that inlined functions of C++ touched, and a recursion: the code that touches 32 MiB belongs to keep(), and the source
// says that it is Slot::fill in Cache<long>::insert in keep. The lines that a stack has end with their number.
//
//   inlined      stdout: "ready" when all is kept      stdin closed: it ends
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

namespace {
constexpr long kPage = 4096, kLarge = 32 << 20, kPart = 64 * kPage;

char* fresh(long bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  return static_cast<char*>(memory);
}
}  // namespace

namespace store {
struct Slot {
  volatile char* bytes;
  __attribute__((always_inline)) void fill(long at) {
    bytes[at] = 1;  // 0
  }
};
template <typename Key>
struct Cache {
  Slot slot;
  __attribute__((always_inline)) void insert(Key key) {
    for (Key at = 0; at < key; at += kPage) slot.fill(at);  // 1
  }
};
}  // namespace store

__attribute__((noinline)) static int keep(char* memory) {
  store::Cache<long> cache{{memory}};
  cache.insert(kLarge);  // 2
  return memory[0];
}

// A tree: at each level it calls itself at two lines, and keeps 256 KiB.
__attribute__((noinline)) static int grow(int levels) {
  volatile char* memory = fresh(kPart);
  for (long at = 0; at < kPart; at += kPage) memory[at] = 1;
  if (levels == 1) return memory[0];
  const int left = grow(levels - 1);
  const int right = grow(levels - 1);
  return left + right + memory[0];
}

int main() {
  const int kept = keep(fresh(kLarge)) + grow(6);
  if (write(STDOUT_FILENO, "ready\n", 6) != 6) return 1;
  char end = 0;
  while (read(STDIN_FILENO, &end, 1) > 0) {
  }
  return kept == 64 ? 0 : 1;
}
