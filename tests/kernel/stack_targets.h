// SPDX-License-Identifier: Apache-2.0
// Ways to touch a page through code without frame pointers. Each notes its own chain of return addresses as libgcc's unwinder
// sees it, the outermost frame included: what a stack by rules must be.
#pragma once

#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>

namespace memwhy::kernel_test {

struct Chain {
  void* above = nullptr;  // written by through()
  uint32_t n = 0;         // of the return addresses above the function that touches
  uint64_t touched = 0;   // begin of that function
  uint64_t frame[128] = {};
};

// Must be called once before: libgcc is loaded by the first one.
void unwind_once();

void touch(char* page, Chain& chain);
void touch_below(unsigned depth, char* page, Chain& chain);
void touch_realigned(char* page, Chain& chain);
void touch_with_alloca(size_t bytes, char* page, Chain& chain);
void touch_in_signal(char* page, Chain& chain, bool own_stack);
void touch_in_coroutine(char* page, Chain& chain);

// Pages one after the other, in loops: from one place, `sites` call sites, both `depth` calls deep.
void touch_pages(char* pages, size_t count, unsigned depth, unsigned sites);

// Pages one after the other, counted on the stack; each of the two calls it for itself.
void count_pages_here(char* pages, size_t count);
void count_pages_there(char* pages, size_t count);

// A child that waits for its end, and keeps the pages of the fork: it touches none, so the next write of its parent to one of them
// moves that one. Inline: a call would overwrite what is left of the stack.
__attribute__((always_inline)) inline int fork_that_waits() {
  int64_t pid = SYS_fork;
  asm volatile(
      "syscall\n"
      "test %%rax, %%rax\n"
      "jnz 2f\n"
      "1: mov %[pause], %%eax\n"
      "syscall\n"
      "jmp 1b\n"
      "2:"
      : "+a"(pid)
      : [pause] "i"(SYS_pause)
      : "rcx", "r11", "memory");
  return static_cast<int>(pid);
}

// Code of a file (through.c) at `at`, over what was there: which function that is. 0: it cannot be mapped.
using Through = void (*)(void (*)(char*, void*), char*, void*);
Through map_over(void* at, const char* file);
// Touches the page through it.
void touch_through(Through through, char* page, Chain& chain);

}  // namespace memwhy::kernel_test
