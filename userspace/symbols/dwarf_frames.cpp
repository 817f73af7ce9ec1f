// SPDX-License-Identifier: Apache-2.0
#include "symbols/dwarf_frames.h"

#include <dwarf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "symbols/demangle.h"

namespace memwhy::symbols {
namespace {

constexpr uint64_t kEntryWork = 16;  // of a step of unknown size
constexpr uint64_t kLineWork = 4;    // for each byte of a line program: most are a row
constexpr uint64_t kRowBytes = 64;   // that a row takes in libdw
constexpr uint64_t kMostRows = 2 << 20;
constexpr size_t kMostDepth = 64;  // of entries in each other
constexpr int kMostOrigins = 8;    // from an inlined call to the declaration of its function
constexpr size_t kMostRanges = 4 << 20;
constexpr size_t kMostStepsBack = 32;

// What may have functions in it.
bool holds_functions(int tag) {
  switch (tag) {
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_subprogram:
    case DW_TAG_lexical_block:
      return true;
    default:
      return false;
  }
}

// What may have inlined calls in it, beside those themselves.
bool is_block(int tag) {
  return tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

template <typename Range>
const Range* range_at(const std::vector<Range>& ranges, uint64_t vaddr) {
  auto at = std::upper_bound(ranges.begin(), ranges.end(), vaddr,
                             [](uint64_t value, const Range& range) { return value < range.code.start; });
  for (size_t step = 0; step < kMostStepsBack && at != ranges.begin(); ++step)
    if ((--at)->code.contains(vaddr)) return &*at;
  return nullptr;
}

template <typename Range>
void sort_ranges(std::vector<Range>& ranges) {
  std::stable_sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return a.code.start != b.code.start ? a.code.start < b.code.start : a.code.end > b.code.end;
  });
  ranges.shrink_to_fit();
}

}  // namespace

std::vector<events::SourceFrame> DwarfFrames::lookup(uint64_t vaddr) {
  saved_work_ = std::min(saved_work_ + kLookupShare, kWholeWork);
  budget_.allow(saved_work_);
  if (!opened_) find_units();
  std::vector<events::SourceFrame> found;
  if (Unit* unit = unit_of(vaddr)) {
    index(*unit);
    read_lines(*unit);
    found = frames(*unit, vaddr);
  }
  saved_work_ = budget_.left();
  if (!budget_.used_up()) return found;
  gave_up_ = true;
  return {};
}

uint64_t DwarfFrames::memory_bytes() const {
  uint64_t bytes =
      ranges_.capacity() * sizeof(UnitRange) + units_.capacity() * sizeof(Unit) + lines_ * kRowBytes;
  for (const Unit& unit : units_) bytes += unit.functions.capacity() * sizeof(Function);
  return bytes + (dwarf_ ? dwarf_->debug_bytes() : 0);
}

// Code at address 0 was thrown away by the linker.
template <typename Visit>
void DwarfFrames::each_range(Dwarf_Die& entry, Visit visit) {
  Dwarf_Addr base = 0, begin = 0, end = 0;
  ptrdiff_t at = 0;
  while (budget_.spend(kEntryWork) && (at = ::dwarf_ranges(&entry, at, &base, &begin, &end)) > 0)
    if (begin != 0 && begin < end) visit(AddressRange{begin, end});
}

bool DwarfFrames::covers(Dwarf_Die& entry, uint64_t vaddr) {
  bool found = false;
  each_range(entry, [&](const AddressRange& code) { found = found || code.contains(vaddr); });
  return found;
}

bool DwarfFrames::child(Dwarf_Die& entry) {
  Dwarf_Die first;
  if (!budget_.spend(kEntryWork) || ::dwarf_child(&entry, &first) != 0) return false;
  entry = first;
  return true;
}

// If the entry does not point to the next one, its whole content is walked over.
bool DwarfFrames::sibling(Dwarf_Die& entry) {
  Dwarf_Die next;
  const bool jumps = ::dwarf_haschildren(&entry) == 0 || ::dwarf_hasattr(&entry, DW_AT_sibling) != 0;
  if (!budget_.spend(kEntryWork) || ::dwarf_siblingof(&entry, &next) != 0) return false;
  const Dwarf_Off from = ::dwarf_dieoffset(&entry), to = ::dwarf_dieoffset(&next);
  if (to <= from || (!jumps && !budget_.spend(to - from))) return false;
  entry = next;
  return true;
}

