// SPDX-License-Identifier: Apache-2.0
#include "goruntime/goroutines.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "goruntime/words.h"

namespace memwhy::goruntime {

namespace {

using Bytes = std::vector<std::byte>;

constexpr uint64_t kMostGoroutines = 1 << 24;
constexpr uint64_t kScanBit = 0x1000;  // _Gscan
constexpr uint64_t kMostStackRead = 64 << 10;
constexpr size_t kMostFrames = 128;

bool parked(GoroutineStatus status) {
  return waits(status) || status == GoroutineStatus::kRunnable || status == GoroutineStatus::kPreempted;
}

// Frame 0 is sched.pc (inside gopark) and sched.bp is its frame pointer, in every release.
std::vector<uint64_t> unwind(remote::RemoteMemory& memory, const Globals& globals, uint64_t pc, uint64_t sp,
                             uint64_t bp, AddressRange stack) {
  std::vector<uint64_t> frames = {pc};
  if (!stack.contains(sp)) return frames;
  Bytes bytes(std::min(stack.end - sp, kMostStackRead));
  if (!memory.read(sp, bytes)) return frames;
  while (frames.size() < kMostFrames && bp >= sp && bp - sp + 16 <= bytes.size()) {
    const uint64_t next = word(bytes, bp - sp), ret = word(bytes, bp - sp + 8);
    if (ret < globals.min_pc || ret > globals.max_pc) break;
    frames.push_back(ret);
    if (next <= bp) break;
    bp = next;
  }
  return frames;
}

Goroutine decode(const Layout& layout, uint64_t address, std::span<const std::byte> bytes) {
  const auto& g = layout.g;
  Goroutine out;
  out.address = address;
  out.id = field(bytes, g.goid);
  out.status = static_cast<GoroutineStatus>(field(bytes, g.atomicstatus) & ~kScanBit);
  out.created_at = field(bytes, g.gopc);
  out.entry = field(bytes, g.startpc);
  out.stack = {field(bytes, g.stack_lo), field(bytes, g.stack_hi)};
  out.stack_pointer = field(bytes, g.sched_sp);
  if (waits(out.status)) {
    const uint64_t reason = field(bytes, g.waitreason);
    if (reason < std::size(layout.wait_reasons)) out.wait_reason = layout.wait_reasons[reason];
    out.waiting_since_ns = field(bytes, g.waitsince);
  }
  return out;
}

}  // namespace

Result<GoroutineList> read_goroutines(remote::RemoteMemory& memory, const Globals& globals) {
  if (!globals.allgs)
    return Error(ErrorCode::kIncomplete, "the Go runtime's list of goroutines was not found");
  const Layout& layout = *globals.layout;
  Bytes header(24);
  if (Status status = memory.read(*globals.allgs, header); !status) return std::move(status).error();
  const Slice all = slice(header, 0);
  if (all.length > kMostGoroutines)
    return Error(ErrorCode::kIncomplete, "the Go runtime's list of goroutines makes no sense");
  Result<std::vector<uint64_t>> addresses = remote::read_array<uint64_t>(memory, all.data, all.length);
  if (!addresses) return std::move(addresses).error();
  GoroutineList out;
  Bytes first(layout.g.size), again(layout.g.size);
  for (const uint64_t address : *addresses) {
    if (Status status = memory.read(address, first); !status) {
      if (status.error().code() == ErrorCode::kTargetGone) return std::move(status).error();
      ++out.unread;
      continue;
    }
    Goroutine goroutine = decode(layout, address, first);
    if (goroutine.status == GoroutineStatus::kDead || goroutine.status == GoroutineStatus::kExtraDead)
      continue;
    if (parked(goroutine.status)) {
      goroutine.frames = unwind(memory, globals, field(first, layout.g.sched_pc), goroutine.stack_pointer,
                                field(first, layout.g.sched_bp), goroutine.stack);
      // It may have run on in between: then its stack is not the one that was read.
      const bool still = memory.read(address, again) && field(again, layout.g.goid) == goroutine.id &&
                         field(again, layout.g.sched_sp) == goroutine.stack_pointer &&
                         field(again, layout.g.atomicstatus) == field(first, layout.g.atomicstatus);
      if (!still) goroutine.frames.clear();
    } else if (goroutine.status == GoroutineStatus::kSyscall) {
      goroutine.frames = {field(first, layout.g.syscallpc)};
    }
    out.goroutines.push_back(std::move(goroutine));
  }
  return out;
}

}  // namespace memwhy::goruntime
