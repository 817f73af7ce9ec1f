// SPDX-License-Identifier: Apache-2.0
#include "allocators/hotspot.h"

#include "allocators/hotspot_parts.h"
#include "allocators/module_data.h"
#include "base/text.h"

namespace memwhy::allocators {

bool is_hotspot(std::string_view path) { return base_name(path).starts_with("libjvm.so"); }

bool HotspotVm::is_set(std::string_view flag) {
  const std::optional<uint64_t> at = tables_.flag(flag);
  uint8_t value = 0;
  return at && memory_.get(*at, value) && value == 1;
}

AddressRange HotspotVm::committed(uint64_t virtual_space) {
  const auto low = field(virtual_space, {"VirtualSpace::_low"}),
             high = field(virtual_space, {"VirtualSpace::_high"});
  return low && high && *low <= *high && *high <= kMostAddress ? AddressRange{*low, *high} : AddressRange{};
}

bool Hotspot::find(HeapMemory& memory) {
  tables_.reset();
  classes_ = {};
  for (const ModuleData& module : module_data(memory.vmas())) {
    if (!is_hotspot(module.name)) continue;
    std::optional<HotspotTables> tables = HotspotTables::find(memory, module.range, module.name, read_file_);
    if (!tables) continue;
    // 0 while the VM starts.
    if (HotspotVm(memory, *tables).variable({"Universe::_collectedHeap"}).value_or(0) == 0) continue;
    tables_ = std::move(tables);
    file_ = module.name;
    return true;
  }
  return false;
}

Result<BlockTables> Hotspot::read(HeapMemory& memory) {
  if (!tables_->has_flags()) tables_->read_flags(memory, file_, read_file_);
  HotspotVm vm(memory, *tables_);
  if (vm.variable({"Universe::_collectedHeap"}).value_or(0) == 0)
    return Error(ErrorCode::kDamaged, "the JVM's variables are not where they were");
  BlockTables out;
  for (const std::string& problem :
       {read_java_heap(vm, out), read_code_cache(vm, out), read_classes(vm, classes_, out)})
    if (out.problem.empty()) out.problem = problem;
  return out;
}

}  // namespace memwhy::allocators
