// SPDX-License-Identifier: Apache-2.0
#include "record/young.h"

#include <algorithm>
#include <utility>

namespace memwhy::record {
namespace {

SpaceId space_of(const events::Event& event) {
  return std::visit(
      [](const auto& payload) {
        if constexpr (requires { payload.space; }) return payload.space;
        return SpaceId::kNone;
      },
      event.payload);
}

}  // namespace

void Young::take(events::Event event) {
  if (starts(event)) return;
  const auto known = by_space_.find(space_of(event));
  if (known == by_space_.end()) return pass_(std::move(event));
  const Pid tgid = known->second;
  Child& child = children_.at(tgid);
  const TimeNs time = event.time;
  bool remarkable = std::holds_alternative<events::OomVictim>(event.payload);
  if (const auto* exit = std::get_if<events::ProcessExit>(&event.payload); exit && exit->tgid == tgid) {
    child.exited = true;
    remarkable = (exit->exit_code & 0x7f) != 0;  // a signal
  }
  if (const auto* end = std::get_if<events::SpaceEnd>(&event.payload))
    child.ended |= end->space == child.space && end->why != events::EndWhy::kExeced;
  child.events.push_back(std::move(event));
  ++held_;
  if (remarkable || held_ > kMostHeld)
    release(tgid);
  else if (child.ended && child.exited)
    forget(tgid, time);
}

// A child's first space, or the next one of a child that execs: true, it is held.
bool Young::starts(events::Event& event) {
  const auto* start = std::get_if<events::SpaceStart>(&event.payload);
  if (start == nullptr || start->space == SpaceId::kNone) return false;
  const Pid tgid = start->tgid;
  const SpaceId space = start->space;
  const auto parent = by_space_.find(start->parent);
  // Out of nothing: a child of vfork, which until now used its parent's space.
  const bool born = start->how == events::StartHow::kForked ||
                    (start->how == events::StartHow::kExeced && start->parent == SpaceId::kNone);
  if (born) {
    if (parent != by_space_.end()) release(parent->second);  // a parent is emitted before its child
    if (children_.contains(tgid)) release(tgid);             // its end was lost, and the number came again
    if (free(event.time)) return false;
    children_[tgid].born = event.time;
  } else if (start->how != events::StartHow::kExeced || parent == by_space_.end() || parent->second != tgid) {
    return false;
  }
  Child& child = children_[tgid];
  child.space = space;
  child.spaces.push_back(space);
  child.events.push_back(std::move(event));
  by_space_[space] = tgid;
  ++held_;
  return true;
}

bool Young::free(TimeNs now) {
  if (now > credit_at_ && credit_at_ != 0) {
    const double seconds = static_cast<double>(now - credit_at_) / 1e9;
    credit_ = std::min<double>(kFreeAtOnce, credit_ + seconds * kFreePerSecond);
  }
  credit_at_ = std::max(credit_at_, now);
  if (credit_ < 1) return false;
  credit_ -= 1;
  return true;
}

void Young::release(Pid tgid) {
  auto child = children_.extract(tgid);
  for (const SpaceId space : child.mapped().spaces) by_space_.erase(space);
  held_ -= child.mapped().events.size();
  for (events::Event& event : child.mapped().events) pass_(std::move(event));
}

void Young::forget(Pid tgid, TimeNs time) {
  const auto child = children_.extract(tgid);
  held_ -= child.mapped().events.size();
  ++not_told_;
  for (const SpaceId space : child.mapped().spaces) {
    by_space_.erase(space);
    over_(time, space);
  }
}

void Young::grow_up(TimeNs now) {
  std::vector<std::pair<TimeNs, Pid>> grown;
  for (const auto& [tgid, child] : children_)
    if (child.born + kYoungFor <= now) grown.emplace_back(child.born, tgid);
  std::sort(grown.begin(), grown.end());
  for (const auto& [born, tgid] : grown) release(tgid);
}

void Young::let_all_go() { grow_up(~TimeNs{0} - kYoungFor); }

}  // namespace memwhy::record
