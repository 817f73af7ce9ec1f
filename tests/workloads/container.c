// SPDX-License-Identifier: Apache-2.0
// Memory that a container counts, of a known kind: container KIND AMOUNT. Prints "ready". Each line of stdin is a number of MiB of
// anonymous memory that come then ("grown"); it ends with stdin.
//
//   anon MIB     anonymous memory
//   cache FILE   reads the file, so that it is in the page cache
//   pipes N      N pipes with 64 KiB in each: memory of the kernel
//   leak KIB     anonymous memory, so many KiB ten times a second, from the first line on
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB (1UL << 20)
#define PIPE 65536

static char block[PIPE];

static void touch(size_t bytes) {
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  memset(memory, 0x5a, bytes);
}

static void read_all(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) abort();
  while (read(file, block, sizeof block) > 0) continue;
  close(file);
}

static void fill_pipes(unsigned long pipes) {
  struct rlimit files;  // two a pipe: where the limit is the kernel's own, 1,024, that is too many
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) abort();
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) abort();
  for (unsigned long i = 0; i < pipes; i++) {
    int ends[2];
    if (pipe(ends) != 0 || write(ends[1], block, PIPE) != PIPE) abort();
  }
}

static void leak(size_t bytes) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  char line[32];
  if (fgets(line, sizeof line, stdin) == NULL) exit(0);
  while (poll(&input, 1, 100) == 0) touch(bytes);
  exit(0);
}

int main(int count, char** words) {
  if (count != 3) return 2;
  const unsigned long amount = strtoul(words[2], NULL, 10);
  if (strcmp(words[1], "anon") == 0 && amount > 0) touch(amount * MIB);
  if (strcmp(words[1], "cache") == 0) read_all(words[2]);
  if (strcmp(words[1], "pipes") == 0) fill_pipes(amount);
  printf("ready\n");
  fflush(stdout);
  if (strcmp(words[1], "leak") == 0) leak(amount << 10);
  for (char line[32]; fgets(line, sizeof line, stdin) != NULL;) {
    touch(strtoul(line, NULL, 10) * MIB);
    printf("grown\n");
    fflush(stdout);
  }
  return 0;
}
