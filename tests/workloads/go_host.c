// SPDX-License-Identifier: Apache-2.0
// A C program with Go inside: go_host MIB LIBRARY... (tests/workloads/go_in_c, built with -buildmode=c-shared). Prints "ready",
// waits for a line, loads each library, has it keep MIB blocks of 1 MiB and start 1,000 goroutines with 64 KiB each, allocates
// 24 MiB with malloc, prints "done BYTES..." (what the runtime of each library finds in use), and ends when its stdin does.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kBlock = 1000, kBlocks = 24 * 1024 };

static char* blocks[kBlocks];

static void* function(void* library, const char* name) {
  void* found = dlsym(library, name);
  if (found == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  return found;
}

int main(int argc, char** argv) {
  char line[64];
  if (argc < 3 || argc > 18) return 2;
  printf("ready\n");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) return 0;
  long long in_use[16];
  for (int i = 2; i < argc; ++i) {
    void* library = dlopen(argv[i], RTLD_NOW);
    if (library == NULL) {
      fprintf(stderr, "%s\n", dlerror());
      return 1;
    }
    void (*work)(int);
    long long (*keep)(int);
    *(void**)&work = function(library, "GoWork");
    *(void**)&keep = function(library, "GoKeep");
    work(1000);
    in_use[i - 2] = keep(atoi(argv[1]));
  }
  for (int i = 0; i < kBlocks; ++i) {
    blocks[i] = malloc(kBlock);
    if (blocks[i] == NULL) return 1;
    memset(blocks[i], 1, kBlock);
  }
  printf("done");
  for (int i = 2; i < argc; ++i) printf(" %lld", in_use[i - 2]);
  printf("\n");
  fflush(stdout);
  (void)!fgets(line, sizeof line, stdin);
  return 0;
}
