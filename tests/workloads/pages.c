// SPDX-License-Identifier: Apache-2.0
// pages NAME: one way for pages to come, go or move, with the right answer printed beside it. The protocol
// (ready, go, range …, done, quit) is in tests/workloads/README.md. `pages --list` prints the names.
//
// Every step that brings pages is a function of its own that is not inlined, so that its name is in the
// stack: the site. The C library's functions keep no frame, and the chain of frame pointers skips the caller of
// such a function: a site calls them through one more function of ours (map, read_all).
// Longer than usual because it is one list: each row is what a process does, beside the answer.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 1024UL
#define BYTES (PAGES * PAGE)
#define HUGE (2UL << 20)
#define STEP __attribute__((noinline, noclone)) static void

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static char *area, *second;
static int file = -1, helper_go = -1, helper_done = -1;
static pid_t child;

// ---- what every row uses

static void say(const char* line) {
  puts(line);
  fflush(stdout);
}

static void die(const char* what) {
  fprintf(stderr, "pages: %s: %s\n", what, strerror(errno));
  exit(1);
}

// Ends with status 77, "skip <why>": this machine cannot do the row.
static void skip(const char* why) {
  printf("skip %s\n", why);
  fflush(stdout);
  exit(77);
}

static void range(const char* name, const char* start, size_t bytes, size_t pages, const char* how,
                  const char* site, pid_t pid) {
  printf("range %s %lx %lx %zu %s site=%s pid=%d\n", name, (unsigned long)start, (unsigned long)start + bytes,
         pages, how, site, pid ? pid : getpid());
}

static void here(const char* name, const char* start, size_t bytes, size_t pages, const char* how,
                 const char* site) {
  range(name, start, bytes, pages, how, site, 0);
}

__attribute__((noinline, noclone)) static char* map(size_t bytes, int flags, int fd) {
  char* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) die("mmap");
  return at;
}

static inline char* map_anon(size_t bytes) { return map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1); }

// A range of `bytes` that starts on a huge-page boundary; what is cut off stays mapped and untouched.
static char* map_aligned(size_t bytes) {
  uintptr_t at = (uintptr_t)map_anon(bytes + HUGE);
  return (char*)((at + HUGE - 1) & ~(HUGE - 1));
}

static inline void write_pages(char* at, size_t pages) {
  for (size_t i = 0; i < pages; i++) ((volatile char*)at)[i * PAGE] = (char)(i + 1);
}

static inline void read_pages(const char* at, size_t pages) {
  for (size_t i = 0; i < pages; i++) (void)((const volatile char*)at)[i * PAGE];
}

static void advise(char* at, size_t bytes, int advice, const char* what) {
  if (madvise(at, bytes, advice) != 0) {
    if (errno == EINVAL) skip(what);
    die(what);
  }
}

static void make_file(size_t pages) {
  char name[] = "./pages.XXXXXX";
  char page[PAGE];
  memset(page, 7, sizeof page);
  file = mkstemp(name);
  if (file < 0) die(name);
  unlink(name);
  for (size_t i = 0; i < pages; i++)
    if (write(file, page, sizeof page) != (ssize_t)sizeof page) die("write");
  fsync(file);
}

static bool file_says(const char* path, const char* word) {
  char text[256] = "";
  int fd = open(path, O_RDONLY);
  if (fd < 0) return false;
  bool found = read(fd, text, sizeof text - 1) > 0 && strstr(text, word) != NULL;
  close(fd);
  return found;
}

static void need_huge(void) {
  if (!file_says("/sys/kernel/mm/transparent_hugepage/enabled", "[always]") &&
      !file_says("/sys/kernel/mm/transparent_hugepage/enabled", "[madvise]"))
    skip("transparent huge pages are off");
}

// ---- the rows: set-up before "ready", then up to three steps