void DwarfFrames::find_units() {
  opened_ = true;
  Result<DwarfFile> file = DwarfFile::open(file_);
  if (!file) return;
  dwarf_.emplace(*std::move(file));
  static_cast<void>(dwarf_->each_unit([&](Dwarf_Die& entry, Dwarf_Off end) -> Status {
    if (!budget_.spend(kEntryWork)) return debug_information("asks for too much work");
    if (::dwarf_tag(&entry) != DW_TAG_compile_unit) return {};
    const auto number = static_cast<uint32_t>(units_.size());
    const size_t had = ranges_.size();
    each_range(entry, [&](const AddressRange& code) {
      if (ranges_.size() < kMostRanges) ranges_.push_back({code, number});
    });
    if (ranges_.size() == had) return {};
    Unit& unit = units_.emplace_back();
    unit.entry = ::dwarf_dieoffset(&entry);
    unit.end = end;
    return {};
  }));
  sort_ranges(ranges_);
}

DwarfFrames::Unit* DwarfFrames::unit_of(uint64_t vaddr) {
  const UnitRange* range = range_at(ranges_, vaddr);
  return range == nullptr ? nullptr : &units_[range->unit];
}

// The next entry after this one and its content, one of `depth` nested lists. Where the innermost ends, the
// entry that it is in has ended, too: nothing is walked over twice.
bool DwarfFrames::next(Dwarf_Die& entry, size_t& depth, const Unit& unit) {
  Dwarf_Die behind;
  const int none = ::dwarf_siblingof(&entry, &behind);
  if (none < 0 || behind.addr == nullptr) return false;
  const auto* at = static_cast<const std::byte*>(behind.addr);  // a sibling, or the zero that ends the list
  const auto* const begin = static_cast<const std::byte*>(entry.addr);
  const Dwarf_Off from = ::dwarf_dieoffset(&entry);
  if (at <= begin || from >= unit.end || !budget_.spend(kEntryWork + static_cast<uint64_t>(at - begin)))
    return false;
  if (none == 0) {
    entry = behind;
    return true;
  }
  const std::byte* const end = begin + (unit.end - from);
  for (; depth > 0 && ++at < end; --depth)
    if (*at != std::byte{0})
      return ::dwarf_offdie(dwarf_->get(), from + static_cast<uint64_t>(at - begin), &entry) != nullptr &&
             depth-- > 0;
  return false;
}

// A unit with an abandoned walk has the functions that were found before.
void DwarfFrames::index(Unit& unit) {
  if (std::exchange(unit.indexed, true)) return;
  Dwarf_Die entry;
  if (::dwarf_offdie(dwarf_->get(), unit.entry, &entry) == nullptr || !child(entry)) return;
  for (size_t depth = 0; !budget_.used_up();) {
    const int tag = ::dwarf_tag(&entry);
    if (tag == DW_TAG_subprogram)
      each_range(entry, [&](const AddressRange& code) {
        if (unit.functions.size() < kMostRanges) unit.functions.push_back({code, ::dwarf_dieoffset(&entry)});
      });
    if (depth < kMostDepth && holds_functions(tag) && child(entry))
      ++depth;
    else if (!next(entry, depth, unit))
      break;
  }
  sort_ranges(unit.functions);
}

uint64_t DwarfFrames::line_program_bytes(Dwarf_Die& unit) const {
  const std::span<const std::byte> section = dwarf_->section(".debug_line");
  const std::optional<uint64_t> at = DwarfFile::number(unit, DW_AT_stmt_list);
  uint32_t bytes = 0;
  if (!at || section.size() < sizeof bytes || *at > section.size() - sizeof bytes) return section.size();
  std::memcpy(&bytes, section.data() + *at, sizeof bytes);
  return std::min<uint64_t>(bytes, section.size());  // the 64-bit format has 0xffffffff
}

void DwarfFrames::read_lines(Unit& unit) {
  if (std::exchange(unit.lines_read, true)) return;
  Dwarf_Die entry;
  if (::dwarf_offdie(dwarf_->get(), unit.entry, &entry) == nullptr) return;
  const uint64_t bytes = line_program_bytes(entry);
  if (lines_ + bytes > kMostRows || !budget_.spend(kLineWork * bytes)) {
    gave_up_ = true;
    return;
  }
  Dwarf_Lines* lines = nullptr;
  size_t count = 0;
  unit.has_lines = ::dwarf_getsrclines(&entry, &lines, &count) == 0;
  if (unit.has_lines) lines_ += count;
  if (::dwarf_getsrcfiles(&entry, &unit.files, &unit.file_count) != 0) unit.files = nullptr;
}

