// SPDX-License-Identifier: Apache-2.0
#include "app/agent_loop.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <tuple>

#include "app/agent_texts.h"
#include "app/recording.h"
#include "app/terminal.h"
#include "app/units.h"
#include "base/exit_status.h"
#include "base/text.h"
#include "base/time.h"
#include "events/order.h"
#include "procfs/discovery.h"

namespace memwhy::app {
namespace {

constexpr TimeNs kSecond = kNsPerSecond;
constexpr TimeNs kStopsWithin = 20 * kSecond;  // a service manager waits for 30 s
constexpr int kStopTickMs = 50;
constexpr TimeNs kTryAttaching = 60 * kSecond, kUnwanted = 30 * kSecond;

// Where it lives and listens is what it was started with. true: that was to be something else.
bool keep_start(const AgentSettings& started, AgentSettings& settings) {
  const auto of = [](auto& all) {
    return std::tie(all.dir, all.listen, all.socket, all.serve_recordings, all.token_file, all.no_uprobes);
  };
  const bool differs = of(started) != of(settings);
  of(settings) = of(started);
  return differs;
}

}  // namespace

AgentLoop::AgentLoop(AgentParts parts, AgentSettings settings, Reload reload)
    : parts_(std::move(parts)),
      reload_(std::move(reload)),
      processes_(parts_.proc),
      selection_(settings.rules()),
      gate_(static_cast<TimeNs>(settings.cool_down.count()), settings.per_hour),
      budget_(settings.budget, static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN))) {
  state_.cpus = static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  state_.settings = std::move(settings);
  state_.host = parts_.proc.host().host;
}

Status AgentLoop::run() {
  state_.started = state_.now = clock_ns(CLOCK_MONOTONIC);
  adopt_orphans();
  parts_.notify.send("READY=1\nSTATUS=watching");
  say(fmt::format("agent: watching; recordings go to {}{}", state_.settings.dir,
                  parts_.front != nullptr && state_.settings.listen != "none"
                      ? fmt::format(", metrics are at http://{}/metrics", state_.settings.listen)
                      : ""));
  next_pass_ = state_.now;
  while (!stopping_) {
    pollfd ready[2] = {{parts_.signals.get(), POLLIN, 0},
                       {parts_.front != nullptr ? parts_.front->channel().get() : -1, POLLIN, 0}};
    ::poll(ready, 2, static_cast<int>(events::kFileTick / 1'000'000));
    stopping_ |= take_signals();
    const TimeNs now = state_.now = clock_ns(CLOCK_MONOTONIC);
    each_tick(now);
    if (now >= next_pass_) {
      // Passes that were missed, on a machine that slept, are not made up for.
      next_pass_ = std::max(next_pass_ + pass_period(), now);
      each_pass(now);
    }
    if (std::optional<std::string> why = parts_.session.wait(0); why && !stopping_) {
      parts_.recorder->leave();  // the next agent makes recordings of them
      if (std::optional<Error> failure = parts_.session.failure()) return *std::move(failure);
      return Error(ErrorCode::kInternal, "the recording of the agent ended: " + *why);
    }
  }
  parts_.notify.send("STOPPING=1");
  close_what_fired();
  return {};
}

// Rings that nothing fired for go with the agent; the others become recordings first, unless that takes too long, or whoever
// stops it asks again: then the next agent makes recordings of them.
void AgentLoop::close_what_fired() {
  fire(state_.now);
  closers_.drop_looks();
  const size_t due = closings_.size() + closers_.waiting();
  if (due == 0) return;
  say(fmt::format("agent: stopping; {} ring{} still to become {}", due, due == 1 ? " has" : "s have",
                  due == 1 ? "a recording" : "recordings"));
  const TimeNs end = state_.now + kStopsWithin;
  while (!closings_.empty() || !closers_.idle()) {
    pollfd ready{parts_.signals.get(), POLLIN, 0};
    ::poll(&ready, 1, kStopTickMs);
    const TimeNs now = state_.now = clock_ns(CLOCK_MONOTONIC);
    if (now >= end || take_signals()) {
      parts_.recorder->leave();
      return warn("agent: stopped before that; the next agent makes recordings of all rings");
    }
    parts_.recorder->tick(now);
    close_due(now);
    while (std::optional<ClosedJob> job = closers_.poll(now)) closed(std::move(*job), now);
  }
}

