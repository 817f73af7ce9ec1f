// SPDX-License-Identifier: Apache-2.0
#include "goruntime/goroutine_groups.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <tuple>

namespace memwhy::goruntime {
namespace {

// What the goroutines of a group have in common.
auto sort_of(const Goroutine& goroutine) {
  return std::tuple(goroutine.known_frames, goroutine.wait_reason(), goroutine.created_at);
}

}  // namespace

Groups largest_groups(const std::vector<Goroutine>& list, size_t most) {
  struct Run {
    uint32_t from, end;
  };
  std::vector<Run> runs;
  for (uint32_t i = 0; i < list.size(); ++i) {
    if (i > 0 && sort_of(list[i]) == sort_of(list[i - 1]))
      runs.back().end = i + 1;
    else
      runs.push_back({i, i + 1});
  }
  std::sort(runs.begin(), runs.end(), [&](const Run& a, const Run& b) {
    return std::tuple(sort_of(list[a.from]), a.from) < std::tuple(sort_of(list[b.from]), b.from);
  });
  struct Group {
    uint32_t run, runs, count;
  };
  std::vector<Group> groups;
  for (uint32_t i = 0; i < runs.size(); ++i) {
    if (i == 0 || sort_of(list[runs[i].from]) != sort_of(list[runs[i - 1].from])) groups.push_back({i, 0, 0});
    ++groups.back().runs;
    groups.back().count += runs[i].end - runs[i].from;
  }
  Groups out;
  out.all = groups.size();
  const auto first = [&](const Group& group) { return runs[group.run].from; };
  if (groups.size() > most) {
    std::nth_element(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(most), groups.end(),
                     [&](const Group& a, const Group& b) {
                       return a.count != b.count ? a.count > b.count : first(a) < first(b);
                     });
    groups.resize(most);
  }
  std::sort(groups.begin(), groups.end(),
            [&](const Group& a, const Group& b) { return first(a) < first(b); });
  for (const Group& group : groups) {
    std::vector<size_t>& members = out.members.emplace_back();
    members.reserve(group.count);
    for (const Run& run : std::span(runs).subspan(group.run, group.runs))
      for (size_t i = run.from; i < run.end; ++i) members.push_back(i);
  }
  return out;
}

}  // namespace memwhy::goruntime
