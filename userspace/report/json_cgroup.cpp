// SPDX-License-Identifier: Apache-2.0
#include "report/json_cgroup.h"

#include "report/clock.h"
#include "report/json_cells.h"

namespace memwhy::report {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

Json cgroup_memory(const std::optional<explain::CgroupSummary>& cgroup, const timeline::WallClock& clock) {
  if (!cgroup) return nullptr;
  const events::CgroupMemory& memory = cgroup->memory;
  return {{"path", memory.path},
          {"version", memory.unified ? 2 : 1},
          {"t", or_null(rfc3339(clock, cgroup->time))},
          {"usage_bytes", memory.usage_bytes},
          {"limit_bytes", or_null(memory.limit_bytes)},
          {"room_bytes", or_null(cgroup->room_bytes())},
          {"held_bytes", memory.held_bytes()},
          {"high_bytes", or_null(memory.high_bytes)},
          {"peak_bytes", or_null(memory.peak_bytes)},
          {"anon_bytes", or_null(memory.anon_bytes)},
          {"file_bytes", or_null(memory.file_bytes)},
          {"kernel_bytes", or_null(memory.kernel_bytes)},
          {"sock_bytes", or_null(memory.sock_bytes)},
          {"untold_bytes", memory.untold_bytes()},
          {"shmem_bytes", or_null(memory.shmem_bytes)},
          {"reclaimable_bytes", or_null(memory.reclaimable_bytes)},
          {"dirty_bytes", or_null(memory.dirty_bytes)},
          {"mapped_bytes", or_null(memory.mapped_bytes)},
          {"slab_bytes", or_null(memory.slab_bytes)},
          {"slab_reclaimable_bytes", or_null(memory.slab_reclaimable_bytes)},
          {"kernel_stack_bytes", or_null(memory.kernel_stack_bytes)},
          {"page_table_bytes", or_null(memory.page_table_bytes)},
          {"percpu_bytes", or_null(memory.percpu_bytes)},
          {"vmalloc_bytes", or_null(memory.vmalloc_bytes)},
          {"swap_bytes", or_null(memory.swap_bytes)},
          {"swap_limit_bytes", or_null(memory.swap_limit_bytes)},
          {"high_events", or_null(cgroup->high_events_seen)},
          {"max_events", or_null(cgroup->max_events_seen)},
          {"oom_kills", or_null(cgroup->oom_kills_seen)},
          {"waited_some_us", or_null(memory.waited_some_us)},
          {"waited_full_us", or_null(memory.waited_full_us)},
          {"waited_some_seen_us", or_null(cgroup->waited_some_seen_us)}};
}

Json container(const std::optional<explain::ContainerSummary>& container, const timeline::WallClock& clock) {
  if (!container) return nullptr;
  Json processes = Json::array();
  for (const explain::ContainerProcess& each : container->processes)
    processes.push_back({{"pid", each.pid},
                         {"comm", text_or_null(each.comm)},
                         {"anon_bytes", each.anon_bytes},
                         {"anon_share_bytes", each.anon_share_bytes},
                         {"file_bytes", each.file_bytes},
                         {"shmem_bytes", each.shmem_bytes},
                         {"swap_bytes", each.swap_bytes}});
  return {{"cgroup", cgroup_memory(container->own, clock)},
          {"limited_by", cgroup_memory(container->limits, clock)},
          {"processes", std::move(processes)},
          {"other_anon_bytes", or_null(container->other_anon_bytes)}};
}

}  // namespace memwhy::report
