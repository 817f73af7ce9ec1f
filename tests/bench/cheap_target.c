// SPDX-License-Identifier: Apache-2.0
// A process with a C heap and a thread that feels what is done to it: cheap_target MIB PATTERN. Prints "ready". Each line of stdin is a
// number of seconds: so long it makes a mapping and a block of malloc in turn, a pair each 0.5 ms, and prints for each how long the
// calls took, in ns: "mmap COUNT P50 P99 P999 MAX" and "malloc …".
//
//   large    blocks of 1 MiB, every second one freed: few chunks
//   small    blocks of 200 bytes, every second one freed: many, and as many free
//   moving   as small, and two more threads that allocate and free without a pause
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MIB (1UL << 20)
#define MOST 400000

static uint64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void fill(size_t bytes, size_t size) {
  const size_t count = bytes / size;
  char** blocks =
      mmap(NULL, count * sizeof *blocks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (blocks == MAP_FAILED) abort();
  for (size_t i = 0; i < count; i++) {
    blocks[i] = malloc(size);
    if (blocks[i] == NULL) abort();
    memset(blocks[i], 0x5a, size);
  }
  for (size_t i = 0; i < count; i += 2) free(blocks[i]);
  munmap(blocks, count * sizeof *blocks);
}

static void* churn(void* seed) {
  static __thread void* held[4096];
  uint32_t x = (uint32_t)(uintptr_t)seed * 2654435761u + 1;
  for (;;) {
    x = x * 1664525u + 1013904223u;
    void** slot = &held[x >> 20];
    free(*slot);
    *slot = malloc(16 + (x >> 8) % 1000);
  }
  return NULL;
}

struct latencies {
  uint64_t* ns;
  size_t count;
};

static int less(const void* a, const void* b) {
  const uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  return x < y ? -1 : x > y;
}

static void print(const char* name, struct latencies all) {
  qsort(all.ns, all.count, sizeof *all.ns, less);
  const uint64_t *ns = all.ns, n = all.count;
  printf("%s %lu %lu %lu %lu %lu\n", name, n, ns[n / 2], ns[n * 99 / 100], ns[n * 999 / 1000], ns[n - 1]);
}

static void feel(double seconds, struct latencies* maps, struct latencies* blocks) {
  const uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
  const struct timespec pause = {0, 500000};
  for (maps->count = blocks->count = 0; now_ns() < end && maps->count < MOST;) {
    uint64_t begun = now_ns();
    char* mapped = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) abort();
    mapped[0] = 1;
    munmap(mapped, 16384);
    maps->ns[maps->count++] = now_ns() - begun;
    begun = now_ns();
    void* volatile block = malloc(300);
    free(block);
    block = malloc(5000);
    free(block);
    blocks->ns[blocks->count++] = now_ns() - begun;
    nanosleep(&pause, NULL);
  }
}

int main(int count, char** words) {
  static char in[4096], out[4096];
  setvbuf(stdin, in, _IOFBF, sizeof in);
  setvbuf(stdout, out, _IOLBF, sizeof out);
  if (count != 3) return 2;
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  fill(strtoul(words[1], NULL, 10) * MIB, strcmp(words[2], "large") == 0 ? MIB : 200);
  for (uintptr_t i = 0; strcmp(words[2], "moving") == 0 && i < 2; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, churn, (void*)(i + 1)) != 0) abort();
  }
  struct latencies maps = {calloc(MOST, 8), 0}, blocks = {calloc(MOST, 8), 0};
  printf("ready\n");
  for (char line[64]; fgets(line, sizeof line, stdin) != NULL;) {
    feel(strtod(line, NULL), &maps, &blocks);
    print("mmap", maps);
    print("malloc", blocks);
  }
  return 0;
}
