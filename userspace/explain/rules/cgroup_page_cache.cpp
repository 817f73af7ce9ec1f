// SPDX-License-Identifier: Apache-2.0
// cgroup-page-cache: most of what a container uses is page cache that the kernel takes back when something else needs the room.
// Dashboards show the usage, which may stay at the limit for weeks without a leak. Not shared memory, which looks the same in
// `file` and stays (shared-memory), and not a container that uses little of its limit.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kLeastCacheBytes = uint64_t{16} << 20;

class CgroupPageCache : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (c.cgroup == nullptr) return std::nullopt;
    const events::CgroupMemory& memory = c.cgroup->memory;
    const uint64_t cache = memory.reclaimable_bytes.value_or(0);
    if (!memory.limit_bytes || memory.usage_bytes < *memory.limit_bytes / 2) return std::nullopt;
    if (cache < kLeastCacheBytes || cache < memory.usage_bytes / 2) return std::nullopt;
    if (c.cgroup->oom_kills_seen.value_or(0) > 0) return std::nullopt;  // then it was not given up in time
    if (memory.usage_bytes == 0) return std::nullopt;
    // Read a moment apart, a part may be more than the whole.
    const double share = std::min(1.0, static_cast<double>(cache) / static_cast<double>(memory.usage_bytes));
    Finding finding;
    finding.id = "cgroup-page-cache";
    finding.of_other_owners = true;
    finding.headline =
        fmt::format("{} of the {} that its container uses are page cache, which the kernel takes back",
                    human_bytes(cache), human_bytes(memory.usage_bytes));
    finding.claim = fmt::format(
        "{} uses {} of its limit of {}, and {} ({}) of that are page cache that the kernel takes back when "
        "the room is "
        "needed: not a leak.",
        memory.path, human_bytes(memory.usage_bytes), human_bytes(*memory.limit_bytes), human_bytes(cache),
        human_share(share));
    finding.evidence.push_back(fmt::format("what can't be reclaimed so is {}: {} below the limit",
                                           human_bytes(memory.held_bytes()),
                                           human_bytes(*c.cgroup->held_room_bytes())));
    if (c.cgroup->max_events_seen)
      finding.evidence.push_back(
          fmt::format("the limit was hit {} times during the recording{}", *c.cgroup->max_events_seen,
                      c.cgroup->oom_kills_seen ? ", and no process killed for it" : ""));
    if (memory.dirty_bytes.value_or(0) > 0)
      finding.against.push_back(
          fmt::format("{} of it have to be written to disk first", human_bytes(*memory.dirty_bytes)));
    finding.bytes_figure("page_cache_bytes", cache);
    finding.bytes_figure("usage_bytes", memory.usage_bytes);
    finding.bytes_figure("limit_bytes", *memory.limit_bytes);
    finding.bytes_figure("held_bytes", memory.held_bytes());
    finding.remedy =
        "None needed. Judge the container by its usage without inactive and active file pages; a job that "
        "reads files "
        "once can say so (posix_fadvise POSIX_FADV_DONTNEED, or O_DIRECT).";
    finding.confidence = Confidence::kHigh;
    return finding;
  }
};

}  // namespace

const Rule& cgroup_page_cache_rule() {
  static const CgroupPageCache kRule;
  return kRule;
}

}  // namespace memwhy::explain
