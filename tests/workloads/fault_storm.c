// SPDX-License-Identifier: Apache-2.0
// A storm of page faults: children that touch fresh pages at a rate that is given line by line.
//
//   fault_storm COUNT      COUNT children, each with 4 MiB that stay; "ready"
//   < 300000         from now on so many faults a second, of all of them together; 0: none
//   > 1234567        pages that were touched up to now
//
// A child that is late makes up for it: what it can't reach is the machine's limit. Ends with its input.
#define _GNU_SOURCE
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { kPage = 4096, kHeld = 4 << 20, kBatch = 64 };

typedef struct {
  atomic_ulong rate;
  struct {
    atomic_ulong touched;
    char own_line[56];
  } of[];
} Shared;

static void* map(size_t bytes, int flags) {
  void* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) exit(1);
  return at;
}

static void sleep_until(unsigned long ns) {
  const struct timespec at = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static unsigned long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (unsigned long)now.tv_sec * 1000000000 + (unsigned long)now.tv_nsec;
}

__attribute__((noinline)) static void touch(char* memory, size_t bytes) {
  for (size_t at = 0; at < bytes; at += kPage) memory[at] = 1;
  __asm__ volatile("" ::: "memory");  // so that this is no tail call
}

static void work(Shared* shared, int self, int count) {
  touch(map(kHeld, MAP_PRIVATE), kHeld);
  char* const memory = map(kBatch * kPage, MAP_PRIVATE);
  unsigned long next = now_ns();
  for (;;) {
    const unsigned long rate = atomic_load(&shared->rate);
    if (rate == 0) {
      next = now_ns() + 10000000;
    } else {
      touch(memory, kBatch * kPage);
      madvise(memory, kBatch * kPage, MADV_DONTNEED);
      atomic_fetch_add(&shared->of[self].touched, kBatch);
      next += 1000000000ul * kBatch * (unsigned long)count / rate;
      if (next + 100000000 < now_ns()) next = now_ns();
    }
    sleep_until(next);
  }
}

int main(int arguments, char** argument) {
  const int count = arguments == 2 ? atoi(argument[1]) : 0;
  if (count <= 0) return 2;
  Shared* const shared = map(sizeof *shared + (size_t)count * sizeof shared->of[0], MAP_SHARED);
  for (int i = 0; i < count; ++i) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work(shared, i, count);
  }
  puts("ready");
  fflush(stdout);
  for (char line[64]; fgets(line, sizeof line, stdin) != NULL;) {
    atomic_store(&shared->rate, strtoul(line, NULL, 10));
    unsigned long sum = 0;
    for (int i = 0; i < count; ++i) sum += atomic_load(&shared->of[i].touched);
    printf("%lu\n", sum);
    fflush(stdout);
  }
  return 0;
}
