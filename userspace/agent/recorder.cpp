// SPDX-License-Identifier: Apache-2.0
#include "agent/recorder.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include "agent/unit.h"
#include "base/text.h"
#include "events/visit.h"

namespace memwhy::agent {
namespace {

constexpr size_t kMostFirings = 1000;
constexpr size_t kMostNotes = 32;

// Whose event it is; kNone: of no space, or of the recording.
SpaceId space_of(const events::Payload& payload) {
  return std::visit(
      [](const auto& event) {
        if constexpr (requires { event.space; })
          return event.space;
        else
          return SpaceId::kNone;
      },
      payload);
}

bool is_in(std::string_view cgroup, std::string_view group) {
  return cgroup.starts_with(group) &&
         (cgroup.size() == group.size() || group == "/" || cgroup[group.size()] == '/');
}

}  // namespace

Recorder::Recorder(std::string folder, RingLimits limits, CgroupRules rules)
    : folder_(std::move(folder)), limits_(limits), cgroups_(rules) {}

Status Recorder::expect(Pid pid, const std::string& unit) {
  const std::lock_guard lock(mutex_);
  Unit& known = units_[unit];
  if (!known.ring) {
    Result<std::unique_ptr<Ring>> ring = Ring::open(folder_ + "/" + file_name_of(unit), limits_);
    if (!ring) {
      units_.erase(unit);
      return std::move(ring).error();
    }
    known.ring = std::move(*ring);
  }
  expected_[pid] = unit;
  return {};
}

bool Recorder::drop(const std::string& unit) {
  const std::lock_guard lock(mutex_);
  const auto found = units_.find(unit);
  if (found == units_.end()) return true;
  if (found->second.spaces != 0 || found->second.ring->pinned()) return false;
  std::erase_if(expected_, [&](const auto& each) { return each.second == unit; });
  units_.erase(found);
  return true;
}

void Recorder::forget(Pid pid) {
  const std::lock_guard lock(mutex_);
  expected_.erase(pid);
}

void Recorder::note(TimeNs at, std::string sentence) {
  const std::lock_guard lock(mutex_);
  notes_.emplace_back(at, std::move(sentence));
  if (notes_.size() > kMostNotes) notes_.pop_front();
  if (hooks_) give_hooks(at);
}

// The session's report, with the notes; to all rings, and to those that begin later.
void Recorder::give_hooks(TimeNs at) {
  while (!notes_.empty() && notes_.front().first + limits_.keep < at) notes_.pop_front();
  events::HookReport report = plain_hooks_;
  for (const auto& [time, sentence] : notes_) report.notices.push_back(sentence);
  hooks_ = {at, std::move(report)};
  for (auto& [name, unit] : units_)
    if (unit.opened) unit.ring->on_event(*hooks_);
}

void Recorder::change(RingLimits limits, CgroupRules rules) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
  cgroups_.change(rules);
}

void Recorder::leave() {
  const std::lock_guard lock(mutex_);
  for (auto& [name, unit] : units_) unit.ring->leave();
}

Recorder::Unit* Recorder::unit_of(SpaceId space) {
  const auto found = spaces_.find(space);
  if (found == spaces_.end()) return nullptr;
  const auto unit = units_.find(found->second.unit);
  return unit == units_.end() ? nullptr : &unit->second;
}

// A ring begins with its first event, and not with the session.
void Recorder::give(Unit& unit, const events::Event& event) {
  if (!unit.opened) {
    unit.opened = true;
    for (const auto* opening : {&info_, &first_anchor_, &anchor_, &hooks_, &coverage_})
      if (*opening) unit.ring->on_event({event.time, (*opening)->payload});
  }
  definitions_.give_for(event, unit.ring->given, *unit.ring);
  unit.ring->on_event(event);
}

