// SPDX-License-Identifier: Apache-2.0
// Definitions: stacks, names and binaries of one session, given to each ring when it first needs them. The session defines each
// once; of two containers with the same program the second would have stacks without frames.
//
//   session: Stack 9 (space 1)  SymbolInfo 0x401e00 (spaces 1, 2)  Stack 12 (space 2) …
//   ring of space 1: needs 9      ->  binary, symbols of its frames, Stack 9;  from then on it has them
//   ring of space 2: needs 9, 12  ->  the same for both
//
// Not restate.h, which repeats in a further part of one file what that file has had. Memory: of spaces that have ended, kMostOfEnded
// stay, those that were used last: a forked child has its parent's stacks, and a program that is started again at the same
// addresses. Beyond kMostBytes everything is forgotten. Either way rings are given again what they use from then on.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "events/event.h"

namespace memwhy::agent {

class Definitions {
 public:
  // What a ring has.
  struct Given {
    std::unordered_set<StackId> stacks;
    std::unordered_set<BinaryId> binaries;
    std::set<std::pair<uint64_t, SpaceId>> symbols;
    uint64_t epoch = 0;
  };

  static bool is_definition(const events::Event& event);
  void remember(const events::Event& event);
  // The space has ended.
  void end(SpaceId space);
  // Whether a ring with `given` wants this definition, which has just come, at once: it has an older one, or (`own_space`) is
  // of that space.
  bool wanted(const events::Event& definition, const Given& given, bool own_space) const;
  // Gives what `event` needs and `given` lacks, and notes that.
  void give_for(const events::Event& event, Given& given, events::EventSink& to) const;
  // Gives the definition itself, with what it needs.
  void give(const events::Event& definition, Given& given, events::EventSink& to) const;

  uint64_t bytes() const { return bytes_; }
  static constexpr uint64_t kMostBytes = 32u << 20, kMostOfEnded = 2u << 20;

 private:
  template <typename Value>
  struct Known {
    Value value;
    mutable TimeNs used = 0;
  };
  template <typename Map, typename Key, typename Value>
  void keep(Map& map, const Key& key, const Value& value, TimeNs now);
  void count(SpaceId space, int64_t bytes);
  void forget_ended();
  void give_stack(StackId id, TimeNs now, Given& given, events::EventSink& to) const;
  void give_symbols(uint64_t address, TimeNs now, Given& given, events::EventSink& to) const;
  void give_binary(BinaryId id, TimeNs now, Given& given, events::EventSink& to) const;
  void renew(Given& given) const;

  std::unordered_map<StackId, Known<events::Stack>> stacks_;
  std::unordered_map<BinaryId, Known<events::BinaryInfo>> binaries_;
  std::map<std::pair<uint64_t, SpaceId>, Known<events::SymbolInfo>> symbols_;
  std::unordered_map<SpaceId, uint64_t> of_space_;  // bytes of each, kNone: of binaries
  std::unordered_set<SpaceId> ended_;               // of these
  uint64_t bytes_ = 0, ended_bytes_ = 0, epoch_ = 0;
};

}  // namespace memwhy::agent
