// SPDX-License-Identifier: Apache-2.0
// A file system that stops answering, and a process that runs code of it: what a dead network mount is, and what a container
// can make of FUSE. Serves MOUNTPOINT/x, 16 MiB of zeros, that its child has mapped executable and has return addresses of
// in its stacks; and MOUNTPOINT is a FUSE mount of this process.
//
//   silent_files MOUNTPOINT      stdout: "target PID"      stdin: "silent" -> "is silent", then for each request that gets no
//                                                                 answer its name and who waits: "OPEN 4711"
//   stdin closed: the connection ends, who waits gets an error, and the mount goes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { kFileBytes = 16 << 20, kForGood = 1000000 };
static char request[1 << 20], zeros[1 << 17];

static void answer(int fuse, uint64_t unique, int error, const void* data, size_t bytes) {
  static char out[sizeof(struct fuse_out_header) + sizeof zeros];
  struct fuse_out_header* header = (struct fuse_out_header*)out;
  header->len = (uint32_t)(sizeof *header + bytes);
  header->error = error;
  header->unique = unique;
  if (bytes > 0) memcpy(header + 1, data, bytes);
  if (write(fuse, out, header->len) < 0 && errno != ENOENT) perror("answer");
}

static struct fuse_attr attributes(bool folder) {
  struct fuse_attr a = {.ino = folder ? 1 : 2, .nlink = 1, .blksize = 4096};
  a.mode = folder ? S_IFDIR | 0755 : S_IFREG | 0755;
  a.size = folder ? 4096 : kFileBytes;
  a.blocks = a.size / 512;
  return a;
}

static void serve(int fuse, bool silent) {
  const ssize_t got = read(fuse, request, sizeof request);
  if (got < (ssize_t)sizeof(struct fuse_in_header)) return;
  const struct fuse_in_header* in = (const struct fuse_in_header*)request;
  const bool forgets =
      in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET || in->opcode == FUSE_INTERRUPT;
  if (forgets) return;
  if (silent) {
    printf("%s %u\n", in->opcode == FUSE_OPEN ? "OPEN" : in->opcode == FUSE_READ ? "READ" : "OTHER", in->pid);
    fflush(stdout);
    return;
  }
  switch (in->opcode) {
    case FUSE_INIT: {
      const struct fuse_init_out out = {.major = 7, .minor = 31, .max_write = 65536, .max_readahead = 65536};
      return answer(fuse, in->unique, 0, &out, sizeof out);
    }
    case FUSE_LOOKUP: {
      const struct fuse_entry_out out = {
          .nodeid = 2, .attr_valid = kForGood, .entry_valid = kForGood, .attr = attributes(false)};
      return answer(fuse, in->unique, 0, &out, sizeof out);
    }
    case FUSE_GETATTR: {
      const struct fuse_attr_out out = {.attr_valid = kForGood, .attr = attributes(in->nodeid == 1)};
      return answer(fuse, in->unique, 0, &out, sizeof out);
    }
    case FUSE_OPEN: {
      const struct fuse_open_out out = {0};
      return answer(fuse, in->unique, 0, &out, sizeof out);
    }
    case FUSE_READ: {
      const struct fuse_read_in* read_in = (const struct fuse_read_in*)(in + 1);
      return answer(fuse, in->unique, 0, zeros, read_in->size < sizeof zeros ? read_in->size : sizeof zeros);
    }
    case FUSE_STATFS: {
      const struct fuse_statfs_out out = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};
      return answer(fuse, in->unique, 0, &out, sizeof out);
    }
    case FUSE_RELEASE:
    case FUSE_FLUSH:
    case FUSE_ACCESS:
      return answer(fuse, in->unique, 0, NULL, 0);
    default:
      return answer(fuse, in->unique, -ENOSYS, NULL, 0);
  }
}

// Touches fresh memory with a return address that lies in the file, another one each time.
__attribute__((noinline)) static void touch_as(char* page, uint64_t return_address) {
  uint64_t frame[2] = {0, return_address};
  __asm__ volatile("push %%rbp\n mov %1, %%rbp\n movb $1, (%0)\n pop %%rbp\n" ::"r"(page), "r"(frame)
                   : "memory");
}

static void target(const char* mount_point) {
  char path[4096];
  snprintf(path, sizeof path, "%s/x", mount_point);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  const char* code = mmap(NULL, kFileBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
  char* memory =
      mmap(NULL, 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (file < 0 || code == MAP_FAILED || memory == MAP_FAILED) {
    perror("target");
    _exit(1);
  }
  printf("target %d\n", getpid());
  fflush(stdout);
  for (size_t i = 0;; ++i) {
    touch_as(memory + i * 4096 % (1 << 30), (uint64_t)code + 4097 + i * 64 % (kFileBytes / 2));
    usleep(10000);  // so that it does so all the time, and not much
  }
}

int main(int count, char** arguments) {
  const int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fuse);
  if (count != 2 || fuse < 0 || mount("memwhy-test", arguments[1], "fuse", 0, options) != 0) {
    perror("no FUSE");
    return 77;
  }
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(fuse);
    target(arguments[1]);
  }
  bool silent = false;
  for (struct pollfd both[2] = {{fuse, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}; poll(both, 2, -1) >= 0;) {
    if (both[0].revents & POLLERR) break;
    if (both[0].revents & POLLIN) serve(fuse, silent);
    char word[64];
    if (both[1].revents == 0) continue;
    if (read(STDIN_FILENO, word, sizeof word) <= 0) break;
    silent = true;
    puts("is silent");
    fflush(stdout);
  }
  kill(child, SIGKILL);
  umount2(arguments[1], MNT_DETACH);
  return 0;  // the descriptor is closed, and with it the connection
}
