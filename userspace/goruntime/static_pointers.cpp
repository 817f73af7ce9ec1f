// SPDX-License-Identifier: Apache-2.0
#include "goruntime/static_pointers.h"

#include <algorithm>
#include <iterator>

namespace memwhy::goruntime {
namespace {

constexpr size_t kMostTargets = 1 << 20;
constexpr size_t kMostWay = 16;                 // from a variable to what it leads to
constexpr uint64_t kMostObjectBytes = 1 << 20;  // where no variable shows that it ended before

}  // namespace

const AddressRange* range_of(std::span<const AddressRange> ranges, uint64_t address) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), address,
                       [](uint64_t value, const AddressRange& range) { return value < range.start; });
  if (after == ranges.begin() || !std::prev(after)->contains(address)) return nullptr;
  return &*std::prev(after);
}

void StaticPointers::add(uint64_t source, uint64_t target) {
  if (range_of(variables_, target) != nullptr || sources_.size() == kMostTargets) return;
  const auto [known, added] = sources_.try_emplace(target, source);
  if (!added && range_of(variables_, known->second) == nullptr) known->second = source;
}

std::vector<uint64_t> StaticPointers::leading_to(uint64_t address) const {
  std::vector<uint64_t> out;
  while (out.size() < kMostWay && range_of(variables_, address) == nullptr) {
    const auto after = sources_.upper_bound(address);
    if (after == sources_.begin()) break;
    const auto& [target, source] = *std::prev(after);
    const auto next =
        std::upper_bound(variables_.begin(), variables_.end(), address,
                         [](uint64_t value, const AddressRange& range) { return value < range.start; });
    const bool between = next != variables_.begin() && std::prev(next)->start > target;
    if (between || address - target > kMostObjectBytes || std::ranges::count(out, source) != 0) break;
    out.push_back(address = source);
  }
  return out;
}

}  // namespace memwhy::goruntime