static void setup_anon(void) { area = map_anon(BYTES); }
STEP touch_anon(void) { write_pages(area, PAGES); }
static void write_1(void) {
  touch_anon();
  here("area", area, BYTES, PAGES, "fault", "touch_anon");
}
STEP drop_anon(void) { advise(area, BYTES, MADV_DONTNEED, "MADV_DONTNEED"); }
static void dontneed_2(void) {
  drop_anon();
  here("area", area, BYTES, 0, "-", "-");
}
STEP touch_half(void) { write_pages(area + BYTES / 2, PAGES / 2); }
static void dontneed_3(void) {
  touch_half();
  here("area", area, BYTES, PAGES / 2, "fault", "touch_half");
}

STEP read_zero(void) { read_pages(area, PAGES); }
static void zero_1(void) {
  read_zero();
  here("area", area, BYTES, 0, "-", "-");
}

// Freed pages stay resident until the kernel wants them: no event tells when.
static void free_2(void) {
  advise(area, BYTES, MADV_FREE, "MADV_FREE");
  here("area", area, BYTES, PAGES, "fault", "touch_anon");
}
STEP touch_freed(void) { write_pages(area, PAGES / 2); }
static void free_3(void) {
  touch_freed();
  here("area", area, BYTES, PAGES, "fault", "touch_anon");
}

