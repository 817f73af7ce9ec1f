// SPDX-License-Identifier: Apache-2.0
// Unwinding: the kernel side's interface for learning unwind rules from snapshots (userspace/unwind): for all ports, used by one
// thread.
//
//   take       snapshot of space 3: ip memset, no rule for 7f12'3460'5123, attributed to stack slot 0x0beef
//   publish    rules of the nine addresses on its way
//   complete   slot 0x0beef was {memset, …}: it is {memset, load, main, _start}, whole
//
// A stack that was incomplete keeps its id; it is emitted again to its receivers with what is known now.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "events/event.h"
#include "probe/ring_closer.h"
#include "probe/rule_table.h"

namespace memwhy::probe {

struct Hub;

// Faults whose stack came from a trail (bpf/lib/trail.bpf.h); wrong: where each is compared with the walk, which found another.
struct TrailCounts {
  uint64_t used = 0, made = 0, wrong = 0;
};

// Snapshots that the kernel side has sent; those that it had no leave to send, as their spaces had used up theirs; those for which
// there was no room.
struct SnapshotCounts {
  uint64_t sent = 0, limited = 0, lost = 0;
};

class Unwinding {
 public:
  explicit Unwinding(std::shared_ptr<Hub> hub);
  ~Unwinding();
  Unwinding(const Unwinding&) = delete;
  Unwinding& operator=(const Unwinding&) = delete;

  RuleTable& rules() { return rules_; }
  // Until the kernel side has what cannot wait, wake() was called, or it took so long: then false.
  bool wait(std::chrono::milliseconds most);
  void wake();  // by any thread
  // What the incomplete stack in this slot was, as its snapshot showed; kStopped: as far as it did. Another one for the same slot: several
  // callers share it, and it is none of them for certain.
  void complete(uint32_t slot, std::vector<uint64_t> frames, events::Unwind how);
  TrailCounts trails() const;  // of all ports
  SnapshotCounts snapshots() const;

 private:
  std::shared_ptr<Hub> hub_;
  RuleTable rules_;
  std::unique_ptr<ring_buffer, RingCloser> bell_;  // none: it is looked now and then
  Fd woken_;
};

}  // namespace memwhy::probe
