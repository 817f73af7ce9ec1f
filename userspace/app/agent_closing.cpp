// SPDX-License-Identifier: Apache-2.0
// The agent's loop, from a trigger to a recording on disk. What it decides by is agent/trigger.h's.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "agent/metrics.h"
#include "app/agent_loop.h"
#include "app/terminal.h"
#include "app/units.h"
#include "base/exit_status.h"
#include "base/text.h"
#include "base/time.h"
#include "procfs/cgroup_text.h"
#include "procfs/text.h"

namespace memwhy::app {
namespace {

// From a trigger to the closing: a scan of its moment, and what comes late, are in the recording.
constexpr TimeNs kSettles = 2 * kNsPerSecond;
constexpr TimeNs kTidyEach = 10 * kNsPerSecond, kLooksEach = 60 * kNsPerSecond, kDeserted = 30 * kNsPerSecond;
constexpr TimeNs kTryAgain = 60 * kNsPerSecond;  // a ring that failed
constexpr uint64_t kRoomForNext =
    32;  // of the disk: rings grow, and a recording is closed, until the next look
constexpr double kBudgetOfLooks = 0.25;
constexpr double kWatchedEnough = 20;  // seconds
constexpr size_t kMostCounted = 10'000;

// Counts of units that come and go for ever are one count from some number on.
std::string of_others(const std::string& /*unit*/) { return std::string(agent::kOther); }
std::pair<std::string, agent::Trigger> of_others(const std::pair<std::string, agent::Trigger>& key) {
  return {std::string(agent::kOther), key.second};
}
template <typename Counts>
uint64_t& count_of(Counts& counts, const typename Counts::key_type& key) {
  return counts[counts.size() < kMostCounted || counts.contains(key) ? key : of_others(key)];
}

}  // namespace

void AgentLoop::adopt_orphans() {
  const std::vector<agent::Orphan> orphans = parts_.store.orphans();
  size_t kept = 0;
  for (const agent::Orphan& orphan : orphans) {
    if (orphan.parts.empty()) {
      agent::Store::remove(orphan);
      continue;
    }
    // Out of the way of a ring of the same unit.
    agent::Orphan moved = agent::Store::set_aside(orphan);
    ClosingJob job{orphan.unit,  std::string(agent::kInterrupted),
                   std::nullopt, parts_.store.temporary(++closing_number_),
                   moved.parts,  false,
                   moved.folder};
    closers_.add(std::move(job));
    ++kept;
  }
  if (kept != 0)
    say(fmt::format("agent: the one before was killed; {} ring{} that it left {} made recordings", kept,
                    kept == 1 ? "" : "s", kept == 1 ? "is" : "are"));
}

// Of an operator. The status of the command.
uint32_t AgentLoop::request(Pid pid, TimeNs now, std::string& text) {
  const auto attached = attached_.find(pid);
  if (attached == attached_.end()) {
    text = fmt::format("pid {} is not recorded by this agent; memwhy agent top says what is\n", pid);
    return static_cast<uint32_t>(exit_status(ErrorCode::kTargetGone));
  }
  const std::string unit = attached->second.unit;
  if (!judge({agent::Trigger::kRequest, unit, now, fmt::format("{} was asked for", unit), pid}, now)) {
    text = fmt::format("{} has no ring yet; memwhy agent top says how far back each reaches\n", escape(unit));
    return static_cast<uint32_t>(exit_status(ErrorCode::kTooLate));
  }
  text = fmt::format("the ring of {} becomes a recording; memwhy agent recordings lists it\n", escape(unit));
  return 0;
}

// What the passes over all processes show.
void AgentLoop::watch_units(TimeNs now) {
  for (const auto& [name, recorded] : state_.recorded) {
    const auto found = state_.units.find(name);
    if (found == state_.units.end()) continue;
    const agent::UnitFigures& figures = found->second;
    if (figures.grown && figures.growth_bytes)
      judge(
          {agent::Trigger::kGrowth, name, now,
           fmt::format("{} grew by {} in {}", name, human_bytes(static_cast<uint64_t>(*figures.growth_bytes)),
                       duration_text(state_.settings.window)),
           0},
          now);
    if (figures.stepped)
      judge({agent::Trigger::kStep, name, now,
             fmt::format("{} grew by {} in 10 s", name, human_bytes(figures.step_bytes)), 0},
            now);
  }
}

// The unit is a suspicion: the kernel tells how long tasks waited, not for whom.
void AgentLoop::watch_node(TimeNs now) {
  events::CgroupMemory node;
  if (const auto text = procfs::read_file(parts_.proc.fd(), "pressure/memory"))
    procfs::parse_memory_pressure(*text, node);
  if (!node.waited_some_us || state_.settings.pressure <= 0) return;
  const std::optional<double> share = node_waits_.at(now, *node.waited_some_us);
  if (!share || *share < state_.settings.pressure) return;
  const auto most = agent::most_grown(
      state_.units, [this](const std::string& unit) { return state_.recorded.contains(unit); });
  if (!most) return;
  judge({agent::Trigger::kNodePressure, most->unit, now,
         fmt::format("tasks of the node waited for memory {:.0f} % of {} s; {} {}", 100 * *share,
                     agent::Waits::kOver / kNsPerSecond, most->unit,
                     most->bytes == 0 ? "is the largest" : "grew most, by " + human_bytes(most->bytes)),
         0},
        now);
}

void AgentLoop::fire(TimeNs now) {
  for (agent::Firing& firing : parts_.recorder->take_firings()) {
    if (firing.trigger == agent::Trigger::kOomKill) ++count_of(state_.oom_kills, firing.unit);
    judge(std::move(firing), now);
  }
  const std::vector<Error> failures = parts_.recorder->take_failures();
  if (failures.empty()) return;
  warn(fmt::format("agent: {} ended, and what {} had is lost; tried again in a minute: {}",
                   failures.size() == 1 ? "a ring has" : fmt::format("{} rings have", failures.size()),
                   failures.size() == 1 ? "it" : "they", failures.front().message()));
  state_.recorded = parts_.recorder->units();
  for (auto& [pid, attached] : attached_) {
    if (attached.leaving || state_.recorded.contains(attached.unit)) continue;
    attached.leaving = true;
    refused_[pid] = now + kTryAgain;
    leaving_.emplace_back(pid, parts_.session.begin_remove(pid));
  }
}

bool AgentLoop::judge(agent::Firing firing, TimeNs now) {
  TriggerCounts& counts = state_.triggers[static_cast<size_t>(firing.trigger)];
  if (!state_.recorded.contains(firing.unit)) {
    ++counts.no_ring;
    return false;
  }
  switch (gate_.pass(firing)) {
    case agent::Suppressed::kCoolDown:
      ++counts.cool_down;
      return false;
    case agent::Suppressed::kCap:
      ++counts.cap;
      return false;
    case agent::Suppressed::kAgain:
      return false;
    case agent::Suppressed::kNo:
      break;
  }
  ++counts.fired;
  say(fmt::format("agent: {}; its ring becomes a recording", firing.sentence));
  parts_.session.request_restate(parts_.recorder->spaces_of(firing.unit));
  closings_.push_back({std::move(firing), now + kSettles});
  return true;
}

void AgentLoop::close_due(TimeNs now) {
  std::erase_if(closings_, [&](Closing& closing) {
    if (now < closing.due) return false;
    const std::string& unit = closing.firing.unit;
    std::vector<std::string> parts = parts_.recorder->hold(unit);
    if (parts.empty()) {
      ++state_.triggers[static_cast<size_t>(closing.firing.trigger)].no_ring;
      return true;
    }
    closers_.add({unit, std::string(agent::word(closing.firing.trigger)), closing.firing,
                  parts_.store.temporary(++closing_number_), std::move(parts), true, ""});
    return true;
  });
}

// One unit after the other, the one first that was not looked at for longest.
void AgentLoop::look_at_units(TimeNs now) {
  std::erase_if(looked_at_, [&](const auto& each) { return !state_.recorded.contains(each.first); });
  std::erase_if(state_.explained, [&](const auto& each) {
    return !state_.recorded.contains(each.first) && each.second.at + 5 * kLooksEach < now;
  });
  if (!closers_.idle() || now < next_look_ || !budget_.pays()) return;
  const std::string* next = nullptr;
  TimeNs oldest = now;
  for (const auto& [unit, recorded] : state_.recorded) {
    const TimeNs at = looked_at_.contains(unit) ? looked_at_[unit] : 0;
    const bool due =
        at == 0 ? recorded.from != 0 && recorded.from + kLooksEach / 6 <= now : at + kLooksEach <= now;
    if (!due || at >= oldest) continue;
    oldest = at;
    next = &unit;
  }
  if (next == nullptr) return;
  looked_at_[*next] = now;
  std::vector<std::string> parts = parts_.recorder->hold(*next);
  if (!parts.empty()) closers_.add({*next, "look", std::nullopt, "-", std::move(parts), true, ""});
}

// The recording gets its name. kOutput.
Status AgentLoop::keep(const ClosedJob& closed, std::string& name) {
  const auto realtime = static_cast<int64_t>(clock_ns(CLOCK_REALTIME));
  name = parts_.store.name_for(state_.host, closed.job.unit, realtime, closed.job.why);
  return parts_.store.publish(closed.job.output, name);
}

// Made by a child, unless there is one that is good.
void AgentLoop::profile(const agent::Question& question, TimeNs now) {
  const auto fails = [&](ErrorCode code, std::string_view text) {
    parts_.front->answer(question, static_cast<uint32_t>(exit_status(code)), text);
  };
  const auto unit = std::find_if(state_.recorded.begin(), state_.recorded.end(), [&](const auto& each) {
    return agent::unit_key(each.first) == question.unit;
  });
  if (unit == state_.recorded.end())
    return fails(ErrorCode::kTargetGone,
                 "no unit of this name is recorded; memwhy agent top says which are\n");
  if (const std::optional<std::string> kept = profiles_.kept(unit->first, now))
    return parts_.front->answer(question, 0, *kept);
  if (profiles_.awaited(unit->first)) return profiles_.await(unit->first, question);
  if (state_.level >= agent::Level::kFewer)
    return fails(ErrorCode::kLimit, "the agent is over its budget, and makes no profile\n");
  std::vector<std::string> parts = parts_.recorder->hold(unit->first);
  if (parts.empty()) return fails(ErrorCode::kTooLate, "the recording of this unit has just begun\n");
  profiles_.await(unit->first, question);
  closers_.add({unit->first, kProfileWord, std::nullopt, parts_.store.temporary(++closing_number_),
                std::move(parts), true, ""});
}

void AgentLoop::closed(ClosedJob closed, TimeNs now) {
  const ClosingJob& job = closed.job;
  if (job.holds) parts_.recorder->release(job.unit);
  if (job.why == kProfileWord) {
    const Result<std::string> made = profiles_.made(closed, budget_.rate() * kBudgetOfLooks, now);
    for (const agent::Question& question : profiles_.take_awaiting(job.unit))
      parts_.front->answer(question, made ? 0 : static_cast<uint32_t>(exit_status(made.error().code())),
                           made ? *made : made.error().message() + "\n");
    return;
  }
  if (!job.orphan.empty()) agent::Store::remove({job.unit, job.orphan, job.parts});
  const double share = budget_.rate() * kBudgetOfLooks;
  next_look_ = now + static_cast<TimeNs>(static_cast<double>(closed.cpu_ns) / std::max(share, 1e-6));
  if (!closed.answer) {
    if (job.output != "-") ++state_.closings_failed;
    warn(fmt::format("agent: the ring of {} {}: {}", job.unit,
                     job.output == "-" ? "can't be explained" : "became no recording",
                     closed.answer.error().message()));
    return;
  }
  const UnitAnswer& answer = *closed.answer;
  if (job.output != "-") {
    std::string name;
    if (Status kept = keep(closed, name); !kept) {
      ++state_.closings_failed;
      warn("agent: " + kept.error().message());
      return;
    }
    if (job.firing) ++count_of(state_.closed, {job.unit, job.firing->trigger});
    say(fmt::format("agent: {}: {} s before it ({}); {}", name, static_cast<uint64_t>(answer.seconds),
                    human_bytes(answer.file_bytes), answer.sentence));
    for (const std::string& damage : answer.damage) warn("agent: " + name + ": " + damage);
    state_.recordings = parts_.store.recordings();
    next_tidy_ = 0;
  }
  if (!job.orphan.empty()) return;
  if (answer.heap_profile_bytes) selection_.heap_profile(job.unit, *answer.heap_profile_bytes);
  // A problem that is certain, and was not there before.
  for (const UnitProblem& problem : answer.problems) {
    const bool certain = problem.confidence == "high" && answer.seconds >= kWatchedEnough;
    if (!certain || known_causes_.contains({job.unit, problem.cause})) continue;
    // One that the gate keeps back is a surprise again next time.
    if (job.firing ||
        judge({agent::Trigger::kFinding, job.unit, now, fmt::format("{}: {}", job.unit, answer.sentence), 0},
              now))
      known_causes_.insert({job.unit, problem.cause});
  }
  state_.explained[job.unit] = {std::move(*closed.answer), now};
}

// Rings that nobody needs, and the quota.
void AgentLoop::tidy(TimeNs now) {
  next_tidy_ = now + kTidyEach;
  uint64_t rings = 0;
  for (const auto& [unit, recorded] : state_.recorded) {
    rings += recorded.ring_bytes;
    const bool awaited = std::any_of(closings_.begin(), closings_.end(),
                                     [&](const Closing& each) { return each.firing.unit == unit; });
    const bool wanted = std::any_of(attached_.begin(), attached_.end(),
                                    [&](const auto& each) { return each.second.unit == unit; });
    if (recorded.spaces != 0 || awaited || wanted) {
      deserted_.erase(unit);
      continue;
    }
    const TimeNs since = deserted_.try_emplace(unit, now).first->second;
    // What the budget keeps from being recorded had a past.
    const bool kept_out = state_.units.contains(unit) && state_.recorded.size() <= state_.settings.top &&
                          std::min(state_.most, memory_.most(state_.most)) < state_.wanted;
    const TimeNs patience = kept_out ? static_cast<TimeNs>(state_.settings.keep.count()) : kDeserted;
    if (now >= since + patience && parts_.recorder->drop(unit)) deserted_.erase(unit);
  }
  profiles_.tidy(now);
  std::erase_if(deserted_, [&](const auto& each) { return !state_.recorded.contains(each.first); });
  std::erase_if(known_causes_, [&](const auto& each) {
    return !state_.recorded.contains(each.first) && !state_.units.contains(each.first);
  });
  const uint64_t quota = state_.settings.disk - state_.settings.disk / kRoomForNext;
  for (const agent::StoredRecording& removed : parts_.store.trim(quota, rings)) {
    ++state_.recordings_removed;
    say(fmt::format("agent: {} ({}) made room for others", removed.name, human_bytes(removed.bytes)));
  }
  state_.recordings = parts_.store.recordings();
  uint64_t all = rings;
  for (const agent::StoredRecording& each : state_.recordings) all += each.bytes;
  const bool too_much = all > state_.settings.disk;
  if (too_much && !over_disk_)
    warn(fmt::format("agent: {} takes {}, of {}, and nothing in it can be removed", state_.settings.dir,
                     human_bytes(all), human_bytes(state_.settings.disk)));
  over_disk_ = too_much;
}

}  // namespace memwhy::app
