// SPDX-License-Identifier: Apache-2.0
// A prefork server: children that do the same work in the same code, and two of its parents may run at once.
//
//   prefork COUNT      "ready"; at a line, each of COUNT children touches 512 KiB in serve(), and then "served"; ends with its input
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { kBytes = 512 << 10 };

__attribute__((noinline)) static void serve(void) {
  char* memory = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) _exit(1);
  for (int at = 0; at < kBytes; at += 4096) memory[at] = 1;
  __asm__ volatile("" ::: "memory");  // so that this is no tail call
}

int main(int count, char** arguments) {
  const int children = count == 2 ? atoi(arguments[1]) : 0;
  int work[2], done[2];
  if (children <= 0 || pipe(work) != 0 || pipe(done) != 0) return 2;
  for (int i = 0; i < children; ++i) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // One each: who has served waits at the other end for all.
    for (char word; read(work[0], &word, 1) == 1;) {
      serve();
      if (write(done[1], &word, 1) != 1) _exit(1);
      pause();
    }
    _exit(0);
  }
  puts("ready");
  fflush(stdout);
  char line[64];
  if (fgets(line, sizeof line, stdin) == NULL) return 0;
  for (int i = 0; i < children; ++i)
    if (write(work[1], line, 1) != 1) return 1;
  for (int i = 0; i < children; ++i)
    if (read(done[0], line, 1) != 1) return 1;
  puts("served");
  fflush(stdout);
  return fgets(line, sizeof line, stdin) == NULL ? 0 : 3;
}
