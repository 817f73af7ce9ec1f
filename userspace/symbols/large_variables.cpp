// SPDX-License-Identifier: Apache-2.0
#include "symbols/large_variables.h"

#include <algorithm>

#include "symbols/demangle.h"

namespace memwhy::symbols {
namespace {

constexpr uint64_t kMostSymbols = 4 << 20;
constexpr uint64_t kBatch = 32 << 10;
constexpr size_t kMostNameBytes = 4096;

bool holds_variables(const Section& section) {
  return (section.flags & SHF_WRITE) != 0 && (section.flags & SHF_ALLOC) != 0 &&
         (section.flags & SHF_TLS) == 0;
}

// Keeps the largest.
void add(std::vector<events::ProgramVariable>& kept, events::ProgramVariable variable) {
  const auto before =
      std::find_if(kept.begin(), kept.end(), [&](const auto& each) { return each.bytes < variable.bytes; });
  kept.insert(before, std::move(variable));
  if (kept.size() > kMostVariables) kept.pop_back();
}

std::vector<events::ProgramVariable> by_symbols(ByteSource& source, const ElfFile& elf) {
  std::vector<events::ProgramVariable> out;
  const Section* table = elf.section_of_type(SHT_SYMTAB);
  if (table == nullptr || table->link >= elf.sections().size()) return out;
  const Section& strings = elf.sections()[table->link];
  const uint64_t count = std::min(std::min(table->bytes, source.size()) / sizeof(Elf64_Sym), kMostSymbols);
  for (uint64_t first = 0; first < count; first += kBatch) {
    const auto batch = load_array<Elf64_Sym>(source, table->offset + first * sizeof(Elf64_Sym),
                                             std::min(kBatch, count - first));
    if (!batch) break;
    for (const Elf64_Sym& one : *batch) {
      if (ELF64_ST_TYPE(one.st_info) != STT_OBJECT || one.st_size < kLeastVariableBytes ||
          one.st_shndx >= elf.sections().size() || one.st_name >= strings.bytes)
        continue;
      if (out.size() == kMostVariables && one.st_size <= out.back().bytes) continue;
      const Section& section = elf.sections()[one.st_shndx];
      if (!holds_variables(section) || one.st_size > section.bytes) continue;
      const auto name = load_string(source, strings.offset + one.st_name, strings.offset + strings.bytes);
      if (name && !name->empty() && name->size() <= kMostNameBytes)
        add(out, {demangle(*name), section.name, one.st_size});
    }
  }
  return out;
}

}  // namespace

std::vector<events::ProgramVariable> large_variables(ByteSource& source, const ElfFile& elf) {
  uint64_t all = 0;
  for (const Segment& segment : elf.segments()) {
    if (segment.write && segment.memory_bytes <= ~all) all += segment.memory_bytes;
  }
  if (all < kLeastVariablesBytes) return {};
  std::vector<events::ProgramVariable> out = by_symbols(source, elf);
  if (!out.empty()) return out;
  for (const Section& section : elf.sections()) {
    if (holds_variables(section) && section.bytes >= kLeastVariableBytes)
      add(out, {"", section.name, section.bytes});
  }
  return out;
}

}  // namespace memwhy::symbols
