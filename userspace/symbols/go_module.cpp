// SPDX-License-Identifier: Apache-2.0
#include "symbols/go_module.h"

#include <algorithm>

#include "symbols/elf_relocations.h"

namespace memwhy::symbols {
namespace {

constexpr size_t kWords = 50;  // as far as gofunc can be
constexpr size_t kMostModuleData = 16;

enum Word : size_t {
  kHeader = 0,
  kNames = 1,
  kNamesLength = 2,
  kNamesCapacity = 3,
  kMinPc = 20,
  kMaxPc,
  kText,
  kEndText
};
constexpr size_t kGofuncFirst[] = {40, 38, 43};
constexpr size_t kGofuncLow = 34, kGofuncHigh = 49;

}  // namespace

std::vector<GoModule> find_go_modules(ByteSource& source, const ElfFile& elf, uint64_t table_vaddr,
                                      uint64_t names_offset) {
  std::vector<GoModule> modules;
  for (uint64_t vaddr : find_words(source, elf, table_vaddr, kMostModuleData)) {
    const std::vector<uint64_t> words = load_words(source, elf, vaddr, kWords);
    if (words.empty() || words[kHeader] != table_vaddr || words[kNames] != table_vaddr + names_offset ||
        words[kNamesLength] != words[kNamesCapacity]) {
      continue;
    }
    GoModule module;
    module.min_pc = words[kMinPc];
    module.max_pc = words[kMaxPc];
    module.text = words[kText];
    module.end_text = words[kEndText];
    if (module.text > module.min_pc || module.min_pc >= module.max_pc || module.max_pc > module.end_text)
      continue;
    const auto offer = [&](uint64_t value) {
      auto& offered = module.gofunc_candidates;
      if (elf.offset_of(value) && std::find(offered.begin(), offered.end(), value) == offered.end()) {
        offered.push_back(value);
      }
    };
    for (size_t word : kGofuncFirst) offer(words[word]);
    for (size_t word = kGofuncLow; word <= kGofuncHigh; ++word) offer(words[word]);
    modules.push_back(std::move(module));
  }
  return modules;
}

}  // namespace memwhy::symbols
