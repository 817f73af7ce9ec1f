// SPDX-License-Identifier: Apache-2.0
#include "timeline/go/calls.h"

#include <algorithm>

namespace memwhy::timeline {

void GoCalls::add(const events::GoCall& call, TimeNs time) {
  Key key{call.function, call.stack, object_bytes(call)};
  // Samples come in many sizes: they leave room for what is rare.
  const bool sampled = call.function == events::GoFunction::kSampledAllocation;
  if (sites_.size() >= (sampled ? kMostSites / 2 : kMostSites) && !sites_.contains(key))
    key = {call.function, StackId::kNone, 0};
  GoCallSite& site = sites_[key];
  if (site.calls == 0) {
    std::tie(site.function, site.stack, site.object_bytes) = key;
    site.first = time;
  }
  ++site.calls;
  site.last = time;
  // A request for everything is ~0.
  if (call.bytes < ~uint64_t{0} - site.bytes) site.bytes += call.bytes;
}

std::vector<GoCallSite> GoCalls::all() const {
  std::vector<GoCallSite> out;
  out.reserve(sites_.size());
  for (const auto& [key, site] : sites_) out.push_back(site);
  std::stable_sort(out.begin(), out.end(), [](const GoCallSite& a, const GoCallSite& b) {
    return a.function != b.function ? a.function < b.function : a.bytes > b.bytes;
  });
  return out;
}

uint64_t GoCalls::object_bytes(const events::GoCall& call) {
  constexpr uint64_t kGoPage = 8192, kMostBelieved = uint64_t{1} << 48;
  if (call.function == events::GoFunction::kSampledAllocation && call.bytes <= kMostBelieved)
    return call.bytes;
  if (call.function != events::GoFunction::kLargeAllocation || call.bytes > kMostBelieved) return 0;
  return (call.bytes + kGoPage - 1) / kGoPage * kGoPage;
}

}  // namespace memwhy::timeline
