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

// visit(symbol, section, name) of each variable that can be written and has `least` bytes; name(): its name, "" none.
template <typename Visit>
void each_variable(ByteSource& source, const ElfFile& elf, uint64_t least, Visit visit) {
  const Section* table = elf.section_of_type(SHT_SYMTAB);
  if (table == nullptr || table->link >= elf.sections().size()) return;
  const Section& strings = elf.sections()[table->link];
  const uint64_t count = std::min(std::min(table->bytes, source.size()) / sizeof(Elf64_Sym), kMostSymbols);
  for (uint64_t first = 0; first < count; first += kBatch) {
    const auto batch = load_array<Elf64_Sym>(source, table->offset + first * sizeof(Elf64_Sym),
                                             std::min(kBatch, count - first));
    if (!batch) break;
    for (const Elf64_Sym& one : *batch) {
      if (ELF64_ST_TYPE(one.st_info) != STT_OBJECT || one.st_size < least ||
          one.st_shndx >= elf.sections().size() || one.st_name >= strings.bytes)
        continue;
      const Section& section = elf.sections()[one.st_shndx];
      if (!holds_variables(section) || one.st_size > section.bytes) continue;
      visit(one, section, [&] {
        auto name = load_string(source, strings.offset + one.st_name, strings.offset + strings.bytes);
        return name && name->size() <= kMostNameBytes ? *std::move(name) : std::string();
      });
    }
  }
}

std::vector<events::ProgramVariable> by_symbols(ByteSource& source, const ElfFile& elf) {
  std::vector<events::ProgramVariable> out;
  each_variable(source, elf, kLeastVariableBytes,
                [&](const Elf64_Sym& one, const Section& section, const auto& name_of) {
                  if (out.size() == kMostVariables && one.st_size <= out.back().bytes) return;
                  if (const std::string name = name_of(); !name.empty())
                    add(out, {demangle(name), section.name, one.st_size});
                });
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

std::vector<AddressRange> variable_ranges(ByteSource& source, const ElfFile& elf, size_t most) {
  std::vector<AddressRange> out;
  each_variable(source, elf, sizeof(uint64_t), [&](const Elf64_Sym& one, const auto&, const auto&) {
    if (out.size() <= most && one.st_value <= ~one.st_size)
      out.push_back({one.st_value, one.st_value + one.st_size});
  });
  if (out.size() > most) return {};
  std::sort(out.begin(), out.end(), [](const AddressRange& a, const AddressRange& b) {
    return a.start != b.start ? a.start < b.start : a.end > b.end;
  });
  size_t kept = 0;
  for (const AddressRange& range : out)
    if (kept == 0 || out[kept - 1].end <= range.start) out[kept++] = range;
  out.resize(kept);
  return out;
}

std::vector<std::string> variable_names(ByteSource& source, const ElfFile& elf,
                                        const std::vector<uint64_t>& addresses) {
  std::vector<std::string> out(addresses.size());
  if (addresses.empty()) return out;
  each_variable(source, elf, sizeof(uint64_t), [&](const Elf64_Sym& one, const auto&, const auto& name_of) {
    for (size_t i = 0; i < addresses.size(); ++i)
      if (out[i].empty() && addresses[i] >= one.st_value && addresses[i] - one.st_value < one.st_size)
        out[i] = demangle(name_of());
  });
  return out;
}

}  // namespace memwhy::symbols
