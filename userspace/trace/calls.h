// SPDX-License-Identifier: Apache-2.0
// A call of the mapping family in two halves: what many calls of a chunk have in common, and what is its own. A program
// maps and unmaps 10,000 times a second from a few places, so that the first half is a number of one byte.
//
//   shape 0   VmaMapped    space 1  tid 4713  stack 9   prot 3  flags 22  fd -1
//   shape 1   VmaUnmapped  space 1  tid 4713  stack 10  munmap
//   rows      shape 0  +1 ms  0x7f1234600000 + 64 KiB  tick 4295213
//             shape 1   +0 ms  0x7f1234600000 + 64 KiB  tick 4295213
//             shape 0   +0 ms  …
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "trace/format.h"

namespace memwhy::trace {

// The times of calls are kept to 1 ms and in their order: below are digits that no two runs share, a byte of them for each
// call. What order calls and faults have is said by their ticks, which are kept as they are.
constexpr TimeNs kCallTimeStep = 1'000'000;

struct CallShape {
  EventKind kind{};
  SpaceId space{};
  int32_t tid = 0;
  StackId stack{};
  uint32_t prot = 0, flags = 0;  // VmaMapped
  int32_t fd = 0;                // VmaMapped
  events::UnmapWhy why{};        // VmaUnmapped
  uint32_t advice = 0;           // VmaUnmapped, VmaAdvised
  bool operator==(const CallShape&) const = default;
};

struct CallRow {
  int64_t later = 0;  // than the event before, in steps of kCallTimeStep
  AddressRange range;
  uint64_t tick = 0;
  uint64_t offset = 0;  // VmaMapped
  AddressRange to;      // VmaMoved
};

// The ranges of the last rows of a chunk. Most calls meet one of them: the kernel places a new mapping right below another,
// or at the end of a gap that a munmap made, and what is unmapped was often mapped a moment before.
class PastCalls {
 public:
  static constexpr size_t kMost = 1 << 14;  // rows back

  static bool refers(EventKind kind) {
    return kind == EventKind::kVmaMapped || kind == EventKind::kVmaUnmapped;
  }
  // How many rows back the row is that the range follows from; 0: from none that is known. Precondition: refers().
  uint64_t find(EventKind kind, AddressRange range) const;
  // false: there is no such row. Of a mapping the length of `range` is known.
  bool place(EventKind kind, uint64_t back, AddressRange& range) const;
  void add(EventKind kind, AddressRange range);
  void clear();

 private:
  struct Row {
    EventKind kind{};
    AddressRange range;
  };
  using Slots =
      std::array<uint64_t, 4096>;  // by address: the number of a row from 1; a later one takes its slot

  const Row* row(uint64_t number) const;

  std::vector<Row> rows_;  // the last kMost, each at its number modulo kMost
  uint64_t count_ = 0;
  Slots tops_{}, starts_{};
};

constexpr size_t kMostShapes = 1 << 16;  // of a chunk; one that claims more is damage

struct CallHash {
  size_t operator()(const CallShape& shape) const;
};

// Precondition: a call. `later` is the caller's.
void split_call(const events::Payload& payload, CallShape& shape, CallRow& row);
// false: the shape is of no call.
bool join_call(const CallShape& shape, const CallRow& row, events::Payload& payload);

}  // namespace memwhy::trace
