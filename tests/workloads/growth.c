// SPDX-License-Identifier: Apache-2.0
// Memory with a known shape over time: growth SHAPE. Prints "ready"; at the next line of stdin it begins, and prints "grown" when
// 3 s of it are over. It goes on until it is ended.
//
//   level      64 MiB that stay
//   load       160 MiB within 3 s, and no more: a program that starts
//   replaced   40 buffers of 4 MiB, of which the oldest is replaced ten times a second
//   teeth      up by 4 MiB ten times a second, to 96 MiB, and down again at once
//   leak       2 MiB in objects of 1,000 bytes four times a second: 8 MiB/s
//   steps      24 MiB each 4 s, as a job does
//   shared     1 MiB more of a memfd, eight times a second; ring: the same, of which 32 MiB are used in turn
//   owners     a leak through several owners at once: 0.05 MiB four times a second each of objects of malloc, of mappings, and of
//              the program's own variables
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1UL << 20)
#define BUFFERS 40
#define PART (MIB / 20 / 4096 * 4096)

static char table[256 * MIB];  // the program's own variables
static size_t table_used;

static char* mapped(size_t bytes) {
  char* block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) abort();
  memset(block, 0x5a, bytes);
  return block;
}

static void allocated(size_t bytes, size_t size) {
  for (size_t i = 0; i < bytes / size; i++) {
    char* block = malloc(size);
    if (block == NULL) abort();
    memset(block, 0x5a, size);
  }
}

static void level(unsigned turn) {
  if (turn == 0) mapped(64 * MIB);
}

static void load(unsigned turn) {
  if (turn < 30) mapped(160 * MIB / 30 / 4096 * 4096);
}

static void replaced(unsigned turn) {
  static char* buffers[BUFFERS];
  for (unsigned i = 0; turn == 0 && i < BUFFERS; i++) buffers[i] = mapped(4 * MIB);
  munmap(buffers[turn % BUFFERS], 4 * MIB);
  buffers[turn % BUFFERS] = mapped(4 * MIB);
}

static void teeth(unsigned turn) {
  static char* at[24];
  const unsigned tooth = turn % 24;
  for (unsigned i = 0; tooth == 0 && turn > 0 && i < 24; i++) munmap(at[i], 4 * MIB);
  at[tooth] = mapped(4 * MIB);
}

static void leak(unsigned turn) {
  if (turn % 5 < 2) allocated(2 * MIB, 1000);  // 4 of 10 turns
}

static void steps(unsigned turn) {
  if (turn % 40 == 0) mapped(24 * MIB);
}

static void in_memfd(size_t offset) {
  static int memory = -1;
  static char* at = NULL;
  if (memory < 0) {
    memory = memfd_create("growth", 0);
    if (memory < 0 || ftruncate(memory, 4096 * MIB) != 0) abort();
    at = mmap(NULL, 4096 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (at == MAP_FAILED) abort();
  }
  memset(at + offset, 0x5a, MIB);
}

static void shared(unsigned turn) {
  if (turn % 5 != 4 && turn < 4096) in_memfd(turn * MIB);  // 8 of 10 turns
}

static void ring(unsigned turn) {
  if (turn % 5 != 4) in_memfd(turn % 32 * MIB);
}

static void owners(unsigned turn) {
  if (turn % 5 >= 2) return;
  allocated(PART, 1000);
  mapped(PART);
  if (table_used + PART > sizeof table) return;
  memset(table + table_used, 0x5a, PART);
  table_used += PART;
}

static const struct {
  const char* name;
  void (*turn)(unsigned);
} shapes[] = {{"level", level}, {"load", load},     {"replaced", replaced}, {"teeth", teeth},  {"leak", leak},
              {"steps", steps}, {"shared", shared}, {"ring", ring},         {"owners", owners}};

int main(int argc, char** argv) {
  void (*turn)(unsigned) = NULL;
  for (size_t i = 0; argc == 2 && i < sizeof shapes / sizeof *shapes; i++)
    if (strcmp(argv[1], shapes[i].name) == 0) turn = shapes[i].turn;
  if (turn == NULL) return 64;
  char line[64];
  printf("ready\n");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) return 0;
  for (unsigned i = 0;; i++) {
    turn(i);
    usleep(100000);
    if (i == 30) {
      printf("grown\n");
      fflush(stdout);
    }
  }
}