// The names of an inlined call are those of its original function, or of that function's declaration.
std::string DwarfFrames::name_of(Dwarf_Die entry) const {
  std::string plain;
  for (int hop = 0; hop < kMostOrigins; ++hop) {
    for (const unsigned linked : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name})
      if (const std::string_view name = dwarf_->text(entry, linked); !name.empty())
        return demangle(std::string(name));
    if (plain.empty()) plain = dwarf_->text(entry, DW_AT_name);
    Dwarf_Attribute origin;
    if (::dwarf_attr(&entry, DW_AT_abstract_origin, &origin) == nullptr &&
        ::dwarf_attr(&entry, DW_AT_specification, &origin) == nullptr)
      break;
    const std::optional<Dwarf_Die> next = DwarfFile::referred(origin);
    if (!next) break;
    entry = *next;
  }
  return plain;
}

std::string DwarfFrames::file_of(const Unit& unit, uint64_t number) const {
  if (unit.files == nullptr || number >= unit.file_count) return "";
  const char* name = ::dwarf_filesrc(unit.files, number, nullptr, nullptr);
  return name == nullptr ? "" : name;
}

// Goes down to the entry that has this code and is inlined, or a block; false: none does.
bool DwarfFrames::inner(Dwarf_Die& entry, uint64_t vaddr) {
  Dwarf_Die at = entry;
  for (bool more = child(at); more; more = sibling(at)) {
    const int tag = ::dwarf_tag(&at);
    if ((tag != DW_TAG_inlined_subroutine && !is_block(tag)) || !covers(at, vaddr)) continue;
    entry = at;
    return true;
  }
  return false;
}

// By the line table.
events::SourceFrame DwarfFrames::place_of(const Unit& unit, Dwarf_Die& top, uint64_t vaddr) {
  Dwarf_Line* row = unit.has_lines ? ::dwarf_getsrc_die(&top, vaddr) : nullptr;
  int line = 0;
  const char* file = row == nullptr ? nullptr : ::dwarf_linesrc(row, nullptr, nullptr);
  if (file == nullptr || ::dwarf_lineno(row, &line) != 0 || line <= 0) return {};
  return {"", file, static_cast<uint32_t>(line)};
}

// Of assembly, and of functions that the compiler found to be the same as others, only the line is known.
std::vector<events::SourceFrame> DwarfFrames::frames(Unit& unit, uint64_t vaddr) {
  Dwarf_Die entry, top;
  if (::dwarf_offdie(dwarf_->get(), unit.entry, &top) == nullptr) return {};
  events::SourceFrame place = place_of(unit, top, vaddr);  // of the next frame, which is one further out
  const Function* function = range_at(unit.functions, vaddr);
  if (function == nullptr || ::dwarf_offdie(dwarf_->get(), function->entry, &entry) == nullptr) {
    if (place.file.empty()) return {};
    return {std::move(place)};
  }
  std::vector<Level> levels{{entry, "", 0}};
  for (size_t depth = 0; depth < kMostDepth && levels.size() < kMostFrames && inner(entry, vaddr); ++depth) {
    if (::dwarf_tag(&entry) != DW_TAG_inlined_subroutine) continue;
    const uint64_t file = DwarfFile::number(entry, DW_AT_call_file).value_or(~uint64_t{0});
    const uint64_t line = DwarfFile::number(entry, DW_AT_call_line).value_or(0);
    levels.push_back({entry, file_of(unit, file), static_cast<uint32_t>(line)});
  }
  std::vector<events::SourceFrame> out;
  for (auto level = levels.rbegin(); level != levels.rend(); ++level) {
    place.function = name_of(level->entry);
    const bool outermost = level + 1 == levels.rend();
    if (outermost || !place.function.empty()) out.push_back(place);
    place.file = level->call_line == 0 ? "" : std::move(level->call_file);
    place.line = place.file.empty() ? 0 : level->call_line;
  }
  return out;
}

}  // namespace memwhy::symbols
