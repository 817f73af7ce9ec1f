// SPDX-License-Identifier: Apache-2.0
#include "remote/budget.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "base/time.h"

namespace memwhy::remote {

namespace {

constexpr uint64_t kStepsBetweenLooks = 64;  // at the clocks: some hundred microseconds

template <clockid_t kClock>
uint64_t now() {
  return clock_ns(kClock);
}

Error used_up() { return {ErrorCode::kLimit, "reading this would take more than one reading may"}; }

}  // namespace

BudgetClocks BudgetClocks::system() { return {now<CLOCK_THREAD_CPUTIME_ID>, now<CLOCK_MONOTONIC>}; }

Budget::Budget(const Limits& limits, BudgetClocks clocks)
    : limits_(limits), clocks_(clocks), cpu_begun_(clocks.thread_cpu()), begun_(clocks.monotonic()) {}

Budget::Budget(const Limits& limits, std::function<bool()> stop, BudgetClocks clocks)
    : Budget(limits, clocks) {
  stop_ = std::move(stop);
}

bool Budget::take(uint64_t& sum, uint64_t limit, uint64_t n, Spent what) {
  if (spent_ != Spent::kNothing) return false;
  if (n > limit - std::min(sum, limit)) {
    spent_ = what;
    return false;
  }
  sum += n;
  return true;
}

bool Budget::step(uint64_t n) {
  if (!take(steps_, limits_.steps, n, Spent::kSteps)) return false;
  if (steps_ < next_look_) return true;
  next_look_ = steps_ + kStepsBetweenLooks;
  if (limits_.cpu_ns != kNoLimit && cpu_ns() >= limits_.cpu_ns)
    spent_ = Spent::kCpu;
  else if (limits_.time_ns != kNoLimit && clocks_.monotonic() - begun_ >= limits_.time_ns)
    spent_ = Spent::kTime;
  else if (stop_ && stop_())
    spent_ = Spent::kStopped;
  return spent_ == Spent::kNothing;
}

std::string_view Budget::spent_name() const {
  switch (spent_) {
    case Spent::kSteps:
      return "steps";
    case Spent::kReadBytes:
      return "bytes read";
    case Spent::kKeptBytes:
      return "memory";
    case Spent::kCpu:
      return "CPU time";
    case Spent::kTime:
    case Spent::kStopped:
      return "time";
    case Spent::kNothing:
      break;
  }
  return "";
}

Status MeteredMemory::read(uint64_t address, std::span<std::byte> into) {
  if (!budget_.read(into.size())) return used_up();
  return memory_.read(address, into);
}

Status MeteredMemory::read_touched(uint64_t address, std::span<std::byte> into) {
  if (!budget_.read(into.size())) return used_up();
  return memory_.read_touched(address, into);
}

Result<uint64_t> MeteredMemory::read_present(uint64_t address, std::span<std::byte> into) {
  if (!budget_.read(into.size())) return used_up();
  return memory_.read_present(address, into);
}

Status MeteredMemory::read_each(std::span<Piece> pieces) {
  size_t paid = 0;
  while (paid < pieces.size() && budget_.read(pieces[paid].into.size())) ++paid;
  if (Status status = memory_.read_each(pieces.first(paid)); !status) return status;
  return paid == pieces.size() ? Status() : used_up();
}

}  // namespace memwhy::remote
