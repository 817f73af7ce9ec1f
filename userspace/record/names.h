// SPDX-License-Identifier: Apache-2.0
// Names: has the code addresses of stacks named while the process that maps them still exists. Each target has an allowance for
// that; stacks that come too early or when it is used up wait, and names of those that wait in vain are counted as lost. What
// it is not: the search in files (symbols/).
//
//   stack 9 before the first VMA list          waits
//   the list is read                           64 at a time: one request for all of them
//   3 s of CPU are used up                     the others wait until a twentieth of a CPU has made up for them
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "record/notices.h"
#include "record/target.h"
#include "record/world.h"

namespace memwhy::record {

constexpr size_t kWaitingStacks = 4096;
constexpr size_t kStacksAtOnce = 64;  // that are named by one question

class Names {
 public:
  Names(const World& world, Targets& targets, Notices& notices)
      : world_(world), targets_(targets), notices_(notices) {}

  void resolve(Target& target, std::span<const events::Stack> stacks);
  // Those that waited, as far as it is allowed.
  void resolve_waiting(Target& target);
  // Stacks that still wait will not get names.
  void give_up(Target& target) { give_up(target, target.waiting.size()); }
  // For an event that names code by address, before it is emitted.
  void name_code(Target& target, const events::Payload& payload);
  // Stacks that intake had no room for, once more.
  void resend();

 private:
  void name(Target& target, const Target& from, std::span<const events::Stack> stacks);
  void wait(Target& target, const events::Stack& stack);
  void give_up(Target& target, size_t stacks);

  const World& world_;
  Targets& targets_;
  Notices& notices_;
};

// The mapping list is read anew and emitted. false: the space is gone.
bool read_vmas(const World& world, Target& target);

}  // namespace memwhy::record
