// SPDX-License-Identifier: Apache-2.0
#include "symbols/elf_symbols.h"

#include <algorithm>
#include <limits>

namespace memwhy::symbols {
namespace {

constexpr uint64_t kSymbolBatch = 32 << 10;  // symbols read at once
constexpr uint64_t kUnsizedBytes = 4 << 10;  // how far a symbol without a size may reach
constexpr uint64_t kMostBytes = (1 << 30) - 1;
constexpr ptrdiff_t kMaxAliases = 16;
constexpr size_t kMaxStepsBack = 32;  // symbols nested in the one that is looked for
constexpr unsigned kLocal = 2;        // rank

uint8_t rank_of(uint8_t binding) {
  if (binding == STB_GLOBAL || binding == STB_GNU_UNIQUE) return 0;
  return binding == STB_WEAK ? 1 : kLocal;
}

// The version of a versioned symbol ("memcpy@@GLIBC_2.14") is not a part of its name.
void drop_version(std::string& name) {
  if (const size_t at = name.find('@'); at != std::string::npos && at > 0) name.resize(at);
}

size_t leading_underscores(const std::string& name) {
  return std::min(name.find_first_not_of('_'), name.size());
}

}  // namespace

SymbolTable SymbolTable::read(ByteSource& source, const ElfFile& elf) {
  SymbolTable table;
  for (const uint32_t type : {SHT_SYMTAB, SHT_DYNSYM}) {
    const Section* section = elf.section_of_type(type);
    if (section == nullptr || section->link >= elf.sections().size()) continue;
    table.add_all(source, *section, elf.sections()[section->link]);
    if (!table.symbols_.empty()) break;
  }
  return table;
}

void SymbolTable::add_all(ByteSource& source, const Section& table, const Section& strings) {
  if (strings.offset > source.size() || strings.bytes > source.size() - strings.offset) return;
  strings_offset_ = strings.offset;
  strings_end_ = strings.offset + strings.bytes;
  const uint64_t there = std::min(table.bytes, source.size()) / sizeof(Elf64_Sym);
  const uint64_t count = std::min(there, kMaxRead);
  left_out_ = left_out_ || count < there;
  symbols_.reserve(std::min<uint64_t>(count, kMaxKept));
  for (uint64_t first = 0; first < count; first += kSymbolBatch) {
    const auto batch = load_array<Elf64_Sym>(source, table.offset + first * sizeof(Elf64_Sym),
                                             std::min(kSymbolBatch, count - first));
    if (!batch) break;
    if (left_out_ && symbols_.size() == kMaxKept) break;
    for (const Elf64_Sym& one : *batch) {
      const unsigned type = ELF64_ST_TYPE(one.st_info);
      const bool is_function = type == STT_FUNC || type == STT_GNU_IFUNC;
      if (!is_function || one.st_shndx == SHN_UNDEF || one.st_value == 0 || one.st_name >= strings.bytes)
        continue;
      left_out_ = left_out_ || symbols_.size() == kMaxKept;
      if (symbols_.size() == kMaxKept) break;
      Symbol& symbol = symbols_.emplace_back();
      symbol.vaddr = one.st_value;
      symbol.name = one.st_name;
      symbol.bytes = std::min(one.st_size, kMostBytes) & kMostBytes;
      symbol.rank = rank_of(ELF64_ST_BIND(one.st_info)) & 3u;
    }
  }
  symbols_.shrink_to_fit();
  std::sort(symbols_.begin(), symbols_.end(), [](const Symbol& a, const Symbol& b) {
    if (a.vaddr != b.vaddr) return a.vaddr < b.vaddr;
    if (a.rank != b.rank) return a.rank < b.rank;
    return a.name < b.name;
  });
}

bool SymbolTable::contains(size_t index, uint64_t vaddr) const {
  const Symbol& symbol = symbols_[index];
  if (symbol.bytes != 0) return vaddr - symbol.vaddr < symbol.bytes;
  const uint64_t next =
      index + 1 < symbols_.size() ? symbols_[index + 1].vaddr : std::numeric_limits<uint64_t>::max();
  return vaddr < next && vaddr - symbol.vaddr < kUnsizedBytes;
}

// Several names for one address: the best rank decides, then the one that looks least internal (malloc, not
// __libc_malloc), then the alphabet, so that the answer never depends on the order in the file.
std::string SymbolTable::best_name(ByteSource& source, size_t index) const {
  const uint64_t vaddr = symbols_[index].vaddr;
  const auto first =
      std::lower_bound(symbols_.begin(), symbols_.end(), vaddr,
                       [](const Symbol& symbol, uint64_t value) { return symbol.vaddr < value; });
  std::string best;
  for (auto symbol = first; symbol != symbols_.end() && symbol - first < kMaxAliases; ++symbol) {
    if (symbol->vaddr != vaddr || symbol->rank != first->rank) break;
    std::optional<std::string> name = load_string(source, strings_offset_ + symbol->name, strings_end_);
    if (!name || name->empty()) continue;
    drop_version(*name);
    const size_t mine = leading_underscores(*name), theirs = leading_underscores(best);
    if (best.empty() || mine < theirs || (mine == theirs && *name < best)) best = std::move(*name);
  }
  return best;
}

std::optional<SymbolTable::Hit> SymbolTable::hit(ByteSource& source, size_t index) const {
  std::string name = best_name(source, index);
  if (name.empty()) return std::nullopt;
  return Hit{std::move(name), symbols_[index].vaddr, symbols_[index].bytes != 0};
}

std::optional<SymbolTable::Hit> SymbolTable::find(ByteSource& source, uint64_t vaddr) const {
  auto after = std::upper_bound(symbols_.begin(), symbols_.end(), vaddr,
                                [](uint64_t value, const Symbol& symbol) { return value < symbol.vaddr; });
  for (size_t step = 0; step < kMaxStepsBack && after != symbols_.begin(); ++step) {
    --after;
    const auto index = static_cast<size_t>(after - symbols_.begin());
    if (contains(index, vaddr)) return hit(source, index);
  }
  return std::nullopt;
}

std::vector<std::optional<AddressRange>> SymbolTable::named(ByteSource& source,
                                                            const std::vector<std::string>& names) const {
  std::vector<std::optional<AddressRange>> out(names.size());
  for (const Symbol& symbol : symbols_) {
    if (symbol.rank == kLocal) continue;
    std::optional<std::string> name = load_string(source, strings_offset_ + symbol.name, strings_end_);
    if (!name) continue;
    drop_version(*name);
    const auto asked = std::find(names.begin(), names.end(), *name);
    if (asked == names.end()) continue;
    std::optional<AddressRange>& found = out[static_cast<size_t>(asked - names.begin())];
    if (!found) found = AddressRange{symbol.vaddr, symbol.vaddr + symbol.bytes};
  }
  return out;
}

std::optional<SymbolTable::Hit> SymbolTable::before(ByteSource& source, uint64_t vaddr) const {
  const auto after =
      std::upper_bound(symbols_.begin(), symbols_.end(), vaddr,
                       [](uint64_t value, const Symbol& symbol) { return value < symbol.vaddr; });
  if (after == symbols_.begin()) return std::nullopt;
  return hit(source, static_cast<size_t>(after - symbols_.begin()) - 1);
}

}  // namespace memwhy::symbols
