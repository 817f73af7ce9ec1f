// SPDX-License-Identifier: Apache-2.0
#include "unwind/teacher.h"

#include <algorithm>
#include <utility>

namespace memwhy::unwind {
namespace {

constexpr int kReadings = 4;               // until two readings of the mappings agree
constexpr TimeNs kReadAgain = 20'000'000;  // mappings that lack an address are read again after so long
constexpr size_t kMostSpaces = 4096;

std::vector<events::Vma> executable(std::vector<events::Vma> all) {
  std::erase_if(all, [](const events::Vma& vma) { return !vma.exec; });
  return all;
}

bool same_code(const std::vector<events::Vma>& a, const std::vector<events::Vma>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const events::Vma& x, const events::Vma& y) {
    return x.range == y.range && x.device == y.device && x.inode == y.inode && x.offset == y.offset;
  });
}

// What an incomplete stack becomes by its copy; nothing: one that ends early may contain less than is known already.
std::optional<events::Unwind> completed_by(How how) {
  switch (how) {
    case How::kWhole:
      return events::Unwind::kRecovered;
    case How::kMadeCode:
      return events::Unwind::kJit;
    case How::kFramePointers:
      return events::Unwind::kGuess;
    case How::kCut:
    case How::kUnreadable:
    case How::kFirstOnly:
      break;
  }
  return std::nullopt;
}

}  // namespace

size_t Teacher::look() {
  const TimeNs begun = clock_(), worked = work_();
  const auto more = static_cast<int64_t>((begun - saved_at_.value_or(begun)) / kShare);
  saved_ns_ = std::min(int64_t{kMostSaved}, saved_ns_ + more);
  saved_at_ = begun;
  const size_t taken = port_.take([this](const Taken& one) { learn(one); });
  const TimeNs took = work_() - worked;
  if (taken != 0) saved_ns_ -= static_cast<int64_t>(took);
  totals_.spent_ns += took;
  const bool tired = saved_ns_ < 0;
  if (tired) ++totals_.starved;
  port_.turn(tired ? 0 : kSnapshots);
  return taken;
}

void Teacher::learn(const Taken& taken) {
  ++totals_.snapshots;
  Space* space = space_of(taken, false);
  if (space == nullptr) return;
  Learned learned = learner_.learn(taken.tgid, taken.snapshot, space->code);
  // It may have met code that was mapped since.
  if (learned.how == How::kUnreadable || learned.how == How::kFirstOnly) {
    const TimeNs read_at = space->read_at;
    space = space_of(taken, true);
    if (space == nullptr) return;
    if (space->read_at != read_at) learned = learner_.learn(taken.tgid, taken.snapshot, space->code);
  }
  if (learned.go_code.end > learned.go_code.start && !(learned.go_code == space->go)) {
    space->go = learned.go_code;
    watch(taken.space, *space);
  }
  if (!port_.publish(taken.space, space->generation, learned.rules)) {
    ++totals_.stale;
    return;
  }
  totals_.rules += learned.rules.size();
  const std::optional<events::Unwind> how = completed_by(learned.how);
  if (!how) return;
  port_.complete(taken, std::move(learned.frames), *how);
  ++totals_.completed;
}

// nullptr: its code has changed since, or is unknown. `again`: what is known of it may be too old.
Teacher::Space* Teacher::space_of(const Taken& taken, bool again) {
  if (spaces_.size() >= kMostSpaces && !spaces_.contains(taken.space)) spaces_.clear();
  Space& space = spaces_[taken.space];
  const bool known = !space.code.empty() && space.generation == taken.generation;
  const bool fresh = clock_() < space.read_at + kReadAgain;
  if (known && (!again || fresh)) return &space;
  return read_code(taken, space) && space.generation == taken.generation ? &space : nullptr;
}

void Teacher::watch(SpaceId id, const Space& space) {
  std::vector<AddressRange> ranges;
  for (const events::Vma& vma : space.code) ranges.push_back(vma.range);
  port_.watch(id, ranges, space.go);
}

bool Teacher::read_code(const Taken& taken, Space& space) {
  space.read_at = clock_();
  for (int i = 0; i < kReadings; ++i) {
    const std::optional<uint32_t> generation = port_.generation(taken.space);
    if (!generation) return false;
    Result<std::vector<events::Vma>> mappings = mappings_(taken.tgid);
    if (!mappings) return false;
    std::vector<events::Vma> code = executable(std::move(*mappings));
    if (i > 0 && *generation == space.generation && same_code(code, space.code)) return true;
    if (*generation != space.generation) space.go = {};
    space.generation = *generation;
    space.code = std::move(code);
    watch(taken.space, space);
  }
  return false;
}

}  // namespace memwhy::unwind
