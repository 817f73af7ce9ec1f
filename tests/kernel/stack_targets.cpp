// SPDX-License-Identifier: Apache-2.0
// Compiled without frame pointers (CMakeLists.txt).
#include "stack_targets.h"

#include <alloca.h>
#include <elf.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#define NOINLINE __attribute__((noinline, noclone))

namespace memwhy::kernel_test {
namespace {

volatile int sink;

NOINLINE void note_chain(Chain& chain, int skipped) {
  void* all[130];
  const int n = ::backtrace(all, 130);
  chain.n = 0;
  for (int i = skipped; i < n && chain.n < 128; ++i)
    chain.frame[chain.n++] = reinterpret_cast<uint64_t>(all[i]);
}

}  // namespace

void unwind_once() {
  Chain chain;
  note_chain(chain, 0);
}

NOINLINE void touch(char* page, Chain& chain) {
  note_chain(chain, 2);
  chain.touched = reinterpret_cast<uint64_t>(&touch);
  *static_cast<volatile char*>(page) = 1;
  sink = sink + 1;
}

NOINLINE void touch_below(unsigned depth, char* page, Chain& chain) {
  if (depth == 0)
    touch(page, chain);
  else
    touch_below(depth - 1, page, chain);
  sink = sink + 1;
}

NOINLINE void touch_realigned(char* page, Chain& chain) {
  double values[16] __attribute__((aligned(64)));
  for (int i = 0; i < 16; ++i) values[i] = sink;
  asm volatile("" ::"r"(values) : "memory");
  touch_below(2, page, chain);
  asm volatile("" ::"r"(values) : "memory");
}

NOINLINE void touch_with_alloca(size_t bytes, char* page, Chain& chain) {
  char* room = static_cast<char*>(alloca(bytes));
  std::memset(room, 1, bytes);
  asm volatile("" ::"r"(room) : "memory");
  touch_below(2, page, chain);
  asm volatile("" ::"r"(room) : "memory");
}

namespace {

char* page_of_signal;
Chain* chain_of_signal;
void on_signal(int) {
  touch_below(2, page_of_signal, *chain_of_signal);
  sink = sink + 1;
}

char* page_of_coroutine;
Chain* chain_of_coroutine;
ucontext_t back, coroutine;
void in_coroutine() {
  touch_below(2, page_of_coroutine, *chain_of_coroutine);
  ::swapcontext(&coroutine, &back);
}

}  // namespace

NOINLINE void touch_in_signal(char* page, Chain& chain, bool own_stack) {
  constexpr size_t kBytes = 256 << 10;
  static char* own = nullptr;
  if (own == nullptr) {
    own = static_cast<char*>(
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::memset(own, 0, kBytes);
    stack_t stack{};
    stack.ss_sp = own;
    stack.ss_size = kBytes;
    ::sigaltstack(&stack, nullptr);
  }
  page_of_signal = page;
  chain_of_signal = &chain;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = own_stack ? SA_ONSTACK : 0;
  ::sigaction(SIGUSR1, &action, nullptr);
  ::raise(SIGUSR1);
  sink = sink + 1;
}

NOINLINE void touch_in_coroutine(char* page, Chain& chain) {
  constexpr size_t kBytes = 64 << 10;
  static char* own = nullptr;
  if (own == nullptr) {
    own = static_cast<char*>(
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::memset(own, 0, kBytes);
  }
  page_of_coroutine = page;
  chain_of_coroutine = &chain;
  ::getcontext(&coroutine);
  coroutine.uc_stack.ss_sp = own;
  coroutine.uc_stack.ss_size = kBytes;
  coroutine.uc_link = nullptr;
  ::makecontext(&coroutine, in_coroutine, 0);
  ::swapcontext(&back, &coroutine);
  sink = sink + 1;
}

namespace {

NOINLINE void store(char* page) {
  *static_cast<volatile char*>(page) = 1;
  sink = sink + 1;
}

template <unsigned N>
NOINLINE void site(char* page, unsigned depth) {
  if (depth == 0)
    store(page);
  else
    site<N>(page, depth - 1);
  sink = sink + static_cast<int>(N);
}

template <unsigned... N>
void call_site(unsigned which, char* page, unsigned depth, std::integer_sequence<unsigned, N...>) {
  ((which == N ? site<N>(page, depth) : void()), ...);
}

}  // namespace

NOINLINE void touch_pages(char* pages, size_t count, unsigned depth, unsigned sites) {
  for (size_t i = 0; i < count; ++i)
    call_site(static_cast<unsigned>(i / 64 % sites), pages + i * 4096, depth,
              std::make_integer_sequence<unsigned, 8>());
}

namespace {

NOINLINE void set(volatile char* page) { *page = 1; }

NOINLINE void count_pages(char* pages, size_t count) {
  char* volatile page = pages;
  volatile size_t left = count;
  while (left > 0) {
    set(page);
    page = page + 4096;
    left = left - 1;
  }
}

}  // namespace

NOINLINE void count_pages_here(char* pages, size_t count) {
  count_pages(pages, count);
  sink = sink + 1;
}

NOINLINE void count_pages_there(char* pages, size_t count) {
  count_pages(pages, count);
  sink = sink + 2;
}

Through map_over(void* at, const char* file) {
  const int fd = ::open(file, O_RDONLY | O_CLOEXEC);
  Elf64_Ehdr header{};
  if (fd < 0 || ::pread(fd, &header, sizeof header, 0) != sizeof header) return nullptr;
  Through found = nullptr;
  for (unsigned i = 0; i < header.e_phnum && found == nullptr; ++i) {
    Elf64_Phdr part{};
    if (::pread(fd, &part, sizeof part, static_cast<off_t>(header.e_phoff + i * sizeof part)) != sizeof part)
      break;
    if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0 || part.p_offset % 4096 != 0) continue;
    if (::mmap(at, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd,
               static_cast<off_t>(part.p_offset)) != at)
      break;
    found = reinterpret_cast<Through>(static_cast<char*>(at) + (header.e_entry - part.p_vaddr));
  }
  ::close(fd);
  return found;
}

namespace {

// Its own return address is in `through`, whose own is `above`; call_through has noted all that is above that.
NOINLINE void touch_for(char* page, void* what) {
  auto* chain = static_cast<Chain*>(what);
  chain->touched = reinterpret_cast<uint64_t>(&touch_for);
  std::memmove(chain->frame + 1, chain->frame, 127 * sizeof(uint64_t));
  chain->frame[0] = reinterpret_cast<uint64_t>(__builtin_return_address(0));
  chain->frame[1] = reinterpret_cast<uint64_t>(chain->above);
  ++chain->n;
  *static_cast<volatile char*>(page) = 1;
  sink = sink + 1;
}

NOINLINE void call_through(Through through, char* page, Chain& chain) {
  note_chain(chain, 1);
  through(&touch_for, page, &chain);
  sink = sink + 1;
}

}  // namespace

void touch_through(Through through, char* page, Chain& chain) {
  call_through(through, page, chain);
  sink = sink + 1;
}

}  // namespace memwhy::kernel_test
