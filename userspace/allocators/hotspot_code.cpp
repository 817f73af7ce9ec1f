// SPDX-License-Identifier: Apache-2.0
// The code cache of a JVM: its heaps of compiled code, and the segment map of each. Its free part is not read.
#include <algorithm>

#include "allocators/hotspot_parts.h"

namespace memwhy::allocators {

std::string read_code_cache(HotspotVm& vm, BlockTables& out) {
  constexpr uint64_t kMostHeaps = 16, kMostBytes = uint64_t{4} << 30;
  const uint64_t list = vm.variable({"CodeCache::_heaps"}).value_or(0);
  const auto count_at = vm.place(list, {"GrowableArrayBase::_len", "GenericGrowableArray::_len"});
  const auto heaps = vm.field(list, {"GrowableArray<int>::_data"});
  uint32_t count = 0;
  if (!count_at || !heaps || !vm.memory().get(*count_at, count))
    return "the code cache is not where memwhy knows it";
  for (uint64_t i = 0; i < std::min<uint64_t>(count, kMostHeaps); ++i) {
    const uint64_t heap = vm.load(*heaps + 8 * i).value_or(0);
    for (const auto& space : {vm.place(heap, {"CodeHeap::_memory"}), vm.place(heap, {"CodeHeap::_segmap"})}) {
      const AddressRange range = vm.committed(space.value_or(0));
      if (range.empty() || range.bytes() > kMostBytes || !vm.memory().keep(sizeof(Block)))
        return "a part of the code cache was not read";
      out.blocks.push_back({range, BlockUse::kCode, false, 0});
    }
  }
  return "";
}

}  // namespace memwhy::allocators
