// SPDX-License-Identifier: Apache-2.0
#include "symbols/elf_relocations.h"

#include <algorithm>

namespace memwhy::symbols {
namespace {

constexpr uint64_t kMaxTableBytes = 512 << 20;
constexpr uint64_t kRelocationBatch = 32 << 10;  // relocations read at once

struct Table {
  uint64_t offset = 0;
  uint64_t count = 0;
};

Table relocation_table(ByteSource& source, const ElfFile& elf) {
  if (!elf.dynamic()) return {};
  constexpr uint64_t kMaxDynamic = 4096;
  uint64_t vaddr = 0, bytes = 0;
  for (uint64_t i = 0; i < std::min(elf.dynamic()->file_bytes / sizeof(Elf64_Dyn), kMaxDynamic); ++i) {
    const auto entry = load<Elf64_Dyn>(source, elf.dynamic()->offset + i * sizeof(Elf64_Dyn));
    if (!entry || entry->d_tag == DT_NULL) break;
    if (entry->d_tag == DT_RELA) vaddr = entry->d_un.d_ptr;
    if (entry->d_tag == DT_RELASZ) bytes = entry->d_un.d_val;
  }
  const auto offset = elf.offset_of(vaddr);
  if (vaddr == 0 || !offset) return {};
  return {*offset, std::min(bytes, kMaxTableBytes) / sizeof(Elf64_Rela)};
}

// visit(vaddr of the word, its value)
template <typename Visit>
void for_each_relative(ByteSource& source, const ElfFile& elf, Visit visit) {
  const Table table = relocation_table(source, elf);
  for (uint64_t first = 0; first < table.count; first += kRelocationBatch) {
    const auto batch = load_array<Elf64_Rela>(source, table.offset + first * sizeof(Elf64_Rela),
                                              std::min(kRelocationBatch, table.count - first));
    if (!batch) return;
    for (const Elf64_Rela& one : *batch) {
      const uint64_t type = ELF64_R_TYPE(one.r_info);
      if (type == R_X86_64_RELATIVE || type == R_AARCH64_RELATIVE)
        visit(one.r_offset, static_cast<uint64_t>(one.r_addend));
    }
  }
}

}  // namespace

std::vector<uint64_t> find_words(ByteSource& source, const ElfFile& elf, uint64_t value, size_t most) {
  std::vector<uint64_t> found;
  const auto add = [&](uint64_t vaddr) {
    if (vaddr % 8 == 0 && found.size() < most &&
        std::find(found.begin(), found.end(), vaddr) == found.end()) {
      found.push_back(vaddr);
    }
  };
  // Offset and address are aligned alike: a file is mapped in pages.
  const auto add_all = [&](uint64_t offset, uint64_t) {
    for (const Segment& segment : elf.segments()) {
      if (segment.write && offset >= segment.offset && offset - segment.offset < segment.file_bytes)
        add(segment.vaddr + (offset - segment.offset));
    }
    return found.size() < most;
  };
  for (const FileRange& range : elf.ranges(ElfFile::Which::kWritable))
    for_each_word(
        source, range, [value](uint64_t word) { return word == value; }, add_all);
  for_each_relative(source, elf, [&](uint64_t vaddr, uint64_t addend) {
    if (addend == value) add(vaddr);
  });
  return found;
}

std::vector<uint64_t> load_words(ByteSource& source, const ElfFile& elf, uint64_t vaddr, size_t count) {
  const auto offset = elf.offset_of(vaddr);
  if (!offset) return {};
  auto words = load_array<uint64_t>(source, *offset, count);
  if (!words) return {};
  for_each_relative(source, elf, [&](uint64_t at, uint64_t addend) {
    if (at >= vaddr && (at - vaddr) % 8 == 0 && (at - vaddr) / 8 < count) (*words)[(at - vaddr) / 8] = addend;
  });
  return std::move(*words);
}

}  // namespace memwhy::symbols
