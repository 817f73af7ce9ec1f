// SPDX-License-Identifier: Apache-2.0
// A C server whose heap has a known cause: c_heap CASE MIB [late]. Prints "ready", then obeys lines of stdin:
//
//   trim   malloc_trim(0); prints "trim BEFORE AFTER", resident bytes
//
// late: it is "ready" before anything happened; a line makes it happen, and it prints "done".
//
// What is told of glibc here is told by glibc. Tables are mapped, so that they are no part of the heap.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MIB (1UL << 20)

struct blocks {
  char** at;
  size_t count;
};

static char* filled(size_t bytes) {
  char* block = malloc(bytes);
  if (block == NULL) abort();
  memset(block, 0x5a, bytes);
  return block;
}

static struct blocks grow(size_t bytes, size_t size) {
  struct blocks blocks = {NULL, bytes / size};
  blocks.at =
      mmap(NULL, blocks.count * sizeof(char*), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (blocks.at == MAP_FAILED) abort();
  for (size_t i = 0; i < blocks.count; i++) blocks.at[i] = filled(size);
  return blocks;
}

// All but each `keep`th; 0: all.
static void release(struct blocks blocks, size_t keep) {
  for (size_t i = 0; i < blocks.count; i++)
    if (keep == 0 || i % keep != 0) free(blocks.at[i]);
}

// ---- threads, each with its arena: all grow, then all free

#define THREADS 16
static pthread_barrier_t together;
static size_t of_each, size_of_each, keep_of_each;

static void* worker(void* unused) {
  struct blocks blocks = grow(of_each, size_of_each);
  pthread_barrier_wait(&together);
  release(blocks, keep_of_each);
  pthread_barrier_wait(&together);
  pause();
  return unused;
}

static void in_threads(size_t bytes, size_t size, size_t keep) {
  of_each = bytes / THREADS, size_of_each = size, keep_of_each = keep;
  pthread_barrier_init(&together, NULL, THREADS + 1);
  for (int i = 0; i < THREADS; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();
  }
  pthread_barrier_wait(&together);
  pthread_barrier_wait(&together);
}

// ---- cases

static void set_up(const char* name, size_t bytes) {
  if (strcmp(name, "used") == 0) {
    grow(bytes, 1000);
  } else if (strcmp(name, "freed") == 0) {  // but an object at the top
    struct blocks blocks = grow(bytes, 1000);
    filled(5000);
    release(blocks, 0);
  } else if (strcmp(name, "every_second") == 0) {  // large ones: whole pages between
    struct blocks blocks = grow(bytes, 16000);
    release(blocks, 2);
    for (size_t i = 1; i < blocks.count; i += 2) blocks.at[i] = NULL;
  } else if (strcmp(name, "pinned") == 0) {  // small ones: each page holds one
    release(grow(bytes, 500), 4);
  } else if (strcmp(name, "arenas") == 0) {
    in_threads(bytes, 1000, 64);
  } else if (strcmp(name, "caches") == 0) {  // most of what is free are caches: of each size seven
    for (size_t size = 24; size <= 1032; size += 16) {
      char* seven[7];
      for (int i = 0; i < 7; i++) seven[i] = filled(size);
      for (int i = 0; i < 7; i++) free(seven[i]);
    }
    grow(bytes, 1000);
  } else if (strcmp(name, "brk_refused") ==
             0) {  // half way, by a mapping of somebody else: malloc maps the rest
    struct blocks in_heap = grow(bytes / 2, 16000);
    if (mmap(sbrk(0), 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
        MAP_FAILED)
      abort();
    struct blocks mapped = grow(bytes / 2, 16000);
    release(in_heap, 2);
    release(mapped, 2);
  } else if (strcmp(name, "mapped") == 0) {
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    struct blocks blocks = grow(bytes, MIB);
    for (size_t i = 0; i < blocks.count; i += 2) free(blocks.at[i]);
  } else if (strcmp(name, "full_arenas") == 0) {
    in_threads(bytes, 1000, 1);
  } else if (strcmp(name, "nothing") != 0) {
    fprintf(stderr, "c_heap: no case %s\n", name);
    exit(2);
  }
}

static long resident_bytes(void) {
  FILE* file = fopen("/proc/self/smaps_rollup", "r");
  if (file == NULL) abort();
  char line[256];
  long kib = 0;
  while (fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "Rss: %ld", &kib) == 1) break;
  fclose(file);
  return kib * 1024;
}

int main(int argc, char** argv) {
  static char in[4096], out[4096];
  setvbuf(stdin, in, _IOFBF, sizeof in);
  setvbuf(stdout, out, _IOLBF, sizeof out);
  prctl(PR_SET_NAME, "c-heap");
  if (argc != 3 && argc != 4) return 2;
  char line[64];
  if (argc == 4) puts("ready");
  if (argc == 4 && fgets(line, sizeof line, stdin) == NULL) return 0;
  set_up(argv[1], strtoul(argv[2], NULL, 10) * MIB);
  resident_bytes();  // what it takes of the heap is taken before
  puts(argc == 4 ? "done" : "ready");
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "trim\n") == 0) {
      const long before = resident_bytes();
      malloc_trim(0);
      printf("trim %ld %ld\n", before, resident_bytes());
    }
  }
  return 0;
}