bool AgentLoop::take_signals() {
  signalfd_siginfo info{};
  while (::read(parts_.signals.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo != SIGHUP) return true;
    reload();
  }
  return false;
}

void AgentLoop::reload() {
  parts_.notify.send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", clock_ns(CLOCK_MONOTONIC) / 1000));
  Result<AgentSettings> settings = reload_();
  if (settings) {
    const bool lives_elsewhere = keep_start(state_.settings, *settings);
    state_.settings = *std::move(settings);
    selection_.change(state_.settings.rules());
    gate_.change(static_cast<TimeNs>(state_.settings.cool_down.count()), state_.settings.per_hour);
    budget_.change(state_.settings.budget, state_.cpus);
    parts_.recorder->change(state_.settings.ring(), state_.settings.cgroup_rules());
    say(std::string("agent: the configuration was read again") +
        (lives_elsewhere ? "; dir, listen, socket, serve-recordings, token-file and no-uprobes stay until it "
                           "is started again"
                         : ""));
  } else {
    warn("agent: the configuration stays as it was: " + settings.error().message());
  }
  parts_.notify.send("READY=1");
}

void AgentLoop::each_tick(TimeNs now) {
  parts_.recorder->tick(now);
  if (std::vector<SpaceId> spaces = parts_.recorder->to_restate(); !spaces.empty())
    parts_.session.request_restate(std::move(spaces));
  welcome();
  spend(now);
  fire(now);
  close_due(now);
  while (std::optional<ClosedJob> job = closers_.poll(now)) closed(std::move(*job), now);
  if (now >= next_tidy_) tidy(now);
  answer_questions(now);
}

// A hundredth of what growth is judged by is often enough.
TimeNs AgentLoop::pass_period() const {
  return std::clamp<TimeNs>(static_cast<TimeNs>(state_.settings.window.count()) / 100, kSecond, 3 * kSecond);
}

void AgentLoop::each_pass(TimeNs now) {
  choose(now);
  watch_units(now);
  watch_node(now);
  look_at_units(now);
  if (parts_.notify.watchdog().count() != 0 && now >= next_watchdog_) {
    parts_.notify.send("WATCHDOG=1");
    next_watchdog_ = now + static_cast<TimeNs>(parts_.notify.watchdog().count());
  }
}

void AgentLoop::choose(TimeNs now) {
  const std::vector<agent::Seen> all = processes_.pass(now);
  std::set<Pid> refused;
  for (const auto& [pid, again] : refused_)
    if (now < again) refused.insert(pid);
  for (const auto& [pid, attached] : attached_)
    if (!attached.leaving) selection_.recorded(attached.unit, now);
  const std::vector<agent::Seen> chosen = selection_.pass(now, all, refused);
  ++state_.passes;
  state_.processes = all.size();
  state_.units = selection_.units();
  std::set<Pid> there;
  for (const agent::Seen& each : all) there.insert(each.pid);
  std::erase_if(attached_, [&](const auto& each) { return !there.contains(each.first); });
  std::erase_if(refused_, [&](const auto& each) { return !there.contains(each.first); });
  std::erase_if(told_, [&](Pid pid) { return !there.contains(pid); });
  attach(chosen, now);
  state_.recorded_processes = attached_.size();
  state_.recorded = parts_.recorder->units();
}

