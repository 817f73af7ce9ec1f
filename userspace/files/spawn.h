// SPDX-License-Identifier: Apache-2.0
// Starting a child from memwhy's own program, with two descriptors and nothing else of memwhy's, and abandoning one that
// can't be waited for.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace memwhy::files {

struct SocketPair {
  Fd ours, theirs;
};
Result<SocketPair> socket_pair();

struct Child {
  pid_t pid = -1;
  Fd socket;
};

// `program WORD` with a socket to us at kRequests and `second` at kHandover (child.h).
Result<Child> spawn(const std::string& program, const char* word, const Fd& second);

// Another program, found in PATH, with this environment, these two as its input and output, and nothing else of memwhy's. It is in
// a process group of its own.
Result<pid_t> spawn_program(std::vector<std::string> words, std::vector<std::string> environment,
                            const Fd& input, const Fd& output);

// Children that were killed. One that hangs in the kernel never ends, and is not waited for.
class Dying {
 public:
  void kill(Child& child);  // it is none from now on
  void reap();              // without waiting
  bool full() const;        // so many hang that no more should be started

 private:
  std::vector<pid_t> pids_;
};

}  // namespace memwhy::files
