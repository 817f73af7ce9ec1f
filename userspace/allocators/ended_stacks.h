// SPDX-License-Identifier: Apache-2.0
// Stacks of threads that have ended, which glibc keeps for a pthread_join that never came, or for the next thread. They are
// known by the control block that glibc leaves at the end of each, in which the kernel clears the thread's number when the
// thread ends. Which of the two reasons applies is decided elsewhere (explain: thread-leak).
//
//   7f10'0000-7f10'1000 ---p    guard
//   7f10'1000-7f90'1000 rw-p    stack of 8 MiB;  at 7f90'0700: {self 7f90'0700, …, self 7f90'0700}, number at +0x2d0
//                                 4713: its thread lives        0: it has ended
//
// A reading that has no time for all of them takes the rest from the last complete one.
//
// Not seen: stacks without a guard mapping below (glibc from 2.43 on may guard without one), and control blocks that are
// swapped out.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "allocators/heap_memory.h"
#include "events/runtime.h"
#include "events/runtime_lines.h"
#include "remote/budget.h"

namespace memwhy::allocators {

inline constexpr const char* kThreadsRuntime = "glibc-threads";

inline events::RuntimeLines ended_stacks_lines() {
  return {kThreadsRuntime, {}, {{"ended", "thread.stacks.ended"}}, "thread.stacks.ended"};
}

// Mappings that may be stacks of threads: anonymous, with a guard below.
bool may_be_stack(const std::vector<events::Vma>& vmas, size_t i);

class EndedStacks {
 public:
  EndedStacks(std::unique_ptr<remote::RemoteMemory> memory, HeapMemory::Vmas vmas)
      : memory_(std::move(memory)), vmas_(std::move(vmas)) {}

  events::RuntimePages read(const events::PageScan& scan);
  std::vector<std::string> take_notices() { return std::exchange(notices_, {}); }
  void stop_when(std::function<bool()> stop) { stop_ = std::move(stop); }

 private:
  void finish_from_last(std::span<const AddressRange> stacks, const remote::Budget& budget,
                        std::vector<AddressRange>& ended);

  std::unique_ptr<remote::RemoteMemory> memory_;
  HeapMemory::Vmas vmas_;
  std::function<bool()> stop_;
  std::vector<AddressRange>
      ended_;           // of the last whole reading, sorted: a truncated one takes the rest from it
  bool whole_ = false;  // there was one
  std::vector<std::string> notices_;
  bool told_ = false;
};

}  // namespace memwhy::allocators
