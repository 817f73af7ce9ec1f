// SPDX-License-Identifier: Apache-2.0
// Budget: what one reading of a target's memory may take. The target decides how much there is to read, and may lie: so
// every reading has an end, however large or looped the tables are. Nothing here knows what is read, or how the reader
// reports the rest.
//
//   heap of 3 GiB      2,100 steps   31 MiB read   19 MiB kept   40 ms       within its limits
//   2^24 goroutines    ...                        128 MiB kept              used up: the reading ends, the rest is reported
//
// A step is a system call or as much work as one (some microseconds).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string_view>

#include "remote/memory.h"

namespace memwhy::remote {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

struct Limits {
  uint64_t steps = kNoLimit;
  uint64_t read_bytes = kNoLimit;  // of the target, those that are not resident included
  uint64_t kept_bytes = kNoLimit;  // what the reader remembers of it
  uint64_t cpu_ns = kNoLimit;      // of the thread
  uint64_t time_ns = kNoLimit;
};

// Time in ns. Tests bring their own.
struct BudgetClocks {
  uint64_t (*thread_cpu)();
  uint64_t (*monotonic)();
  static BudgetClocks system();
};

class Budget {
 public:
  enum class Spent : uint8_t { kNothing, kSteps, kReadBytes, kKeptBytes, kCpu, kTime, kStopped };

  explicit Budget(const Limits& limits, BudgetClocks clocks = BudgetClocks::system());
  // `stop` is polled together with the clocks: true when there is no more time for the reading, whatever is left of it.
  Budget(const Limits& limits, std::function<bool()> stop, BudgetClocks clocks = BudgetClocks::system());

  // Each is called before the work: false when it is more than what is left, from then on always.
  bool step(uint64_t n = 1);
  bool read(uint64_t bytes) { return take(read_, limits_.read_bytes, bytes, Spent::kReadBytes) && step(); }
  bool keep(uint64_t bytes) { return take(kept_, limits_.kept_bytes, bytes, Spent::kKeptBytes); }

  void release(uint64_t bytes) { kept_ -= bytes < kept_ ? bytes : kept_; }  // no longer kept

  Spent spent() const { return spent_; }
  // "steps", "time"; "" nothing is used up.
  std::string_view spent_name() const;
  uint64_t steps() const { return steps_; }
  uint64_t read_bytes() const { return read_; }
  uint64_t kept_bytes() const { return kept_; }
  uint64_t cpu_ns() const { return clocks_.thread_cpu() - cpu_begun_; }

 private:
  bool take(uint64_t& sum, uint64_t limit, uint64_t n, Spent what);

  Limits limits_;
  BudgetClocks clocks_;
  std::function<bool()> stop_;
  uint64_t steps_ = 0, read_ = 0, kept_ = 0;
  uint64_t cpu_begun_, begun_;
  uint64_t next_look_ = 0;  // at the clocks, in steps
  Spent spent_ = Spent::kNothing;
};

// A memory with each read charged to the budget. When that is used up nothing is read any more: kAbsent.
class MeteredMemory final : public RemoteMemory {
 public:
  MeteredMemory(RemoteMemory& memory, Budget& budget) : memory_(memory), budget_(budget) {}

  Status read(uint64_t address, std::span<std::byte> into) override;
  Status read_touched(uint64_t address, std::span<std::byte> into) override;
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override;
  Status read_each(std::span<Piece> pieces) override;
  bool keep(uint64_t bytes) override { return budget_.keep(bytes); }
  void release(uint64_t bytes) override { budget_.release(bytes); }
  bool step(uint64_t n) override { return budget_.step(n); }

 private:
  RemoteMemory& memory_;
  Budget& budget_;
};

}  // namespace memwhy::remote
