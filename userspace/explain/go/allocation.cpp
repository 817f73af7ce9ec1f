// SPDX-License-Identifier: Apache-2.0
#include "explain/go/allocation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/whole.h"

namespace memwhy::explain {
namespace {

constexpr size_t kMostSites = 20;

double bytes_of(const GoClassRate& rate) {
  return static_cast<double>(rate.object_bytes) * rate.objects_per_s;
}

}  // namespace

std::optional<GoAllocationRates> rates_between(const timeline::GoPoint& before,
                                               const timeline::GoPoint& now) {
  if (!before.allocations || !now.allocations || now.time <= before.time) return std::nullopt;
  const events::GoAllocations &from = *before.allocations, &to = *now.allocations;
  if (to.large_bytes < from.large_bytes || to.large_objects < from.large_objects) return std::nullopt;
  GoAllocationRates out;
  out.seconds = static_cast<double>(now.time - before.time) / 1e9;
  const auto rate = [&](uint64_t a, uint64_t b) { return static_cast<double>(b - a) / out.seconds; };
  out.bytes_per_s = out.large_bytes_per_s = rate(from.large_bytes, to.large_bytes);
  out.objects_per_s = out.large_objects_per_s = rate(from.large_objects, to.large_objects);
  size_t k = 0;  // both are in order of size, and a class that was used stays in the list
  for (const events::GoSizeClass& each : to.small) {
    while (k < from.small.size() && from.small[k].object_bytes < each.object_bytes) ++k;
    const bool known = k < from.small.size() && from.small[k].object_bytes == each.object_bytes;
    const uint64_t had = known ? from.small[k].objects : 0;
    if (each.objects < had) return std::nullopt;
    if (each.objects == had) continue;
    out.small.push_back({each.object_bytes, rate(had, each.objects)});
    out.bytes_per_s += bytes_of(out.small.back());
    out.objects_per_s += out.small.back().objects_per_s;
  }
  std::stable_sort(out.small.begin(), out.small.end(),
                   [](const GoClassRate& a, const GoClassRate& b) { return bytes_of(a) > bytes_of(b); });
  return out;
}

std::optional<GoAllocationRates> allocation_rates(const std::vector<timeline::GoPoint>& curve) {
  const auto read = [](const timeline::GoPoint& point) { return point.allocations != nullptr; };
  const auto first = std::find_if(curve.begin(), curve.end(), read);
  const auto last = std::find_if(curve.rbegin(), curve.rend(), read);
  if (first == curve.end()) return std::nullopt;
  return rates_between(*first, *last);
}

GoAllocationSites allocation_sites(const GoFacts& go, StackTable& table) {
  const uint64_t rate = go.profile_rate().value_or(0);
  std::map<std::vector<Frame>, std::pair<uint64_t, double>, PlacesBefore> sites;  // samples, bytes
  for (const timeline::GoCallSite& site : go.call_sites()) {
    if (site.function != events::GoFunction::kSampledAllocation) continue;
    auto& [samples, bytes] = sites[without_runtime(go.frames_of(site.stack))];
    samples += site.calls;
    // A site that had no room has objects of many sizes: their mean.
    const uint64_t object = site.object_bytes != 0 ? site.object_bytes : site.bytes / site.calls;
    bytes += GoFacts::scaled_bytes({object, 0, 0, {}}, site.calls, rate);
  }
  using Site = decltype(sites)::const_pointer;
  std::vector<std::pair<GoAllocationSite, Site>> all;
  for (const auto& each : sites) {
    GoAllocationSite site;
    site.samples = each.second.first;
    if (rate != 0) site.bytes = nearest(each.second.second);
    all.emplace_back(site, &each);
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.bytes.value_or(0), a.first.samples) >
           std::pair(b.first.bytes.value_or(0), b.first.samples);
  });
  GoAllocationSites out;
  for (const auto& [site, of] : all) {
    if (out.heaviest.size() == kMostSites) break;
    out.heaviest.push_back(site);
    if (!of->first.empty()) out.heaviest.back().stack = table.add(of->first);
  }
  out.left_out = all.size() - out.heaviest.size();
  return out;
}

}  // namespace memwhy::explain
