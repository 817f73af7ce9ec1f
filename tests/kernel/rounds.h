// SPDX-License-Identifier: Apache-2.0
// A target and a test that take turns, what they share, and the stack of a page by what is known at that moment.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "support.h"

namespace memwhy::kernel_test {

// A target that works in rounds: the test lets it go from one to the next.
class Rounds {
 public:
  Rounds() {
    if (::pipe(step_) != 0 || ::pipe(done_) != 0) std::abort();
  }
  ~Rounds() {
    for (const int fd : {step_[0], step_[1], done_[0], done_[1]}) ::close(fd);
  }
  // In the target: this round is over.
  void over() const {
    char byte = 0;
    (void)!::write(done_[1], "d", 1);
    (void)!::read(step_[0], &byte, 1);
  }
  // In the test.
  void wait() const {
    char byte = 0;
    ASSERT_EQ(::read(done_[0], &byte, 1), 1);
  }
  void next() const { ASSERT_EQ(::write(step_[1], "s", 1), 1); }

 private:
  int step_[2], done_[2];
};

// Written by the target, read by the test.
template <typename T>
class Shared {
 public:
  explicit Shared(size_t count)
      : bytes_(count * sizeof(T)),
        all_(static_cast<T*>(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0))) {}
  ~Shared() { ::munmap(all_, bytes_); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T& operator[](size_t i) const { return all_[i]; }

 private:
  size_t bytes_;
  T* all_;
};

// The stack of a page after all that is known by now was given.
inline events::Stack stack_of(Observer& seen, SpaceId space, const char* page) {
  seen.drain();
  seen.read(space);
  const auto found = seen.stacks().find(seen.entry(space, reinterpret_cast<uint64_t>(page)).stack);
  if (found == seen.stacks().end()) return {};
  return found->second;
}

}  // namespace memwhy::kernel_test