static char* move_to(char* from, size_t old_bytes, size_t bytes) {
  char* to = map_anon(bytes);
  if (mremap(from, old_bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to) die("mremap");
  return to;
}
static void move_2(void) {
  second = move_to(area, BYTES, BYTES);
  here("moved", second, BYTES, PAGES, "moved", "touch_anon");
}
static void grow_2(void) {
  second = move_to(area, BYTES, 2 * BYTES);
  here("moved", second, BYTES, PAGES, "moved", "touch_anon");
}
STEP touch_tail(void) { write_pages(second + BYTES, PAGES); }
static void grow_3(void) {
  touch_tail();
  here("moved", second, BYTES, PAGES, "moved", "touch_anon");
  here("tail", second + BYTES, BYTES, PAGES, "fault", "touch_tail");
}

static void setup_file_shared(void) {
  make_file(PAGES);
  area = map(BYTES, MAP_SHARED, file);
}
STEP read_file(void) { read_pages(area, PAGES); }
static void file_1(void) {
  read_file();
  here("file", area, BYTES, PAGES, "fault|fault-around", "read_file");
}
static void setup_file_private(void) {
  make_file(PAGES);
  area = map(BYTES, MAP_PRIVATE, file);
}
static void private_1(void) {
  touch_anon();
  here("copy", area, BYTES, PAGES, "fault", "touch_anon");
}

static void setup_huge(void) {
  need_huge();
  area = map_aligned(2 * HUGE);
  advise(area, 2 * HUGE, MADV_HUGEPAGE, "MADV_HUGEPAGE");
}
STEP touch_huge(void) {
  area[0] = 1;
  area[HUGE] = 1;
}
static void huge_1(void) {
  touch_huge();
  advise(area, 2 * HUGE, MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE");  // or khugepaged fills what the next step takes
  here("huge", area, 2 * HUGE, 1024, "fault|huge-block", "touch_huge");
}
static void huge_2(void) {
  advise(area, 128 * PAGE, MADV_DONTNEED, "MADV_DONTNEED");
  here("huge", area, 2 * HUGE, 1024 - 128, "fault|huge-block", "touch_huge");
}
static void setup_collapse(void) {
  need_huge();
  area = map_aligned(2 * HUGE);
}
STEP touch_every_second(void) {
  for (size_t i = 0; i < 1024; i += 2) area[i * PAGE] = 1;
}
static void collapse_1(void) {
  touch_every_second();
  here("area", area, 2 * HUGE, 512, "fault", "touch_every_second");
}
static void collapse_2(void) {
  advise(area, 2 * HUGE, MADV_COLLAPSE, "MADV_COLLAPSE");
  here("area", area, 2 * HUGE, 1024, "fault|huge-block", "touch_every_second");
}

static void setup_nothing(void) {}
STEP map_populated(void) { area = map(BYTES, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1); }
static void populate_1(void) {
  map_populated();
  here("area", area, BYTES, PAGES, "mmap-site", "map_populated");
}
STEP map_later(void) { area = map_anon(BYTES); }
static void madv_populate_1(void) {
  map_later();
  advise(area, BYTES, MADV_POPULATE_WRITE, "MADV_POPULATE_WRITE");
  here("area", area, BYTES, PAGES, "mmap-site", "map_later");
}
static void mlock_1(void) {
  map_later();
  if (mlock(area, BYTES) != 0) skip("mlock is not allowed");
  here("area", area, BYTES, PAGES, "mmap-site", "map_later");
}
static void direct_1(void) {
  char name[64];
  make_file(PAGES);
  snprintf(name, sizeof name, "/proc/self/fd/%d", file);
  int direct = open(name, O_RDONLY | O_DIRECT);
  if (direct < 0) skip("no O_DIRECT on this file system");
  map_later();
  if (read(direct, area, BYTES) != (ssize_t)BYTES) skip("O_DIRECT read is refused");
  here("area", area, BYTES, PAGES, "mmap-site", "map_later");
}
STEP read_all(int from) {
  if (read(from, area, BYTES) != (ssize_t)BYTES) die("read");
}
STEP read_into(void) {
  int zero = open("/dev/zero", O_RDONLY);
  if (zero < 0) die("/dev/zero");
  read_all(zero);
  close(zero);
}
static void read_1(void) {
  read_into();
  here("area", area, BYTES, PAGES, "kernel-fault", "read_into");
}

// A helper process, forked before "ready", writes into this one.
static void setup_remote(void) {
  int go[2], done[2];
  if (pipe(go) != 0 || pipe(done) != 0) die("pipe");
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  pid_t parent = getpid();
  if (fork() == 0) {
    struct iovec to;
    char* bytes = malloc(BYTES);
    close(go[1]);
    memset(bytes, 3, BYTES);
    if (read(go[0], &to, sizeof to) != (ssize_t)sizeof to) _exit(0);
    struct iovec from = {bytes, BYTES};
    ssize_t written = process_vm_writev(parent, &from, 1, &to, 1, 0);
    if (write(done[1], &written, sizeof written) < 0) _exit(1);
    _exit(0);
  }
  close(go[0]);
  helper_go = go[1];
  helper_done = done[0];
}
static void remote_1(void) {
  ssize_t written = 0;
  map_later();
  struct iovec to = {area, BYTES};
  if (write(helper_go, &to, sizeof to) != (ssize_t)sizeof to) die("helper");
  if (read(helper_done, &written, sizeof written) != (ssize_t)sizeof written) die("helper");
  if (written != (ssize_t)BYTES) skip("process_vm_writev is not allowed");
  here("area", area, BYTES, PAGES, "mmap-site", "map_later");
}

static void setup_memfd(void) {
  file = memfd_create("pages", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, BYTES) != 0) die("memfd");
  area = map(BYTES, MAP_SHARED, file);
}
static void memfd_1(void) {
  touch_anon();
  here("first", area, BYTES, PAGES, "fault", "touch_anon");
}
STEP read_second(void) {
  second = map(BYTES, MAP_SHARED, file);
  read_pages(second, PAGES);
}
static void memfd_2(void) {
  read_second();
  here("first", area, BYTES, PAGES, "fault", "touch_anon");
  here("second", second, BYTES, PAGES, "fault|fault-around", "read_second");
}
static void memfd_3(void) {
  if (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BYTES / 2) != 0) die("punch hole");
  here("first", area, BYTES, PAGES / 2, "fault", "touch_anon");
  here("second", second, BYTES, PAGES / 2, "fault|fault-around", "read_second");
}

