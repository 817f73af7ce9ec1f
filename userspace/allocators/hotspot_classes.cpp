// SPDX-License-Identifier: Apache-2.0
// The metaspace of a JVM, found by its contents: the VM has no list of its parts, but each class lies in one and points to its
// constants in another. Not how much of it is free, and not the archive of classes (CDS), which is a file.
#include <algorithm>
#include <set>

#include "allocators/hotspot_parts.h"
#include "allocators/rounding.h"

namespace memwhy::allocators {
namespace {

constexpr size_t kMostLoaders = 1 << 16, kMostKlasses = 1 << 20, kMostWindows = 1 << 16;
constexpr uint32_t kReadingsOfKnown = 16;
constexpr uint64_t kWindowBytes = 48 + sizeof(Block);  // of memwhy, for each: it is one block as a rule

// The parts of a window that are mapped as metaspace is.
void add_window(HotspotVm& vm, uint64_t window, BlockTables& out) {
  const AddressRange all{window * kClassWindow, (window + 1) * kClassWindow};
  const std::vector<events::Vma>& vmas = vm.memory().vmas();
  auto vma = std::partition_point(vmas.begin(), vmas.end(),
                                  [&](const events::Vma& each) { return each.range.end <= all.start; });
  for (; vma != vmas.end() && vma->range.start < all.end; ++vma) {
    if (!HeapMemory::private_anonymous(*vma) || !vma->name.empty()) continue;
    out.blocks.push_back({{std::max(vma->range.start, all.start), std::min(vma->range.end, all.end)},
                          BlockUse::kClasses,
                          false,
                          0});
  }
}

}  // namespace

std::string read_classes(HotspotVm& vm, KnownClasses& known, BlockTables& out) {
  // What was unloaded keeps its window until all classes are walked anew.
  const bool anew = known.readings++ % kReadingsOfKnown == 0;
  const std::vector<uint64_t> stops = anew ? std::vector<uint64_t>() : known.newest;
  std::set<uint64_t> fresh;
  std::set<uint64_t>& windows = anew ? fresh : known.windows;
  std::vector<uint64_t> heads;
  size_t loaders = 0, classes = 0;
  bool whole = true, full = false;
  const auto note = [&](uint64_t address) {
    const events::Vma* const vma = vm.memory().mapping(address);
    if (vma == nullptr || !HeapMemory::private_anonymous(*vma) || !vma->name.empty() ||
        windows.contains(address / kClassWindow))
      return;
    if (windows.size() < kMostWindows && vm.memory().keep(kWindowBytes))
      windows.insert(address / kClassWindow);
    else
      full = true;
  };
  uint64_t loader = vm.variable({"ClassLoaderDataGraph::_head"}).value_or(0);
  for (; loader != 0; loader = vm.field(loader, {"ClassLoaderData::_next"}).value_or(0)) {
    uint64_t klass = vm.field(loader, {"ClassLoaderData::_klasses"}).value_or(0);
    if (++loaders > kMostLoaders || !vm.memory().keep(8)) {
      whole = false;
      break;
    }
    if (klass != 0) heads.push_back(klass);
    // Classes are put before those that were there.
    for (; klass != 0 && !std::binary_search(stops.begin(), stops.end(), klass);
         klass = vm.field(klass, {"Klass::_next_link"}).value_or(0)) {
      if (++classes > kMostKlasses || !vm.memory().step()) {
        whole = false;
        break;
      }
      // Classes go while they are read, and those of arrays have something else in the place of constants.
      if (vm.field(klass, {"Klass::_class_loader_data"}) != loader) break;
      note(klass);
      const uint64_t constants = vm.field(klass, {"InstanceKlass::_constants"}).value_or(0);
      if (vm.field(constants, {"ConstantPool::_pool_holder"}) == klass) note(constants);
    }
  }
  std::sort(heads.begin(), heads.end());
  if (whole) known.newest = std::move(heads);
  if (anew && whole)
    known.windows = std::move(fresh);
  else if (anew && known.windows.size() < kMostWindows)
    known.windows.merge(fresh);
  // Each costs work: what is found is reported, also when the time runs out on the way.
  for (const uint64_t window : known.windows) add_window(vm, window, out);
  if (full) return "the classes are in more places than one reading may keep";
  return whole ? "" : "there are more classes than one reading may read";
}

}  // namespace memwhy::allocators
