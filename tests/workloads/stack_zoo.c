// SPDX-License-Identifier: Apache-2.0
// Whatever makes stacks hard, in C without frame pointers, and each of them keeps what it touched: leaf functions of libc,
// recursion, alloca, a realigned stack, a callback of libc, signals on the same and on another stack, a coroutine, a thread, and
// a call that does not return.
//
//   stack_zoo      does it all again and again for a second, and keeps the memory of the last time
//                  stdout: "ready" when all is kept      stdin closed: it ends
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

enum { kPage = 4096, kPart = 128 * kPage, kLarge = 8 << 20, kStack = 256 << 10 };
static volatile size_t large = kLarge,
                       part = kPart;  // the compiler calls libc's memset for a size that it cannot know
static volatile int sink;

enum { kMost = 256, kBlocks = 256 };
static char* all[kMost];
static size_t all_bytes[kMost];
static int held;
static void* blocks[kBlocks];

static char* fresh(size_t bytes) {
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  if (held == kMost) abort();
  all[held] = memory;
  all_bytes[held++] = bytes;
  return memory;
}

static void release(void) {
  while (held > 0) --held, munmap(all[held], all_bytes[held]);
  for (int i = 0; i < kBlocks; ++i) free(blocks[i]);
}

NOINLINE void storeA(char* to) {
  memset(to, 1, large);
  sink++;
}
NOINLINE void storeB(char* to) {
  memset(to, 2, large);
  sink++;
}
NOINLINE void touchPages(char* to) {
  for (size_t i = 0; i < kPart; i += kPage) to[i] = 1;
  sink++;
}
NOINLINE int recursive(int depth, char* to) {
  if (depth == 0)
    touchPages(to);
  else
    sink += recursive(depth - 1, to);
  return depth;
}
NOINLINE void withAlloca(int bytes, char* to) {
  char* room = alloca((size_t)bytes);
  memset(room, bytes, (size_t)bytes);
  recursive(2, to);
  sink += room[bytes / 2];
}
NOINLINE void realigned(char* to) {
  double values[16] __attribute__((aligned(64)));
  for (int i = 0; i < 16; ++i) values[i] = sink;
  __asm__ volatile("" ::"r"(values) : "memory");
  recursive(3, to);
  sink += (int)values[sink & 15];
}

static char* compared;
static size_t compared_at;
NOINLINE int compare(const void* a, const void* b) {
  if (compared_at < kPart) compared[compared_at] = 1, compared_at += kPage;
  return *(const int*)a - *(const int*)b;
}
NOINLINE void sortInts(void) {
  int numbers[200];
  for (int i = 0; i < 200; ++i) numbers[i] = i * 7919 % 199;
  qsort(numbers, 200, sizeof numbers[0], compare);
  sink += numbers[3];
}

NOINLINE void onSignal(int number) {
  recursive(2, fresh(kPart));
  sink += number;
}
NOINLINE void raiseBoth(void) {
  raise(SIGUSR1);
  raise(SIGUSR2);
  sink++;
}

static ucontext_t back, coroutine;
NOINLINE void inCoroutine(void) {
  recursive(2, fresh(kPart));
  swapcontext(&coroutine, &back);
}
NOINLINE void runCoroutine(void) {
  getcontext(&coroutine);
  coroutine.uc_stack.ss_sp = fresh(kStack);
  coroutine.uc_stack.ss_size = kStack;
  makecontext(&coroutine, inCoroutine, 0);
  swapcontext(&back, &coroutine);
}

static jmp_buf jump;
__attribute__((noinline, noreturn)) static void never(char* to) {
  touchPages(to);
  longjmp(jump, 1);
}
NOINLINE void endsInNever(char* to) {
  sink++;
  never(to);
}

static void* inThread(void* none) {
  recursive(5, fresh(kPart));
  memset(fresh(kPart), 3, part);
  return none;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

NOINLINE void everything(void) {
  storeA(fresh(kLarge));
  storeB(fresh(kLarge));
  for (int round = 0; round < 4; ++round) {
    recursive(round * 5, fresh(kPart));
    withAlloca(1000 + round, fresh(kPart));
    realigned(fresh(kPart));
    compared = fresh(kPart);
    compared_at = 0;
    sortInts();
    raiseBoth();
    runCoroutine();
    if (setjmp(jump) == 0) endsInNever(fresh(kPart));
    pthread_t thread;
    pthread_create(&thread, NULL, inThread, NULL);
    pthread_join(thread, NULL);
    for (int i = round * 64; i < round * 64 + 64; ++i) blocks[i] = memset(malloc(200000), 1, 200000);
  }
}

int main(void) {
  static char own_stack[kStack];
  stack_t own = {.ss_sp = own_stack, .ss_size = kStack};
  sigaltstack(&own, NULL);
  struct sigaction action = {.sa_handler = onSignal, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR1, &action, NULL);
  action.sa_flags = 0;
  sigaction(SIGUSR2, &action, NULL);
  const double begun = seconds();
  do {
    release();
    everything();
  } while (seconds() < begun + 1);
  puts("ready");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