STEP child_writes(void) { write_pages(area, PAGES / 2); }
// The child writes half of what it inherited, says so, and waits to be killed.
static void fork_2(void) {
  int done[2];
  char byte = 0;
  if (pipe(done) != 0) die("pipe");
  child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    child_writes();
    if (write(done[1], &byte, 1) != 1) _exit(1);
    for (;;) pause();
  }
  if (read(done[0], &byte, 1) != 1) die("child");
  here("parent", area, BYTES, PAGES, "fault", "touch_anon");
  range("written", area, BYTES / 2, PAGES / 2, "fault", "child_writes", child);
  range("inherited", area + BYTES / 2, BYTES / 2, PAGES / 2, "inherited", "touch_anon", child);
}
// The parent takes its pages back: a write fault each, and RSS as before.
static void fork_3(void) {
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  touch_half();
  here("first", area, BYTES / 2, PAGES / 2, "fault", "touch_anon");
  here("reused", area + BYTES / 2, BYTES / 2, PAGES / 2, "fault", "touch_half");
}

static void pageout_2(void) {
  if (!file_says("/proc/swaps", "\n/")) skip("no swap");
  advise(area, BYTES, MADV_PAGEOUT, "MADV_PAGEOUT");
  here("area", area, BYTES, 0, "-", "-");
}
static void pageout_3(void) {
  read_zero();
  here("area", area, BYTES, PAGES, "fault", "read_zero");
}

STEP copy_pages(int uffd) {
  struct uffdio_copy copy = {.dst = (uintptr_t)area, .src = (uintptr_t)second, .len = BYTES};
  if (ioctl(uffd, UFFDIO_COPY, &copy) != 0) die("UFFDIO_COPY");
}
static void uffd_1(void) {
  int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) != 0) skip("no userfaultfd");
  map_later();
  second = map_anon(BYTES);
  write_pages(second, PAGES);
  struct uffdio_register reg = {.range = {(uintptr_t)area, BYTES}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (ioctl(uffd, UFFDIO_REGISTER, &reg) != 0) die("UFFDIO_REGISTER");
  copy_pages(uffd);
  here("area", area, BYTES, PAGES, "mmap-site", "map_later");
}

static void setup_brk(void) {
  second = sbrk(0);
  area = (char*)(((uintptr_t)second + PAGE - 1) & ~(PAGE - 1));
}
STEP grow_brk(void) {
  if (brk(area + BYTES) != 0) die("brk");
}
static void brk_1(void) {
  grow_brk();
  touch_anon();
  here("brk", area, BYTES, PAGES, "fault", "touch_anon");
}
static void brk_2(void) {
  if (brk(area + BYTES / 2) != 0) die("brk");
  here("brk", area, BYTES / 2, PAGES / 2, "fault", "touch_anon");
}

