// SPDX-License-Identifier: Apache-2.0
#include "unwind/teacher.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace memwhy::unwind {
namespace {

constexpr int kReadings = 4;  // until two readings of the mappings agree
constexpr TimeNs kReadAgain =
    20'000'000;  // mappings that lack an address are read again after so long, or when there are more
constexpr size_t kFewSpaces = 16;

std::vector<events::Vma> executable(const std::vector<events::Vma>& all) {
  std::vector<events::Vma> code;
  std::ranges::copy_if(all, std::back_inserter(code), [](const events::Vma& vma) { return vma.exec; });
  return code;
}

bool same_code(const std::vector<events::Vma>& a, const std::vector<events::Vma>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const events::Vma& x, const events::Vma& y) {
    return x.range == y.range && x.device == y.device && x.inode == y.inode && x.offset == y.offset;
  });
}

// What an incomplete stack becomes by its copy. One that ends early is as much of it as is certain; nothing: that is no more than where
// the fault was.
std::optional<events::Unwind> completed_by(Learned& learned) {
  switch (learned.how) {
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
  learned.frames.resize(learned.certain);
  return learned.certain > 1 ? std::optional(events::Unwind::kStopped) : std::nullopt;
}

}  // namespace

size_t Teacher::look() {
  const TimeNs begun = clock_(), worked = work_();
  const auto more = static_cast<int64_t>((begun - saved_at_.value_or(begun)) / kShare);
  saved_ns_ = std::min(int64_t{kMostSaved}, saved_ns_ + more);
  saved_at_ = begun;
  if (made_ != nullptr) made_->forget();
  withdraw_made_code(begun);
  const size_t taken = port_.take([this](std::span<const Taken> all) { learn(all); }, kAtOnce);
  const TimeNs took = work_() - worked;
  saved_ns_ -= static_cast<int64_t>(took);
  totals_.spent_ns += took;
  const bool tired = saved_ns_ < 0;
  if (tired) ++totals_.starved;
  port_.turn(tired ? 0 : kSnapshots);
  return taken;
}

// What their files say of them is asked for once, for all together: who answers is another process, which may have to wait for a CPU.
void Teacher::learn(std::span<const Taken> all) {
  totals_.snapshots += all.size();
  std::vector<Learner::Coming> coming;
  std::vector<const Taken*> known;
  for (const Taken& one : all) {
    const Space* space = space_of(one, false);
    if (space == nullptr || !was_there(one, *space)) continue;
    coming.push_back({one.tgid, one.snapshot, space->code});
    known.push_back(&one);
  }
  learner_.expect(std::move(coming));
  for (const Taken* one : known) learn(*one);
  learner_.expect({});
}

// Whether the code that was read is the code that ran, as far as is known. What nothing watched may have been another file's.
bool Teacher::was_there(const Taken& taken, const Space& space) {
  return !taken.unwatched || *taken.unwatched == space.mapped;
}

void Teacher::learn(const Taken& taken) {
  Space* space = space_of(taken, false);
  if (space == nullptr || !was_there(taken, *space)) return;
  Learned learned = learner_.learn(taken.tgid, taken.snapshot, space->code);
  bool is_current = true;
  // It may have met code that was mapped since.
  if (learned.how == How::kUnreadable || learned.how == How::kFirstOnly) {
    const uint64_t readings = readings_;
    space = space_of(taken, true);
    if (space == nullptr || !was_there(taken, *space)) return;
    is_current = readings_ != readings;
    if (is_current) learned = learner_.learn(taken.tgid, taken.snapshot, space->code);
  }
  if (learned.go_code.end > learned.go_code.start && !(learned.go_code == space->go)) {
    space->go = learned.go_code;
    watch(taken.space, *space);
  }
  if (learned.is_go) port_.switches_stacks(taken.space);
  if (!port_.publish(taken.space, space->generation, learned.rules)) {
    ++totals_.stale;
    return;
  }
  if (is_current) port_.looked_at(taken);
  totals_.rules += learned.rules.size();
  space->has_made_code =
      space->has_made_code || std::ranges::any_of(learned.rules, [](const LearnedRule& one) {
        return one.source == RuleSource::kMadeCode && !(one.rule == symbols::kFramePointerRule);
      });
  const std::optional<events::Unwind> how = completed_by(learned);
  if (!how) return;
  port_.complete(taken, std::move(learned.frames), *how);
  ++totals_.completed;
}

void Teacher::withdraw_made_code(TimeNs now) {
  if (made_ == nullptr || now < checked_at_ + check_after_) return;
  checked_at_ = now;
  check_after_ = std::min(2 * check_after_, kCheckSeldom);
  for (auto& [id, space] : spaces_) {
    if (!space.has_made_code) continue;
    space.has_made_code = port_.generation(id).has_value();
    const std::vector<AddressRange> gone = made_->gone(space.tgid);
    if (gone.empty()) continue;
    port_.withdraw(id, gone);
    check_after_ = kCheckAgain;
  }
}

// nullptr: its code has changed since, or is not known. `again`: what is known of it may be too old.
Teacher::Space* Teacher::space_of(const Taken& taken, bool again) {
  if (spaces_.size() >= forget_at_ && !spaces_.contains(taken.space)) forget_ended();
  Space& space = spaces_[taken.space];
  space.tgid = taken.tgid;
  const bool known = space.code != nullptr && space.generation == taken.generation;
  const bool same = port_.mapped(taken.space) == space.mapped;
  const auto recent = [&] { return clock_() < space.read_at + kReadAgain; };
  // While the kernel side does not know all code it can tell fewer faults to be alike.
  if (known && (again ? same && recent() : same || taken.unwatched || recent())) return &space;
  if (!read_code(taken, space)) {
    space.code.reset();  // two readings have not agreed: nothing is known of it
    return nullptr;
  }
  return space.generation == taken.generation ? &space : nullptr;
}

// Where processes come and go for ever, what is known of those that are there is little.
void Teacher::forget_ended() {
  std::erase_if(spaces_, [this](const auto& each) { return !port_.generation(each.first); });
  forget_at_ = std::max(kFewSpaces, 2 * spaces_.size());
}

void Teacher::watch(SpaceId id, const Space& space) {
  std::vector<AddressRange> ranges;
  for (const events::Vma& vma : *space.code) ranges.push_back(vma.range);
  port_.watch(id, ranges, space.go, space.mapped);
}

bool Teacher::read_code(const Taken& taken, Space& space) {
  space.read_at = clock_();
  ++readings_;
  for (int i = 0; i < kReadings; ++i) {
    const std::optional<uint32_t> generation = port_.generation(taken.space);
    if (!generation) return false;
    space.mapped = port_.mapped(taken.space);
    Result<std::vector<events::Vma>> mappings = mappings_(taken.tgid);
    if (!mappings) return false;
    std::vector<events::Vma> code = executable(*mappings);
    if (i > 0 && *generation == space.generation && same_code(code, *space.code)) return true;
    if (*generation != space.generation) space.go = {};
    space.generation = *generation;
    space.code = std::make_shared<const std::vector<events::Vma>>(std::move(code));
    watch(taken.space, space);
  }
  return false;
}

}  // namespace memwhy::unwind
