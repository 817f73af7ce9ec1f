// SPDX-License-Identifier: Apache-2.0
#include "allocators/hotspot_tables.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "allocators/module_data.h"

namespace memwhy::allocators {
namespace {

// VMStructEntry.
struct VmEntry {
  uint64_t type, field, type_text, is_static, offset, address;
};
static_assert(sizeof(VmEntry) == 48);
constexpr size_t kVmEntryWords = sizeof(VmEntry) / 8, kLeastVmEntries = 64, kMostVmEntries = 1 << 12,
                 kMostTables = 16;
constexpr uint64_t kMostOffset = 1 << 20;  // of a field
constexpr uint64_t kMostText = 16 << 20, kTextStep = 1 << 20;
constexpr size_t kMostVmName = 128;
constexpr uint64_t kMostFlags = 1 << 13;

// What is read-only in a file: its text is there.
class FileText {
 public:
  FileText(HeapMemory& memory, std::string_view file, const FileBytes& read_file)
      : memory_(memory), read_file_(read_file) {
    for (const events::Vma& vma : memory.vmas())
      if (vma.inode != 0 && !vma.write && vma.name == file) text_of_.push_back(vma.range);
  }

  // Asked for each word of its variables: of the mappings only those that count.
  bool could_be(uint64_t address) const {
    return std::ranges::any_of(text_of_, [&](const AddressRange& range) { return range.contains(address); });
  }
  // All that these point to. false: it is too much, or not there.
  bool load(const std::vector<uint64_t>& pointers) {
    if (pointers.empty()) return false;
    const auto [first, last] = std::minmax_element(pointers.begin(), pointers.end());
    const events::Vma* const vma = memory_.mapping(*first);
    if (vma == nullptr || vma->range.end <= *last) return false;
    begin_ = *first;
    const uint64_t bytes = std::min(*last + kMostVmName, vma->range.end) - begin_;
    if (bytes > kMostText || !memory_.keep(bytes)) return false;
    text_.clear();
    while (text_.size() < bytes && memory_.step()) {
      const std::vector<std::byte> piece =
          read_file_(*vma, begin_ + text_.size(), std::min<uint64_t>(kTextStep, bytes - text_.size()));
      if (piece.empty()) return false;
      text_.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    }
    return text_.size() >= bytes;
  }
  // "" it is none.
  std::string_view at(uint64_t address) const {
    if (address < begin_ || address - begin_ >= text_.size()) return "";
    const std::string_view rest = std::string_view(text_).substr(address - begin_, kMostVmName);
    const size_t end = rest.find('\0');
    return end == std::string_view::npos ? "" : rest.substr(0, end);
  }