void Recorder::on_event(const events::Event& event) {
  const std::lock_guard lock(mutex_);
  if (Definitions::is_definition(event)) return define(event);
  if (const auto* cgroup = std::get_if<events::CgroupMemory>(&event.payload))
    return of_cgroup(event, *cgroup);
  if (const auto* start = std::get_if<events::SpaceStart>(&event.payload)) begin_space(*start);
  const SpaceId space = space_of(event.payload);
  if (space == SpaceId::kNone) return about_recording(event);
  if (std::holds_alternative<events::SpaceEnd>(event.payload)) definitions_.end(space);
  Unit* const unit = unit_of(space);
  if (unit == nullptr) {
    ++totals_.no_ring;
    return;
  }
  give(*unit, event);
  watch(event, spaces_.at(space));
  if (const auto* end = std::get_if<events::SpaceEnd>(&event.payload)) end_space(*end);
}

void Recorder::about_recording(const events::Event& event) {
  const auto keep = [&](std::optional<events::Event>& last) { last = event; };
  std::visit(
      events::Overloaded{[&](const events::RecordingInfo&) { keep(info_); },
                         [&](const events::ClockAnchor&) { keep(first_anchor_ ? anchor_ : first_anchor_); },
                         [&](const events::HookReport& report) { plain_hooks_ = report; },
                         [&](const events::Coverage& coverage) {
                           keep(coverage_);
                           hook_time_.see(coverage, event.time - (info_ ? info_->time : event.time));
                           totals_.faults = coverage.faults_seen;
                           totals_.bpf_ns = hook_time_.all_ns();
                           totals_.faults_ns = hook_time_.faults_ns();
                           totals_.passing_ns = hook_time_.passing_ns();
                           totals_.at = event.time;
                         },
                         [&](const events::Loss& loss) { totals_.lost += loss.count; }, [](const auto&) {}},
      event.payload);
  if (std::holds_alternative<events::HookReport>(event.payload)) return give_hooks(event.time);
  for (auto& [name, unit] : units_)
    if (unit.opened) unit.ring->on_event(event);
}

void Recorder::begin_space(const events::SpaceStart& start) {
  const auto expected = expected_.find(start.tgid);
  if (expected == expected_.end()) return;
  const auto unit = units_.find(expected->second);
  if (unit == units_.end()) return;
  const auto [at, added] = spaces_.try_emplace(start.space);
  if (added) ++unit->second.spaces;
  at->second = {expected->second, start.cgroup, start.comm, start.tgid, at->second.oom};
}

void Recorder::end_space(const events::SpaceEnd& end) {
  const auto found = spaces_.find(end.space);
  if (found == spaces_.end()) return;
  if (end.why == events::EndWhy::kExited) expected_.erase(found->second.pid);
  const auto unit = units_.find(found->second.unit);
  if (unit != units_.end()) --unit->second.spaces;
  spaces_.erase(found);
}

void Recorder::define(const events::Event& event) {
  definitions_.remember(event);
  const Unit* const own = unit_of(space_of(event.payload));
  for (auto& [name, unit] : units_)
    if (unit.opened && definitions_.wanted(event, unit.ring->given, &unit == own))
      definitions_.give(event, unit.ring->given, *unit.ring);
}

void Recorder::of_cgroup(const events::Event& event, const events::CgroupMemory& memory) {
  const std::vector<CgroupWatch::Fired> fired = cgroups_.see(event.time, memory);
  std::map<std::string, Unit*> concerned;
  for (const auto& [id, space] : spaces_) {
    if (!is_in(space.cgroup, memory.path)) continue;
    if (const auto unit = units_.find(space.unit); unit != units_.end())
      concerned[space.unit] = &unit->second;
  }
  for (const auto& [name, unit] : concerned) {
    give(*unit, event);
    unit->cgroup_usage_bytes = memory.usage_bytes;
    unit->cgroup_limit_bytes = memory.limit_bytes;
    for (const CgroupWatch::Fired& each : fired)
      fire(each.trigger, name, event.time, fmt::format("the cgroup of {} {}", name, each.what));
  }
}

