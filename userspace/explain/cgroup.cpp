// SPDX-License-Identifier: Apache-2.0
#include "explain/cgroup.h"

#include <algorithm>

#include "base/whole.h"

namespace memwhy::explain {
namespace {

std::optional<uint64_t> below(const std::optional<uint64_t>& limit, uint64_t bytes) {
  if (!limit) return std::nullopt;
  return *limit - std::min(*limit, bytes);
}

std::optional<uint64_t> since(const std::optional<uint64_t>& first, const std::optional<uint64_t>& last) {
  if (!first || !last) return std::nullopt;
  return *last - std::min(*first, *last);
}

bool is_in(const std::string& cgroup, const std::string& path) {
  return cgroup == path || path == "/" || (cgroup.starts_with(path) && cgroup[path.size()] == '/');
}

}  // namespace

std::optional<uint64_t> CgroupSummary::room_bytes() const {
  return below(memory.limit_bytes, memory.usage_bytes);
}
std::optional<uint64_t> CgroupSummary::held_room_bytes() const {
  return below(memory.limit_bytes, memory.held_bytes());
}

std::optional<CgroupSummary> cgroup_of(const timeline::Timeline& timeline, const std::string& path) {
  const timeline::CgroupTrack* track = timeline.cgroup(path);
  if (track == nullptr) return std::nullopt;
  const events::CgroupMemory &first = track->first(), &last = track->last();
  return CgroupSummary{last,
                       track->last_time(),
                       track->curve(),
                       since(first.high_events, last.high_events),
                       since(first.max_events, last.max_events),
                       since(first.oom_events, last.oom_events),
                       since(first.oom_kills, last.oom_kills),
                       since(first.waited_some_us, last.waited_some_us),
                       !timeline.recording().info.cgroup().empty()};
}

std::optional<CgroupSummary> limiting_cgroup(const timeline::Timeline& timeline, const std::string& path) {
  std::optional<CgroupSummary> best = cgroup_of(timeline, path);
  for (std::string above = path; above.size() > 1;) {
    above.resize(above.rfind('/') == std::string::npos ? 0 : above.rfind('/'));
    if (above.empty()) above = "/";
    std::optional<CgroupSummary> each = cgroup_of(timeline, above);
    if (!each || !each->room_bytes()) continue;
    if (!best || !best->room_bytes() || *each->room_bytes() < *best->room_bytes()) best = std::move(each);
  }
  return best;
}

uint64_t share_of_anon(uint64_t anon_bytes, const std::optional<events::SharedPages>& shared) {
  if (!shared || shared->anonymous_mappers < 2) return anon_bytes;
  const uint64_t all = std::min(shared->anonymous_bytes, anon_bytes);
  return anon_bytes - (all - all / shared->anonymous_mappers);
}

std::optional<ContainerSummary> container_summary(const timeline::Timeline& timeline) {
  const std::string path = timeline.recording().info.cgroup();
  std::optional<CgroupSummary> own = path.empty() ? std::nullopt : cgroup_of(timeline, path);
  if (!own) return std::nullopt;
  ContainerSummary out;
  std::optional<CgroupSummary> limits = limiting_cgroup(timeline, path);
  if (limits && limits->memory.path != path) out.limits = std::move(limits);
  uint64_t anon = 0;
  for (const SpaceId id : timeline.spaces()) {
    const timeline::AddressSpace* space = timeline.space(id);
    if (space == nullptr || space->ended() || !space->counters() || !is_in(space->identity().cgroup, path))
      continue;
    const events::Counters& counters = *space->counters();
    out.processes.push_back({space->identity().tgid, space->identity().comm, counters.rss_anon_bytes,
                             counters.rss_anon_bytes, counters.rss_file_bytes, counters.rss_shmem_bytes,
                             counters.swap_bytes});
    anon += counters.rss_anon_bytes;
  }
  std::stable_sort(
      out.processes.begin(), out.processes.end(),
      [](const ContainerProcess& a, const ContainerProcess& b) { return a.anon_bytes > b.anon_bytes; });
  if (own->memory.anon_bytes) out.other_anon_bytes = minus(*own->memory.anon_bytes, anon);
  out.own = *std::move(own);
  return out;
}

}  // namespace memwhy::explain
