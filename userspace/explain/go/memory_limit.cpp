// SPDX-License-Identifier: Apache-2.0
#include "explain/go/memory_limit.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/rules/words.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kFloorShare = 20;  // of the limit: a twentieth

uint64_t go_bytes(const OwnerBytes& bytes, const OwnerTable& table) {
  uint64_t sum = 0;
  for (size_t i = 0; i < table.owners(); ++i)
    if (kind_of(static_cast<Owner>(i)) == Kind::kGo) sum += bytes[i];
  return sum;
}

// Of the container without Go's part, at each scan.
std::vector<TrendPoint> others(const Case& c) {
  std::vector<TrendPoint> out;
  for (const Sample& sample : c.samples) {
    const auto& curve = c.cgroup->curve;
    const auto after = std::find_if(curve.begin(), curve.end(), [&](const timeline::CgroupPoint& each) {
      return each.time > sample.time;
    });
    if (after == curve.begin()) continue;
    const uint64_t go = go_bytes(sample.bytes, *c.ledger.table), held = (after - 1)->held_bytes;
    out.push_back({sample.time, held - std::min(held, go)});
  }
  return out;
}

}  // namespace

std::optional<GoLimit> go_limit(const Case& c) {
  const events::GoCounters* counters = go_counters(c);
  if (counters == nullptr || c.cgroup == nullptr || !c.cgroup->memory.limit_bytes) return std::nullopt;
  const std::vector<TrendPoint> other = others(c);
  if (other.empty()) return std::nullopt;
  GoLimit out;
  out.limit_bytes = *c.cgroup->memory.limit_bytes;
  out.other_bytes = other.back().value;
  if (const Trend trend = trend_of(other); trend.rising) out.other_grown_bytes = trend.grown_bytes;
  out.cache_bytes = std::max(c.ledger.rss.file, out.limit_bytes / kFloorShare);
  const uint64_t taken = out.other_bytes + out.other_grown_bytes + out.cache_bytes;
  out.bytes = out.limit_bytes - std::min(out.limit_bytes, taken);
  out.collected = counters->gc_cycles != 0;
  out.live_bytes = out.collected ? counters->live_bytes : counters->heap_in_use_bytes;
  return out;
}

std::string go_limit_text(const Case& c) {
  const std::optional<GoLimit> limit = go_limit(c);
  if (!limit) return "";
  const std::string grown = limit->other_grown_bytes > 0 ? fmt::format(" and the {} that it grew by",
                                                                       human_bytes(limit->other_grown_bytes))
                                                         : "";
  const std::string sum = fmt::format("its limit of {} without {} that are not Go's{}, and {} for page cache",
                                      human_bytes(limit->limit_bytes), human_bytes(limit->other_bytes), grown,
                                      human_bytes(limit->cache_bytes));
  if (!limit->fits())
    return fmt::format(" For this container no GOMEMLIMIT {}: {} leave {}, and {} of the heap {}in use.",
                       limit->collected ? "fits" : "is known to fit", sum, human_bytes(limit->bytes),
                       human_bytes(limit->live_bytes), limit->collected ? "are " : "may be ");
  return fmt::format(" For this container GOMEMLIMIT={}MiB fits: {}.", limit->bytes >> 20, sum);
}

}  // namespace memwhy::explain