 private:
  HeapMemory& memory_;
  const FileBytes& read_file_;
  std::vector<AddressRange> text_of_;
  uint64_t begin_ = 0;
  std::string text_;
};

bool is_entry(const FileText& text, const AddressRange& data, const VmEntry& entry) {
  if (!text.could_be(entry.type) || !text.could_be(entry.field) || entry.is_static > 1 ||
      (entry.type_text != 0 && !text.could_be(entry.type_text)))
    return false;
  return entry.is_static == 1 ? entry.offset == 0 && data.contains(entry.address)
                              : entry.address == 0 && entry.offset < kMostOffset;
}

std::vector<uint64_t> words_of(HeapMemory& memory, const AddressRange& range) {
  std::vector<uint64_t> words;
  if (!memory.keep(range.bytes())) return words;
  words.resize(range.bytes() / 8);
  const std::span<std::byte> bytes = std::as_writable_bytes(std::span(words));
  constexpr size_t kPiece = 64 << 10;
  std::vector<remote::Piece> pieces;
  for (size_t at = 0; at < bytes.size(); at += kPiece)
    pieces.push_back({range.start + at, bytes.subspan(at, std::min(kPiece, bytes.size() - at)), true, false});
  if (!memory.read_each(pieces)) words.clear();
  return words;
}

// Tables that could be: runs of entries.
void add_tables(HeapMemory& memory, const FileText& text, const AddressRange& where, const AddressRange& data,
                std::vector<std::vector<VmEntry>>& out) {
  const std::vector<uint64_t> words = words_of(memory, where);
  const auto entry_at = [&](size_t i) {
    VmEntry entry;
    std::memcpy(&entry, words.data() + i, sizeof entry);
    return entry;
  };
  constexpr size_t kLooksInAStep = 64;
  size_t looks = 0;
  for (size_t i = 0; i + kVmEntryWords <= words.size() && out.size() < kMostTables;) {
    if (++looks % kLooksInAStep == 0 && !memory.step()) return;
    size_t end = i;
    while (end + kVmEntryWords <= words.size() && end - i < kMostVmEntries * kVmEntryWords &&
           is_entry(text, data, entry_at(end)))
      end += kVmEntryWords;
    if ((end - i) / kVmEntryWords < kLeastVmEntries) {
      ++i;
      continue;
    }
    std::vector<VmEntry>& table = out.emplace_back();
    for (; i < end; i += kVmEntryWords) table.push_back(entry_at(i));
  }
}

// Where their names are.
std::vector<uint64_t> names_of(std::span<const std::vector<VmEntry>> tables) {
  std::vector<uint64_t> names;
  for (const std::vector<VmEntry>& table : tables)
    for (const VmEntry& entry : table) names.insert(names.end(), {entry.type, entry.field});
  return names;
}

}  // namespace

// In what is written when the file is loaded: it may be read-only from then on, and lies before the variables. The compilers have
// a table of their own, which repeats some of the fields, and other tables look alike: those have other names.
std::optional<HotspotTables> HotspotTables::find(HeapMemory& memory, const AddressRange& data,
                                                 std::string_view file, const FileBytes& read_file) {
  FileText text(memory, file, read_file);
  std::vector<std::vector<VmEntry>> tables;
  for (const events::Vma& vma : memory.vmas())
    if (vma.inode != 0 && vma.name == file && vma.read && (vma.write || vma.range.end == data.start) &&
        vma.range.bytes() <= kMostModuleData)
      add_tables(memory, text, vma.range, data, tables);
  HotspotTables out;
  const bool together = text.load(names_of(tables));
  for (const std::vector<VmEntry>& table : tables) {
    if (!together && !text.load(names_of({&table, 1}))) continue;
    for (const VmEntry& entry : table) {
      const std::string_view type = text.at(entry.type), field = text.at(entry.field);
      if (type.empty() || field.empty() || !memory.keep(sizeof(Field) + type.size() + field.size())) continue;
      const bool is_static = entry.is_static == 1;
      out.fields_.try_emplace(std::string(type) + "::" + std::string(field),
                              Field{is_static, is_static ? entry.address : entry.offset});
    }
  }
  return out.fields_.empty() ? std::nullopt : std::optional(std::move(out));
}

void HotspotTables::read_flags(HeapMemory& memory, std::string_view file, const FileBytes& read_file) {
  const auto table = address({"JVMFlag::flags"}), count = address({"JVMFlag::numFlags"}),
             value = offset({"JVMFlag::_addr"}), name = offset({"JVMFlag::_name"});
  uint64_t at = 0, flags = 0;
  if (!table || !count || !value || !name || !memory.word(*table, at) || !memory.word(*count, flags) ||
      flags < 2 || flags > kMostFlags || *value > 32 || *name > 32 || *value % 8 != 0 || *name % 8 != 0)
    return;
  FileText text(memory, file, read_file);
  for (const uint64_t stride : {24, 32, 40}) {  // of one flag, by what release
    if (std::max(*value, *name) + 8 > stride) continue;
    const std::vector<uint64_t> words = words_of(memory, {at, at + flags * stride});
    std::vector<uint64_t> names;
    for (uint64_t i = 0; i + 1 < flags && !words.empty(); ++i) {  // the last one has no name
      const uint64_t pointer = words[(i * stride + *name) / 8];
      if (!text.could_be(pointer)) break;
      names.push_back(pointer);
    }
    if (names.size() + 1 != flags || !text.load(names)) continue;
    for (uint64_t i = 0; i < names.size(); ++i)
      if (const std::string_view flag = text.at(names[i]); !flag.empty() && memory.keep(flag.size() + 64))
        flags_.try_emplace(std::string(flag), words[(i * stride + *value) / 8]);
    return;
  }
}

const HotspotTables::Field* HotspotTables::find_field(std::initializer_list<std::string_view> names,
                                                      bool is_static) const {
  for (const std::string_view name : names) {
    const auto found = fields_.find(name);
    if (found != fields_.end() && found->second.is_static == is_static) return &found->second;
  }
  return nullptr;
}

std::optional<uint64_t> HotspotTables::offset(std::initializer_list<std::string_view> names) const {
  const Field* const field = find_field(names, false);
  return field == nullptr ? std::nullopt : std::optional(field->at);
}

std::optional<uint64_t> HotspotTables::address(std::initializer_list<std::string_view> names) const {
  const Field* const field = find_field(names, true);
  return field == nullptr ? std::nullopt : std::optional(field->at);
}

std::optional<uint64_t> HotspotTables::flag(std::string_view name) const {
  const auto found = flags_.find(name);
  return found == flags_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace memwhy::allocators