void AgentLoop::attach(const std::vector<agent::Seen>& chosen, TimeNs now) {
  std::set<Pid> wanted;
  for (const agent::Seen& each : chosen) {
    wanted.insert(each.pid);
    if (const auto known = attached_.find(each.pid); known != attached_.end()) {
      known->second.unwanted_since = 0;
      continue;
    }
    // One at a time, and none when there is no money.
    const bool grows = state_.units.contains(each.unit) && state_.units.at(each.unit).growing;
    const bool paid = budget_.pays() || (grows && budget_.lends(now, lent_at_));
    if (!joining_.empty() || !paid || refused_.contains(each.pid)) continue;
    Status fit = procfs::check_process(parts_.proc, each.pid);
    if (fit) fit = parts_.recorder->expect(each.pid, each.unit);
    if (!fit) {
      refuse(each.pid, fit.error());
      continue;
    }
    attached_[each.pid] = {each.unit, fmt::format("pid {} ({})", each.pid, each.comm), 0, false};
    joining_.emplace_back(each.pid, parts_.session.begin_add(each.pid));
    if (!budget_.pays()) lent_at_ = now;
  }
  std::erase_if(refused_, [&](const auto& each) { return each.second <= now; });
  const bool at_once = recorded_now() > selection_.most();
  for (auto& [pid, attached] : attached_) {
    if (wanted.contains(pid) || attached.leaving) continue;
    if (attached.unwanted_since == 0) attached.unwanted_since = now;
    if (!at_once && now < attached.unwanted_since + kUnwanted) continue;
    attached.leaving = true;
    leaving_.emplace_back(pid, parts_.session.begin_remove(pid));
  }
}

// Said once, and tried again.
void AgentLoop::refuse(Pid pid, const Error& error) {
  refused_[pid] = state_.now + kTryAttaching;
  if (error.code() != ErrorCode::kTargetGone && told_.insert(pid).second)
    warn("agent: not recorded: " + error.message());
}

// Attaching and leaving that has ended.
void AgentLoop::welcome() {
  const auto done = [](std::vector<std::pair<Pid, std::future<Status>>>& waiting, auto use) {
    std::erase_if(waiting, [&](auto& each) {
      if (!is_ready(each.second)) return false;
      use(each.first, each.second.get());
      return true;
    });
  };
  done(joining_, [&](Pid pid, const Status& added) {
    const auto attached = attached_.find(pid);
    if (attached == attached_.end()) return;
    if (added) {
      parts_.session.attached();
      say(fmt::format("agent: recording {} of {}", attached->second.name, attached->second.unit));
      return;
    }
    refuse(pid, added.error());
    parts_.recorder->forget(pid);
    attached_.erase(attached);
  });
  done(leaving_, [&](Pid pid, const Status& /*removed*/) {
    parts_.recorder->forget(pid);
    attached_.erase(pid);
  });
}

// Made once for each moment: who asks without end is not to cost what the budget is for.
const std::string& AgentLoop::metrics(bool open_metrics) {
  auto& [made_at, text] = metrics_[open_metrics ? 1 : 0];
  if (made_at + kSecond / 4 <= state_.now) {
    text = metrics_text(state_, open_metrics);
    made_at = state_.now;
  }
  return text;
}

void AgentLoop::answer_questions(TimeNs now) {
  if (parts_.front == nullptr) return;
  while (const std::optional<agent::Question> question = parts_.front->take(now)) {
    if (question->what == agent::Ask::kProfile) {
      profile(*question, now);
      continue;
    }
    std::string text;
    uint32_t status = 0;
    switch (question->what) {
      case agent::Ask::kMetrics:
        text = metrics(question->number == 1);
        break;
      case agent::Ask::kHealth:
        text = "ok\n";
        break;
      case agent::Ask::kStatus:
        text = status_text(state_);
        break;
      case agent::Ask::kTop:
        text = top_text(state_);
        break;
      case agent::Ask::kRecordings:
        text = recordings_text(state_);
        break;
      case agent::Ask::kTrigger:
        status = request(question->number, now, text);
        break;
      case agent::Ask::kStop:
        text = "the agent stops\n";
        stopping_ = true;
        break;
      case agent::Ask::kNothing:
      case agent::Ask::kProfile:
        break;
    }
    parts_.front->answer(*question, status, text);
  }
}

}  // namespace memwhy::app