// Addresses that are used again must not keep their old stack.
static void reuse_2(void) {
  munmap(area, BYTES);
  if (mmap(area, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != area)
    die("mmap");
  here("area", area, BYTES, 0, "-", "-");
}
static void fixed_2(void) {
  if (mmap(area, BYTES / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != area)
    die("mmap");
  here("kept", area + BYTES / 2, BYTES / 2, PAGES / 2, "fault", "touch_anon");
}
STEP touch_quarter(void) { write_pages(area, PAGES / 4); }
static void fixed_3(void) {
  touch_quarter();
  here("kept", area + BYTES / 2, BYTES / 2, PAGES / 2, "fault", "touch_anon");
  here("again", area, BYTES / 2, PAGES / 4, "fault", "touch_quarter");
}

static const struct row {
  const char* name;
  bool huge;  // huge pages stay on; everywhere else they are off, so that a page is a page
  void (*setup)(void);
  void (*steps[3])(void);
} rows[] = {
    {"anon_write", false, setup_anon, {write_1}},
    {"dontneed", false, setup_anon, {write_1, dontneed_2, dontneed_3}},
    {"zero_page", false, setup_anon, {zero_1, write_1}},
    {"madv_free", false, setup_anon, {write_1, free_2, free_3}},
    {"mremap_move", false, setup_anon, {write_1, move_2}},
    {"mremap_grow", false, setup_anon, {write_1, grow_2, grow_3}},
    {"file_read", false, setup_file_shared, {file_1}},
    {"file_private_write", false, setup_file_private, {private_1}},
    {"huge", true, setup_huge, {huge_1, huge_2}},
    {"collapse", true, setup_collapse, {collapse_1, collapse_2}},
    {"map_populate", false, setup_nothing, {populate_1}},
    {"madv_populate", false, setup_nothing, {madv_populate_1}},
    {"mlock", false, setup_nothing, {mlock_1}},
    {"direct_read", false, setup_nothing, {direct_1}},
    {"read_into", false, setup_anon, {read_1}},
    {"remote_write", false, setup_remote, {remote_1}},
    {"memfd", false, setup_memfd, {memfd_1, memfd_2, memfd_3}},
    {"fork", false, setup_anon, {write_1, fork_2, fork_3}},
    {"pageout", false, setup_anon, {write_1, pageout_2, pageout_3}},
    {"uffd_copy", false, setup_nothing, {uffd_1}},
    {"brk", false, setup_brk, {brk_1, brk_2}},
    {"reuse", false, setup_anon, {write_1, reuse_2, dontneed_3}},
    {"fixed_over", false, setup_anon, {write_1, fixed_2, fixed_3}},
};
#define ROWS (sizeof rows / sizeof *rows)

static const struct row* find(const char* name) {
  for (size_t i = 0; i < ROWS; i++)
    if (strcmp(rows[i].name, name) == 0) return &rows[i];
  return NULL;
}

// A cgroup of another test, at its limit, takes pages of libc from all that map it. Locked ones stay: two counts of a stopped process
// are the same. Without malloc, so that the process has no heap.
static void keep_code(void) {
  static char text[1 << 16];
  const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  size_t size = 0;
  for (ssize_t n; size < sizeof text - 1 && (n = read(maps, text + size, sizeof text - 1 - size)) > 0;)
    size += (size_t)n;
  close(maps);
  for (char* line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    unsigned long start, end;
    char way[5];
    if (sscanf(line, "%lx-%lx %4s", &start, &end, way) != 3 || strchr(line, '/') == NULL) continue;
    if (strcmp(way, "r-xp") == 0 || strcmp(way, "r--p") == 0)
      if (mlock((void*)start, end - start) != 0 && errno == EPERM) break;
  }
}

// What happens to a page within one tick of the kernel has no order for who looks from outside.
static void await_tick(void) {
  struct timespec begun, now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &begun);
  do clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  while (now.tv_sec == begun.tv_sec && now.tv_nsec == begun.tv_nsec);
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    for (size_t i = 0; i < ROWS; i++) puts(rows[i].name);
    return 0;
  }
  const struct row* row = argc == 2 ? find(argv[1]) : NULL;
  if (row == NULL) {
    fprintf(stderr, "usage: pages --list | pages NAME\n");
    return 2;
  }
  static char out[1 << 16];
  setvbuf(stdout, out, _IOFBF, sizeof out);
  if (!row->huge && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) die("PR_SET_THP_DISABLE");
  keep_code();
  row->setup();
  printf("pid %d\n", getpid());
  say("ready");

  char line[64];
  for (size_t step = 0; read(0, line, sizeof line) > 0 && strncmp(line, "quit", 4) != 0;) {
    if (strncmp(line, "go", 2) != 0) continue;
    if (step == 3 || row->steps[step] == NULL) {
      say("end");
      continue;
    }
    await_tick();
    row->steps[step++]();
    say("done");
  }
  if (child > 0) kill(child, SIGKILL);
  return 0;
}
