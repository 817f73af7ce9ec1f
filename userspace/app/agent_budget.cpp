// SPDX-License-Identifier: Apache-2.0
// The agent's loop: what it costs, what it gives up for that, and where it says so. What it decides by is agent/budget.h's and
// agent/memory_limit.h's.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

#include "app/agent_loop.h"
#include "app/agent_texts.h"
#include "app/terminal.h"
#include "app/units.h"
#include "base/text.h"
#include "base/time.h"

namespace memwhy::app {
namespace {

// The kernel's side is known each second.
constexpr TimeNs kSpendsEach = 2 * kNsPerSecond;

}  // namespace

size_t AgentLoop::recorded_now() const {
  return static_cast<size_t>(std::count_if(attached_.begin(), attached_.end(),
                                           [](const auto& each) { return !each.second.leaving; }));
}

void AgentLoop::spend(TimeNs now) {
  const agent::RecorderTotals totals = parts_.recorder->totals();
  if (totals.at == state_.totals.at && now < spent_at_ + kSpendsEach) return;
  if (spent_at_ != 0) state_.level_ns[static_cast<size_t>(state_.level)] += now - spent_at_;
  spent_at_ = now;
  state_.totals = totals;
  const uint64_t closing = closers_.running_cpu_ns();
  const uint64_t all = processes_.own_cpu_ns(closers_.running()) + closing;
  state_.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  state_.children_ns = all - std::min(all, state_.cpu_ns);
  const agent::Level before = state_.level;
  const size_t most_before = state_.most;
  state_.wanted = selection_.wanted();
  // Children work for what is done once: they open and parse files of what is new, read heaps, close rings.
  const uint64_t now_and_then = state_.children_ns + parts_.session.progress().lumps_ns;
  state_.level = budget_.at(now, {all + totals.bpf_ns, now_and_then, totals.faults_ns, totals.passing_ns},
                            {recorded_now(), state_.wanted});
  state_.most = budget_.most(state_.settings.top);
  state_.pause_ends = budget_.pause_ends();
  state_.cpu_ratio = budget_.ratio(state_.cpus);
  state_.cpu_ratio_now = budget_.ratio_now(state_.cpus);
  const bool fewer = state_.level >= agent::Level::kFewer && state_.most < most_before;
  if (state_.level != before || fewer) tell_budget(std::max(state_.level, before) >= agent::Level::kFewer);
  if (fewer) next_pass_ = now;
  parts_.session.set_pace(budget_.pace());
  keep_to_memory(now);
  selection_.limit(std::min(state_.most, memory_.most(state_.settings.top)));
}

// `gap`: it is in what the recordings have.
void AgentLoop::tell_budget(bool gap) {
  const std::string sentence = fmt::format(
      "it takes {:.2g} % of {:.0f} CPUs, and {:.2g} % over the last minute, of a budget of {:.3g} %: {}",
      100 * state_.cpu_ratio_now, state_.cpus, 100 * state_.cpu_ratio, 100 * state_.settings.budget,
      given_up_text(state_));
  say("agent: " + sentence);
  if (gap) note_kept("budget", sentence);
}

// In each recording, with the time of day.
void AgentLoop::note_kept(const char* limit, const std::string& sentence) {
  parts_.recorder->note(
      state_.now, fmt::format("{}: memwhy agent kept to its {}: {}.",
                              utc_text(static_cast<int64_t>(clock_ns(CLOCK_REALTIME))), limit, sentence));
}

void AgentLoop::keep_to_memory(TimeNs now) {
  state_.rss_bytes = processes_.own_rss_bytes();
  if (!memory_.at(now, state_.rss_bytes, state_.settings.memory, recorded_now(), state_.wanted)) return;
  const std::string sentence = fmt::format("it has {} of memory, of {}: at most {} processes are recorded",
                                           human_bytes(state_.rss_bytes), human_bytes(state_.settings.memory),
                                           memory_.most(state_.settings.top));
  warn("agent: " + sentence);
  note_kept("memory", sentence);
  ::malloc_trim(0);
}

}  // namespace memwhy::app
