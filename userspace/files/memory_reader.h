// SPDX-License-Identifier: Apache-2.0
// MemoryReader: the memory of targets (remote/memory.h), read by a child. A page of the target may belong to a file with a
// silent server; a process that reads it waits in the kernel for good, can't be killed, and keeps everything open that it
// has.
//
// What it is: one child for all targets, started by the first read; each read has a deadline. A silent child is killed. If that
// ends it, it was slow, and a fresh one asks again, at most twice for a target. Else it is left behind, its target's memory is
// not read any more, and a fresh child goes on with the others: a few times, then no memory is read at all. Any thread may read;
// they take turns. What it is not: an interpretation of the bytes (goruntime/).
//
//   t 0.0   4711: 512 goroutines and their stacks    1,100 pages in 2 messages, 1.1 ms
//   t 0.1   4712: a page of a dead network mount     no answer in 1 s: killed, and left; 4712 has no Go view from here on
//   t 1.1   4711: as before, by the next child
//   t 1.5   4711: no answer in 1 s, as it maps memory and has no CPU to end that: killed, and asked again
//   t 2.6   4711: no answer in 1 s, but the child is runnable: the machine has no CPU for it, and memwhy waits, max 5 s
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "files/memory_wire.h"
#include "files/spawn.h"
#include "remote/memory.h"

namespace memwhy::files {

struct MemoryReaderOptions {
  std::string program = "/proc/self/exe";  // that can run run_child()
  // Less than the end of a recording waits for its threads, so that even the last reading is reported.
  std::chrono::milliseconds patience{1000};
};

class MemoryReader : public std::enable_shared_from_this<MemoryReader> {
 public:
  explicit MemoryReader(MemoryReaderOptions options) : options_(std::move(options)) {}
  ~MemoryReader() { end_child(); }
  MemoryReader(const MemoryReader&) = delete;
  MemoryReader& operator=(const MemoryReader&) = delete;

  // Descriptors that several readers of one process have in common, while one of them is there.
  using Shared = std::weak_ptr<const remote::MemoryFiles>;

  // `process`: a descriptor of its directory in a proc file system.
  Result<std::unique_ptr<remote::RemoteMemory>> open(const Fd& process, Pid tgid, Shared* shared = nullptr);

  // Sentences about what was lost since the last call.
  std::vector<std::string> take_notices();
  bool has_notices() const;
  // CPU time of the children so far: part of what a recording costs.
  uint64_t cpu_ns() const;

  pid_t child() const { return child_.pid; }  // for tests

 private:
  class Memory;

  // All of these with the lock held.
  Status start();
  // Has the first pieces of the window read; with none, the child lets go of the files that it has. kTooLate: they do not come; kEnvironment: the child died.
  Status exchange(const Memory& of, uint32_t pieces);
  void end_child();
  void notice(std::string sentence);

  const MemoryReaderOptions options_;
  mutable std::mutex lock_;  // of all that follows
  Child child_;
  Dying dying_;
  std::optional<Window> window_;  // of this child: an abandoned one may still write to its own
  uint64_t current_ = 0;          // number of the memory that the child has open; 0: none
  uint64_t opened_ = 0;
  uint64_t ended_cpu_ns_ = 0;    // of children that are gone
  int given_up_ = 0;             // memories
  bool is_left_behind_ = false;  // the last child that was late hangs in the kernel
  std::vector<std::string> notices_;
};

}  // namespace memwhy::files
