// SPDX-License-Identifier: Apache-2.0
#include "app/made_code.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "allocators/hotspot.h"
#include "allocators/reading_cost.h"
#include "app/heap_target.h"
#include "procfs/process.h"

namespace memwhy::app {
namespace {

using allocators::kMs;
using Frames = allocators::HotspotFrames;
constexpr uint64_t kBytes = 64 * allocators::kMiB;
constexpr remote::Limits kFindLimits{
    .read_bytes = kBytes, .kept_bytes = kBytes, .cpu_ns = 100 * kMs, .time_ns = 1000 * kMs};
constexpr remote::Limits kLookLimits{
    .steps = 20'000, .read_bytes = kBytes, .cpu_ns = 20 * kMs, .time_ns = 200 * kMs};
constexpr size_t kMostJvms = 64;
constexpr uint64_t kFirstWait = 20 * kMs, kMostWait = 10'000 * kMs;  // between two searches

bool has_jvm(const std::vector<events::Vma>& code) {
  return std::ranges::any_of(
      code, [](const events::Vma& vma) { return vma.inode != 0 && allocators::is_hotspot(vma.name); });
}

symbols::UnwindRule rule_of(const allocators::HotspotFrames::Frame& frame) {
  using Kind = allocators::HotspotFrames::Kind;
  symbols::UnwindRule rule = symbols::kFramePointerRule;
  if (frame.kind == Kind::kCompiled)
    rule = {symbols::UnwindRule::Kind::kStack, 2, static_cast<int32_t>(frame.bytes)};
  if (frame.kind == Kind::kInterpreted) rule.kind = symbols::UnwindRule::Kind::kInterpreted;
  return rule;
}

}  // namespace

MadeCode::Reading::Reading(Pid of, remote::RemoteMemory& memory, const remote::Limits& limits,
                           allocators::HeapMemory::Vmas vmas)
    : tgid(of), budget(limits), metered(memory, budget), heap(metered, std::move(vmas), {}) {}

std::optional<symbols::UnwindRule> MadeCode::rule(Pid tgid, uint64_t address,
                                                  const std::vector<events::Vma>& code) {
  if (!is_jvm(tgid, code)) return std::nullopt;
  Jvm* const known = jvm(tgid);
  if (known == nullptr || !known->frames) return std::nullopt;
  const auto frame = known->frames->frame(memory(tgid, *known), address);
  return frame ? std::optional(rule_of(*frame)) : std::nullopt;
}

// A stack has many frames of made code, and a process many files.
bool MadeCode::is_jvm(Pid tgid, const std::vector<events::Vma>& code) {
  if (asked_.tgid != tgid || asked_.code != code.data() || asked_.mappings != code.size())
    asked_ = {tgid, code.data(), code.size(), has_jvm(code)};
  return asked_.is_jvm;
}

// Where its memory cannot be read now, nothing is known of any of its code.
std::vector<AddressRange> MadeCode::gone(Pid tgid) {
  const auto known = jvms_.find(tgid);
  std::optional<std::vector<AddressRange>> gone;
  if (known != jvms_.end() && known->second.frames)
    gone = known->second.frames->gone(memory(tgid, known->second));
  if (gone) return *std::move(gone);
  if (known != jvms_.end()) jvms_.erase(known);
  reading_.reset();
  return {{0, ~uint64_t{0}}};
}

// Those that are gone make room for others.
bool MadeCode::has_room_for(Pid tgid) {
  if (jvms_.size() < kMostJvms || jvms_.contains(tgid)) return true;
  reading_.reset();
  std::erase_if(jvms_, [this](const auto& one) {
    return ::faccessat(proc_.fd(), std::to_string(one.first).c_str(), F_OK, 0) != 0;
  });
  return jvms_.size() < kMostJvms;
}

MadeCode::Jvm* MadeCode::jvm(Pid tgid) {
  if (!has_room_for(tgid)) return nullptr;
  Jvm& found = jvms_[tgid];
  if (found.frames || clock_ns(CLOCK_MONOTONIC) < found.search_at) return &found;
  search(tgid, found);
  found.waits_ns = std::clamp(2 * found.waits_ns, kFirstWait, kMostWait);
  found.search_at = clock_ns(CLOCK_MONOTONIC) + found.waits_ns;
  return &found;
}

void MadeCode::search(Pid tgid, Jvm& jvm) {
  reading_.reset();
  if (!open(tgid, jvm)) return;
  Reading reading(tgid, *jvm.memory, kFindLimits, mappings_of(tgid));
  if (!reading.heap.refresh()) return;
  if (!jvm.tables) jvm.tables = Frames::find_tables(reading.heap, file_bytes_of(files_, tgid));
  if (jvm.tables) jvm.frames = Frames::find(reading.heap, *jvm.tables);
  if (jvm.frames) jvm.tables.reset();
}

bool MadeCode::open(Pid tgid, Jvm& jvm) {
  const Result<procfs::Process> process = procfs::Process::open(proc_, tgid);
  if (!process) return false;
  Result<std::unique_ptr<remote::RemoteMemory>> memory = files_.open_memory(process->directory(), tgid);
  if (!memory) return false;
  jvm.memory = *std::move(memory);
  return true;
}

allocators::HeapMemory& MadeCode::memory(Pid tgid, Jvm& jvm) {
  if (!reading_ || reading_->tgid != tgid)
    reading_ = std::make_unique<Reading>(tgid, *jvm.memory, kLookLimits, mappings_of(tgid));
  return reading_->heap;
}

allocators::HeapMemory::Vmas MadeCode::mappings_of(Pid tgid) const {
  return [this, tgid]() -> Result<std::vector<events::Vma>> {
    Result<procfs::Process> process = procfs::Process::open(proc_, tgid);
    if (!process) return std::move(process).error();
    return process->vmas();
  };
}

}  // namespace memwhy::app
