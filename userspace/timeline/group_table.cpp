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
  group.vma = static_cast<uint32_t>(key >> 32);
  group.go = static_cast<events::GoPage>(key >> 29 & 7);
  group.file_page = (key >> 28 & 1) != 0;
  group.how = static_cast<How>(key >> 24 & 15);
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
    return std::tuple(a.vma, a.go, a.how, a.stack, a.file_page) <
           std::tuple(b.vma, b.go, b.how, b.stack, b.file_page);
  });
}

}  // namespace memwhy::timeline