void Recorder::watch(const events::Event& event, const Space& space) {
  const std::string name = fmt::format("{} (pid {})", space.comm, space.pid);
  if (std::holds_alternative<events::OomVictim>(event.payload)) {
    const SpaceId id = space_of(event.payload);
    spaces_.at(id).oom = true;
    ++units_.at(space.unit).oom_kills;
    fire(Trigger::kOomKill, space.unit, event.time, fmt::format("the kernel killed {} for memory", name),
         space.pid);
  } else if (const auto* loss = std::get_if<events::Loss>(&event.payload)) {
    totals_.lost += loss->count;
  } else if (const auto* exit = std::get_if<events::ProcessExit>(&event.payload)) {
    const int status = static_cast<int>(exit->exit_code);
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    // What the OOM killer sends is that trigger's already.
    if (!is_surprise(signal) || (space.oom && signal == SIGKILL)) return;
    const char* const text = ::sigabbrev_np(signal);
    fire(Trigger::kSignal, space.unit, event.time,
         fmt::format("{} was ended by {}", name,
                     text == nullptr ? std::to_string(signal) : "SIG" + std::string(text)),
         space.pid);
  }
}

void Recorder::fire(Trigger trigger, const std::string& unit, TimeNs at, std::string sentence, Pid pid) {
  if (firings_.size() < kMostFirings) firings_.push_back({trigger, unit, at, std::move(sentence), pid});
}

void Recorder::tick(TimeNs now) {
  const std::lock_guard lock(mutex_);
  for (auto at = units_.begin(); at != units_.end();) {
    at->second.ring->tick(now);
    if (!at->second.ring->failure() || at->second.ring->pinned()) {
      ++at;
      continue;
    }
    failures_.push_back(*at->second.ring->failure());
    for (auto& [id, space] : spaces_)
      if (space.unit == at->first) space.unit.clear();
    std::erase_if(expected_, [&](const auto& each) { return each.second == at->first; });
    at = units_.erase(at);
  }
}

std::vector<SpaceId> Recorder::to_restate() {
  const std::lock_guard lock(mutex_);
  std::vector<SpaceId> spaces;
  for (auto& [name, unit] : units_) {
    const bool wants = unit.spaces != 0 && unit.ring->wants_restate();
    if (!std::exchange(unit.restating, wants) && wants) add_spaces(name, spaces);
  }
  return spaces;
}

std::vector<SpaceId> Recorder::spaces_of(const std::string& unit) const {
  const std::lock_guard lock(mutex_);
  std::vector<SpaceId> spaces;
  add_spaces(unit, spaces);
  return spaces;
}

void Recorder::add_spaces(const std::string& unit, std::vector<SpaceId>& to) const {
  for (const auto& [id, space] : spaces_)
    if (space.unit == unit) to.push_back(id);
}

std::vector<Firing> Recorder::take_firings() {
  const std::lock_guard lock(mutex_);
  return std::exchange(firings_, {});
}

std::vector<Error> Recorder::take_failures() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failures_, {});
}

std::vector<std::string> Recorder::hold(const std::string& unit) {
  const std::lock_guard lock(mutex_);
  const auto found = units_.find(unit);
  if (found == units_.end() || !found->second.opened) return {};
  found->second.ring->pin();
  return found->second.ring->snapshot();
}

void Recorder::release(const std::string& unit) {
  const std::lock_guard lock(mutex_);
  if (const auto found = units_.find(unit); found != units_.end()) found->second.ring->unpin();
}

std::map<std::string, RecordedUnit> Recorder::units() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, RecordedUnit> out;
  for (const auto& [name, unit] : units_)
    out[name] = {unit.spaces,
                 unit.ring->bytes(),
                 unit.ring->from(),
                 unit.cgroup_usage_bytes,
                 unit.cgroup_limit_bytes,
                 unit.oom_kills};
  return out;
}

RecorderTotals Recorder::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

}  // namespace memwhy::agent
