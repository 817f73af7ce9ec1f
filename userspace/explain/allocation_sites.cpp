// SPDX-License-Identifier: Apache-2.0
#include "explain/allocation_sites.h"

#include <algorithm>
#include <map>
#include <utility>

#include "explain/frame.h"
#include "explain/stacks.h"
#include "timeline/timeline.h"

namespace memwhy::explain {
namespace {

std::string place_of(StackId stack, const Stacks& stacks) {
  const std::vector<Frame> frames = stacks.chain(stack).frames;
  if (frames.empty()) return "";
  return text_of(telling_frame(frames), FrameText::kNoPath);
}

// glibc's chunk for a block of so many bytes.
uint64_t chunk_of(uint64_t bytes) {
  constexpr uint64_t kHead = 8, kStep = 16, kLeast = 32;
  return std::max(kLeast, (bytes + kHead + kStep - 1) / kStep * kStep);
}

void most_first(std::vector<AllocationSite>& sites) {
  std::stable_sort(sites.begin(), sites.end(),
                   [](const AllocationSite& a, const AllocationSite& b) { return a.calls > b.calls; });
}

}  // namespace

AllocationSites allocation_sites(const timeline::AddressSpace& space, const Stacks& stacks) {
  const timeline::AllocationCalls& seen = space.tracks().calls;
  AllocationSites out;
  out.calls = seen.calls();
  out.seconds = static_cast<double>(seen.last() - seen.first()) / 1e9;
  std::map<StackId, std::string> places;
  std::map<std::pair<std::string, uint64_t>, uint64_t> sums;
  for (const auto& [kind, calls] : seen.kinds()) {
    const auto [place, added] = places.try_emplace(kind.first);
    if (added) place->second = place_of(kind.first, stacks);
    sums[{place->second, kind.second}] += calls;
  }
  for (const auto& [key, calls] : sums) out.sites.push_back({key.first, key.second, calls});
  most_first(out.sites);
  return out;
}

AllocationSites of_chunk(const AllocationSites& all, uint64_t chunk_bytes) {
  AllocationSites out;
  out.seconds = all.seconds;
  for (const AllocationSite& site : all.sites) {
    constexpr uint64_t kMostBelieved = uint64_t{1} << 48;
    if (site.bytes > kMostBelieved) continue;
    const uint64_t chunk = chunk_of(site.bytes);
    const bool of =
        chunk_bytes < kPageBytes ? chunk == chunk_bytes : chunk >= chunk_bytes && chunk < 2 * chunk_bytes;
    if (!of) continue;
    out.calls += site.calls;
    out.sites.push_back(site);
  }
  out.sites = by_place(out);
  return out;
}

std::vector<AllocationSite> by_place(const AllocationSites& all) {
  std::map<std::string, AllocationSite> sums;
  for (const AllocationSite& site : all.sites) {
    AllocationSite& sum = sums[site.where];
    sum.where = site.where;
    sum.calls += site.calls;
    const uint64_t bytes = site.bytes * site.calls;
    sum.bytes = site.calls != 0 && bytes / site.calls == site.bytes && sum.bytes + bytes >= bytes
                    ? sum.bytes + bytes
                    : UINT64_MAX;
  }
  std::vector<AllocationSite> out;
  for (auto& [where, site] : sums) out.push_back(std::move(site));
  most_first(out);
  return out;
}

}  // namespace memwhy::explain
