// SPDX-License-Identifier: Apache-2.0
#include "timeline/group_table.h"

#include <algorithm>
#include <tuple>

namespace memwhy::timeline {

void GroupTable::grow() {
  slots_.assign(std::max<size_t>(64, slots_.size() * 2), 0);
  for (size_t i = 0; i < sums_.size(); ++i) {
    size_t at = slot_of(sums_[i].key);
    while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = static_cast<uint32_t>(i + 1);
  }
}

PageGroup GroupTable::Sum::empty_group(const StackDictionary& stacks) const {
  PageGroup group;
  const auto bits = [this](int at, int count) {
    return static_cast<uint32_t>(key >> at & ((uint64_t{1} << count) - 1));
  };
  const uint32_t vma = bits(kVmaAt, kVmaBits);
  group.vma = vma == kMostVmas ? kNoVma : vma;
  group.by = {static_cast<uint8_t>(bits(kRuntimeAt, kRuntimeBits)),
              static_cast<uint8_t>(bits(kUseAt, kUseBits))};
  group.file_page = bits(kFileAt, 1) != 0;
  group.how = static_cast<How>(bits(PageWord::kStackBits, kHowBits));
  group.stack = stacks.id(static_cast<uint32_t>(key & PageWord::kLostStack));
  return group;
}

uint64_t GroupTable::pages() const {
  uint64_t pages = 0;
  for (const Sum& s : sums_) pages += s.all.pages;
  return pages;
}

void GroupTable::sort(std::vector<PageGroup>& groups) {
  std::sort(groups.begin(), groups.end(), [](const PageGroup& a, const PageGroup& b) {
    return std::tuple(a.vma, a.by, a.how, a.stack, a.file_page) <
           std::tuple(b.vma, b.by, b.how, b.stack, b.file_page);
  });
}

}  // namespace memwhy::timeline
