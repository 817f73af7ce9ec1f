// SPDX-License-Identifier: Apache-2.0
#include "agent/selection.h"

#include <algorithm>

namespace memwhy::agent {
namespace {

constexpr TimeNs kPointsOfWindow = 20;
constexpr double kStays = 1.25;  // a recorded one against others
constexpr size_t kMostUnits = 20'000;

bool below(std::string_view path, std::string_view group) {
  return path.starts_with(group) &&
         (path.size() == group.size() || group.ends_with('/') || path[group.size()] == '/');
}

}  // namespace

std::optional<MostGrown> most_grown(const std::map<std::string, UnitFigures>& units,
                                    const std::function<bool(const std::string&)>& counts) {
  std::optional<MostGrown> most;
  uint64_t largest = 0;
  for (const auto& [name, figures] : units) {
    if (!counts(name)) continue;
    const auto grown = std::max(static_cast<uint64_t>(std::max<int64_t>(figures.growth_bytes.value_or(0), 0)),
                                figures.step_bytes);
    if (most && std::pair(grown, figures.anon_bytes) <= std::pair(most->bytes, largest)) continue;
    most = {name, grown};
    largest = figures.anon_bytes;
  }
  return most;
}

bool Selection::is_asked_for(const Seen& seen) const {
  if (rules_.comms.empty() && rules_.cgroups.empty()) return true;
  const auto is_in = [&](const std::string& group) {
    return group.starts_with('/') ? below(seen.cgroup, group) : seen.unit == group;
  };
  return std::find(rules_.comms.begin(), rules_.comms.end(), seen.comm) != rules_.comms.end() ||
         std::any_of(rules_.cgroups.begin(), rules_.cgroups.end(), is_in);
}

bool Selection::is_worth_it(TimeNs now, const Seen& seen) const {
  const bool young = seen.since != 0 && now < seen.since + rules_.window / kStartIs;
  return !young && seen.rss_bytes >= rules_.min_rss_bytes && is_asked_for(seen);
}

// Since its start was over. What it does in its first minutes may be all that it will ever do: so this fires nothing.
bool Selection::is_growing(TimeNs now, const Past& past, uint64_t bytes) const {
  const TimeNs start = past.first_seen == first_pass_ ? 0 : rules_.window / kStartIs;
  const auto from = [&](TimeNs time) {
    return std::ranges::find_if(past.window, [&](const Point& point) { return point.time >= time; });
  };
  const auto base = from(past.first_seen + start);
  if (base == past.window.end() || now < base->time + rules_.window / kStartIs) return false;
  const auto middle = from(base->time + (now - base->time) / 2);
  const auto share = static_cast<uint64_t>(static_cast<double>(base->bytes) * rules_.growth_share);
  const uint64_t least = std::max<uint64_t>({rules_.growth_bytes / 4, share / 4, 1});
  return bytes >= base->bytes + least && middle != past.window.end() &&
         bytes >= middle->bytes + (bytes - base->bytes) / 4;
}

// `past` holds everything before this pass.
void Selection::judge(TimeNs now, const Past& past, UnitFigures& figures) const {
  const auto moved = [&](uint64_t then) {
    return static_cast<int64_t>(figures.anon_bytes) - static_cast<int64_t>(then);
  };
  const bool watched = now >= past.first_seen + rules_.window;
  if (watched && !past.window.empty()) {
    const Point& base = past.window.front();
    const auto middle = std::find_if(past.window.begin(), past.window.end(), [&](const Point& point) {
      return point.time + rules_.window / 2 >= now;
    });
    figures.growth_bytes = moved(base.bytes);
    const auto least =
        std::max<int64_t>(static_cast<int64_t>(std::max<uint64_t>(rules_.growth_bytes, 1)),
                          static_cast<int64_t>(static_cast<double>(base.bytes) * rules_.growth_share));
    const int64_t later = middle == past.window.end() ? 0 : moved(middle->bytes);
    figures.grown = *figures.growth_bytes >= least && later >= *figures.growth_bytes / 4;
  }
  if (watched && !past.recent.empty()) {
    const int64_t step = moved(past.recent.front().bytes);
    figures.step_bytes = step > 0 ? static_cast<uint64_t>(step) : 0;
    figures.stepped = figures.step_bytes >= rules_.step_bytes;
  }
  figures.growing = is_growing(now, past, figures.anon_bytes);
}

void Selection::recorded(const std::string& unit, TimeNs now) {
  Past& past = past_[unit];
  if (now > past.recorded_last + kStepTime) past.recorded_since = now;
  past.recorded_last = now;
}

Selection::Rank Selection::rank(TimeNs now, const Seen& seen) const {
  const auto past = past_.find(seen.unit);
  const auto figures = figures_.find(seen.unit);
  double bytes = static_cast<double>(seen.anon_bytes);
  if (figures != figures_.end() && figures->second.anon_bytes != 0) {
    const auto all = static_cast<double>(figures->second.anon_bytes);
    const double shown = past == past_.end() ? 0 : static_cast<double>(past->second.heap_profile);
    bytes *= 1 - std::min(1.0, shown / all);
    bytes += static_cast<double>(std::max<int64_t>(figures->second.growth_bytes.value_or(0), 0));
  }
  if (chosen_.contains(seen.pid)) bytes *= kStays;
  const bool growing = figures != figures_.end() && figures->second.growing;
  if (!growing || past == past_.end() || most_ >= rules_.top) return {growing, false, 0, bytes};
  const Past& known = past->second;
  const bool turn = now <= known.recorded_last + kStepTime && now < known.recorded_since + kTurn;
  return {true, turn, -static_cast<int64_t>(known.recorded_last), bytes};
}

// While nobody looked, the agent stopped or the virtual machine held, what grew did so within a time that is not known.
void Selection::begin_pass(TimeNs now) {
  if (last_pass_ != 0 && now > last_pass_ + rules_.window) past_.clear();
  if (now > last_pass_ + kStepTime)
    for (auto& [name, past] : past_) past.recent.clear();
  last_pass_ = now;
}

std::vector<Seen> Selection::pass(TimeNs now, const std::vector<Seen>& all, const std::set<Pid>& without) {
  begin_pass(now);
  if (first_pass_ == 0) first_pass_ = now;
  figures_.clear();
  for (const Seen& seen : all) {
    UnitFigures& unit = figures_[seen.unit];
    unit.rss_bytes += seen.rss_bytes;
    unit.anon_bytes += seen.anon_bytes;
    ++unit.processes;
  }
  for (auto& [name, figures] : figures_) {
    Past& past = past_[name];
    if (past.first_seen == 0) past.first_seen = now;
    past.last_seen = now;
    while (past.window.size() > 1 && past.window[1].time + rules_.window <= now) past.window.pop_front();
    while (past.recent.size() > 1 && past.recent.front().time + kStepTime < now) past.recent.pop_front();
    judge(now, past, figures);
    past.recent.push_back({now, figures.anon_bytes});
    if (past.window.empty() || past.window.back().time + rules_.window / kPointsOfWindow <= now)
      past.window.push_back({now, figures.anon_bytes});
  }
  // One that is started again within two windows goes on where it was.
  std::erase_if(past_, [&](const auto& each) {
    return each.second.last_seen + 2 * rules_.window < now || past_.size() > kMostUnits;
  });

  std::vector<std::pair<Rank, const Seen*>> ranked;
  for (const Seen& seen : all)
    if (is_worth_it(now, seen) && !without.contains(seen.pid)) ranked.emplace_back(rank(now, seen), &seen);
  wanted_ = std::min(ranked.size(), rules_.top);
  const size_t count = std::min(wanted_, most_);
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(count), ranked.end(),
                    [](const auto& a, const auto& b) {
                      return a.first != b.first ? a.first > b.first : a.second->pid < b.second->pid;
                    });
  chosen_.clear();
  std::vector<Seen> chosen;
  for (size_t i = 0; i < count; ++i) {
    chosen.push_back(*ranked[i].second);
    chosen_.insert(chosen.back().pid);
  }
  return chosen;
}

}  // namespace memwhy::agent
