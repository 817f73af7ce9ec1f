// SPDX-License-Identifier: Apache-2.0
// causes STORY: a C program whose memory has one known cause. It prints "ready" before anything of it happened (attach here for
// "before"); a line on its stdin makes it happen, and it prints "done" (attach here for "after"), or "skip WHY" where the
// machine can't do it.
//
//   unjoined  1,000 threads end, each with 24 KiB of stack touched; nobody joins them       joined: the same, joined
//   stacks    40 threads wait, their stacks of 8 MiB backed by huge pages                   small_stacks: with no huge page
//   locked    128 MiB are mapped and locked                                                 hugetlb: 32 MiB of MAP_HUGETLB
//   table     96 MiB of .bss are filled                                                     small_table: 1 MiB of it
//   file      64 MiB of a file are mapped and read                                          small_file: 1 MiB of it
//   shared    96 MiB of a memfd are mapped and written, and 3 children map them             small_shared: 1 MiB of it
//   prefork   a child is forked, and 96 MiB of 128 MiB that both have are written           no_fork: without the child
//   deep      40 threads wait, each with 2 MiB of its stack in use                          shallow: with 24 KiB
//   spike     400 MiB are mapped, filled and given back                                     no_spike: one 16th of it each time
#define _GNU_SOURCE
#include <alloca.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
enum { kThreads = 1000, kStacks = 40 };
static const size_t kStackBytes = 8 * MIB;

static char table[96 * MIB];

static void must(int error, const char* what) {
  if (error == 0) return;
  fprintf(stderr, "%s: %s\n", what, strerror(error));
  exit(1);
}

static void* deep(void* unused) {
  volatile char frame[20 << 10];
  for (size_t i = 0; i < sizeof frame; i += 1024) frame[i] = 1;
  return unused;
}

// Returns when all of them have ended.
static void until_alone(void) {
  for (int tasks = 0; tasks != 1; sched_yield()) {
    DIR* all = opendir("/proc/self/task");
    if (all == NULL) must(errno, "/proc/self/task");
    tasks = 0;
    for (const struct dirent* each = readdir(all); each != NULL; each = readdir(all))
      tasks += each->d_name[0] != '.';
    closedir(all);
  }
}

static void many_threads(int join) {
  pthread_attr_t attributes;
  must(pthread_attr_init(&attributes), "attributes");
  must(pthread_attr_setstacksize(&attributes, MIB), "stack size");
  for (int i = 0; i < kThreads; ++i) {
    pthread_t thread;
    must(pthread_create(&thread, &attributes, deep, NULL), "thread");
    if (join) must(pthread_join(thread, NULL), "join");
  }
  until_alone();
}

static pthread_barrier_t begun;

static void* waits(void* unused) {
  pthread_barrier_wait(&begun);
  for (;;) pause();
  return unused;
}

static void skip(const char* why) {
  printf("skip %s\n", why);
  exit(77);
}

static long huge_kib(void) {
  FILE* file = fopen("/proc/self/smaps_rollup", "r");
  if (file == NULL) must(errno, "smaps_rollup");
  char line[256];
  long kib = 0;
  while (fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "AnonHugePages: %ld", &kib) == 1) break;
  fclose(file);
  return kib;
}

