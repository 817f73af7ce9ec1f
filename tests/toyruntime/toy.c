// SPDX-License-Identifier: Apache-2.0
// A program with a toy of an allocator (toy.h): 256 pages of slabs, 96 of them touched, and 64 touched pages that it keeps for
// later. Says where its table is, then waits for the end of its input.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct toy_block {
  uint64_t address, pages, live_bytes, dead_bytes, use;
};
struct toy_table {
  uint64_t magic, blocks;
  struct toy_block block[16];
};
static struct toy_table toy_table;

enum { PAGE = 4096 };

static void add(uint64_t pages, uint64_t touched, uint64_t live, uint64_t dead, uint64_t use) {
  char* block = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) _exit(1);
  madvise(block, pages * PAGE, MADV_NOHUGEPAGE);
  memset(block, 1, touched * PAGE);
  toy_table.block[toy_table.blocks++] = (struct toy_block){(uint64_t)block, pages, live, dead, use};
}

int main(void) {
  add(256, 96, 40 * PAGE + 100, 16 * PAGE, 0);
  add(64, 64, 0, 0, 1);
  toy_table.magic = UINT64_C(0x746f79746f79746f);
  printf("%p\n", (void*)&toy_table);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
