// SPDX-License-Identifier: Apache-2.0
// other_heap PATTERN MIB [late]: a heap whose answer is known, of whatever allocator stands behind malloc (LD_PRELOAD, musl-gcc). It
// says "ready" (late: before anything happened, and "done" after a line made it happen), then answers on stdin:
//
//   "asked"   asked BYTES            what it has allocated and not freed
//   "stats"   stats ALLOCATED ACTIVE RESIDENT   by the allocator's own count, 0 for what it does not have
//   "purge"   purge BEFORE AFTER     RSS around the allocator's call that gives free memory back
//
//   patterns   freed   everything freed but every 64th block of 1,000 bytes and those of the tables; then large blocks freed
//              large   blocks of 100,000 bytes, every second one freed
//              small   blocks of 500 bytes, every second one freed: each page stays
//              used    nothing freed
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t asked;

static void* take(size_t bytes) {
  void* block = malloc(bytes);
  if (block == NULL) abort();
  memset(block, 1, bytes);
  asked += bytes;
  return block;
}

static void fill(size_t mib, size_t bytes, size_t keep_each) {
  const size_t count = (mib << 20) / bytes;
  char** blocks = take(count * sizeof *blocks);
  for (size_t i = 0; i < count; ++i) blocks[i] = take(bytes);
  for (size_t i = 0; i < count; ++i)
    if (keep_each == 0 || i % keep_each != 0) {
      free(blocks[i]);
      asked -= bytes;
    }
}

static long rss_bytes(void) {
  char text[4096];
  const int file = open("/proc/self/smaps_rollup", O_RDONLY);
  const ssize_t n = read(file, text, sizeof text - 1);
  close(file);
  if (n <= 0) abort();
  text[n] = 0;
  const char* line = strstr(text, "\nRss:");
  return line == NULL ? 0 : strtol(line + 5, NULL, 10) * 1024;
}

// The allocator's call, by its C name; C++ ones by their mangled names.
static void purge(void) {
  int (*mallctl)(const char*, void*, size_t*, void*, size_t) =
      (int (*)(const char*, void*, size_t*, void*, size_t))dlsym(RTLD_DEFAULT, "mallctl");
  void (*collect)(int) = (void (*)(int))dlsym(RTLD_DEFAULT, "mi_collect");
  void (*release)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");
  if (mallctl != NULL)
    mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
  else if (collect != NULL)
    collect(1);
  else if (release != NULL)
    release();
}

static void stats(void) {
  int (*mallctl)(const char*, void*, size_t*, void*, size_t) =
      (int (*)(const char*, void*, size_t*, void*, size_t))dlsym(RTLD_DEFAULT, "mallctl");
  int (*property)(const char*, size_t*) =
      (int (*)(const char*, size_t*))dlsym(RTLD_DEFAULT, "MallocExtension_GetNumericProperty");
  size_t allocated = 0, active = 0, resident = 0, bytes = sizeof allocated;
  unsigned long long epoch = 1;
  size_t epoch_bytes = sizeof epoch;
  if (mallctl != NULL) {
    mallctl("epoch", &epoch, &epoch_bytes, &epoch, sizeof epoch);
    mallctl("stats.allocated", &allocated, &bytes, NULL, 0);
    mallctl("stats.active", &active, &bytes, NULL, 0);
    mallctl("stats.resident", &resident, &bytes, NULL, 0);
  } else if (property != NULL) {
    property("generic.current_allocated_bytes", &allocated);
  }
  printf("stats %zu %zu %zu\n", allocated, active, resident);
}

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  char line[64];
  if (argc == 4) puts("ready");
  if (argc == 4 && fgets(line, sizeof line, stdin) == NULL) return 0;
  const size_t mib = (size_t)strtoul(argv[2], NULL, 10);
  if (strcmp(argv[1], "freed") == 0)
    fill(mib, 1000, 64), fill(mib, 200000, 0);
  else if (strcmp(argv[1], "large") == 0)
    fill(mib, 100000, 2);
  else if (strcmp(argv[1], "small") == 0)
    fill(mib, 500, 2);
  else if (strcmp(argv[1], "used") == 0)
    fill(mib, 1000, 1);
  else
    return 2;
  puts(argc == 4 ? "done" : "ready");
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "asked\n") == 0) printf("asked %zu\n", asked);
    if (strcmp(line, "stats\n") == 0) stats();
    if (strcmp(line, "purge\n") == 0) {
      rss_bytes();  // its own pages are there before the first count
      const long before = rss_bytes();
      purge();
      printf("purge %ld %ld\n", before, rss_bytes());
    }
  }
  return 0;
}