static void many_stacks(int huge) {
  must(pthread_barrier_init(&begun, NULL, kStacks + 1), "barrier");
  for (int i = 0; i < kStacks; ++i) {
    // As glibc does it, but known to be aligned: a guard, and the stack of whole huge pages.
    char* all =
        mmap(NULL, kStackBytes + 4 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) must(12, "mmap");
    char* stack = (char*)(((size_t)all + 4 * MIB - 1) & ~(2 * MIB - 1));
    must(mprotect(stack, kStackBytes, PROT_READ | PROT_WRITE) ? 1 : 0, "mprotect");
    madvise(stack, kStackBytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    if (huge)
      for (size_t at = 0; at < kStackBytes; at += 2 * MIB) stack[at] = 1;
    pthread_attr_t attributes;
    must(pthread_attr_init(&attributes), "attributes");
    must(pthread_attr_setstack(&attributes, stack, kStackBytes), "stack");
    pthread_t thread;
    must(pthread_create(&thread, &attributes, waits, NULL), "thread");
  }
  pthread_barrier_wait(&begun);
  if (huge && huge_kib() < (long)kStacks * 8 * 1024 * 9 / 10) skip("the kernel gave no huge pages");
}

// What every story of MiB does: `mib` of them, read or written.
static void touch(char* memory, size_t mib, int writes) {
  if (memory == MAP_FAILED) must(errno, "mmap");
  volatile char* at = memory;
  for (size_t i = 0; i < mib * MIB; i += 4096) {
    if (writes) at[i] = 1;
    (void)at[i];
  }
}

static void file(size_t mib) {
  char name[] = "causes.XXXXXX";
  const int fd = mkstemp(name);
  if (fd < 0 || unlink(name) != 0) must(errno, name);
  static char block[MIB];
  memset(block, 1, sizeof block);
  for (size_t i = 0; i < 64; ++i)
    if (write(fd, block, sizeof block) != (ssize_t)sizeof block) must(errno, "write");
  char* memory = mmap(NULL, 64 * MIB, PROT_READ, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) madvise(memory, 64 * MIB, MADV_RANDOM);  // no more than is read
  touch(memory, mib, 0);
}

// A process with the same memory, which reads so much of it and ends with this one. Returns when it has read it.
static void child(char* memory, size_t mib) {
  int read_it[2];
  char byte = 0;
  if (pipe(read_it) != 0) must(errno, "pipe");
  const pid_t pid = fork();
  if (pid < 0) must(errno, "fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    touch(memory, mib, 0);
    if (write(read_it[1], &byte, 1) != 1) _exit(1);
    for (;;) pause();
  }
  if (read(read_it[0], &byte, 1) != 1) must(errno, "read");
}

static void shared(size_t mib) {
  const int fd = memfd_create("causes", 0);
  if (fd < 0 || ftruncate(fd, 96 * MIB) != 0) must(errno, "memfd");
  char* memory = mmap(NULL, 96 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  touch(memory, mib, 1);
  for (int i = 0; i < 3; ++i) child(memory, mib);
}

static void prefork(int forks) {
  char* memory = mmap(NULL, 128 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  touch(memory, 128, 1);
  if (forks) child(memory, 0);
  touch(memory, 96, 1);
}

static void spike(size_t mib, size_t times) {
  for (size_t i = 0; i < times; ++i) {
    char* memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    touch(memory, mib, 1);
    munmap(memory, mib * MIB);
  }
}

static size_t stack_used;

static void* uses(void* unused) {
  volatile char* frame = alloca(stack_used);
  for (size_t i = 0; i < stack_used; i += 1024) frame[i] = 1;
  return waits(unused);
}

static void deep_stacks(size_t bytes) {
  stack_used = bytes;
  must(pthread_barrier_init(&begun, NULL, kStacks + 1), "barrier");
  for (int i = 0; i < kStacks; ++i) {
    pthread_t thread;
    must(pthread_create(&thread, NULL, uses, NULL), "thread");
  }
  pthread_barrier_wait(&begun);
}

static void lock(void) {
  char* memory = mmap(NULL, 128 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mlock(memory, 128 * MIB) != 0) skip("mlock is refused");
}

static void huge(void) {
  char* memory =
      mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  if (memory == MAP_FAILED) skip("there are no huge pages");
  memset(memory, 1, 32 * MIB);
}

int main(int argc, char** argv) {
  const char* story = argc > 1 ? argv[1] : "";
  char line[64];
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(story, "unjoined") == 0) many_threads(0);
    if (strcmp(story, "joined") == 0) many_threads(1);
    if (strcmp(story, "stacks") == 0) many_stacks(1);
    if (strcmp(story, "small_stacks") == 0) many_stacks(0);
    if (strcmp(story, "locked") == 0) lock();
    if (strcmp(story, "hugetlb") == 0) huge();
    if (strcmp(story, "table") == 0) memset(table, 1, sizeof table);
    if (strcmp(story, "small_table") == 0) memset(table, 1, MIB);
    if (strcmp(story, "file") == 0) file(64);
    if (strcmp(story, "small_file") == 0) file(1);
    if (strcmp(story, "shared") == 0) shared(96);
    if (strcmp(story, "small_shared") == 0) shared(1);
    if (strcmp(story, "prefork") == 0) prefork(1);
    if (strcmp(story, "no_fork") == 0) prefork(0);
    if (strcmp(story, "deep") == 0) deep_stacks(2 * MIB);
    if (strcmp(story, "shallow") == 0) deep_stacks(24 << 10);
    if (strcmp(story, "spike") == 0) spike(400, 1);
    if (strcmp(story, "no_spike") == 0) spike(25, 16);
    puts("done");
    fflush(stdout);
  }
  return 0;
}
