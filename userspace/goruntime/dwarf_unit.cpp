// SPDX-License-Identifier: Apache-2.0
#include "goruntime/dwarf_unit.h"

#include <dwarf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "symbols/byte_source.h"

namespace memwhy::goruntime {
namespace {

constexpr uint64_t kMostDebugBytes = 256 << 20;  // uncompressed
constexpr size_t kMostUnits = 1 << 18;
constexpr size_t kMostEntries = 1 << 22;  // of a unit, top level
constexpr size_t kMostMembers = 1 << 12;
constexpr int kMostTypedefs = 32;

constexpr uint64_t kMostDwarfBytes = uint64_t{4} << 30;
constexpr uint64_t kMostNameBytes = 1 << 20;  // names of sections

Error unreadable(const char* why) { return debug_information(fmt::format("cannot be read ({})", why)); }
Error too_much() { return debug_information(fmt::format("has more than {} MiB", kMostDebugBytes >> 20)); }

// What libelf and libdw may be given: they take room for as many sections as the file says, and read sections
// whole, the names first. So what they will touch is looked at before, by readers that take nothing on trust.
Status bounded_sections(const Fd& file) {
  Fd again(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  if (!again) return unreadable("no file descriptor is left");
  Result<std::unique_ptr<symbols::FileBytes>> bytes =
      symbols::FileBytes::open(std::move(again), kMostDwarfBytes);
  if (!bytes) return unreadable(bytes.error().message().c_str());
  const auto header = symbols::load<Elf64_Ehdr>(**bytes, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return unreadable("not an ELF file");
  // Numbers that do not fit stand in the first section, where libelf believes them; no Go program has so many.
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_shentsize != sizeof(Elf64_Shdr) ||
      header->e_shstrndx >= header->e_shnum)
    return unreadable("its section table is not one of a Go program");
  const auto sections = symbols::load_array<Elf64_Shdr>(**bytes, header->e_shoff, header->e_shnum);
  if (!sections) return unreadable("its section table is outside of the file");
  const Elf64_Shdr& names = (*sections)[header->e_shstrndx];
  if (names.sh_size > kMostNameBytes || (names.sh_flags & SHF_COMPRESSED) != 0)
    return unreadable("the names of its sections are too long");
  uint64_t debug = 0;
  for (const Elf64_Shdr& one : *sections) {
    if (one.sh_type == SHT_NOBITS || one.sh_type == SHT_NULL) continue;
    if (one.sh_offset > (*bytes)->size() || one.sh_size > (*bytes)->size() - one.sh_offset)
      return unreadable("a section is outside of the file");
    const std::string name =
        symbols::load_string(**bytes, names.sh_offset + one.sh_name, names.sh_offset + names.sh_size, 64)
            .value_or("");
    // Also ".zdebug_info", ".gnu.debuglto_.debug_info", ".gnu_debugaltlink": libdw reads them all.
    if (name.find("debug") != std::string::npos) debug += std::min(one.sh_size, kMostDebugBytes + 1);
    if (debug > kMostDebugBytes) return too_much();
  }
  return {};
}

// Uncompressed size of a section of debug information, as its header claims; libelf holds it to that.
uint64_t claimed_bytes(Elf_Scn* section, const GElf_Shdr& header, std::string_view name) {
  GElf_Chdr compressed;
  if ((header.sh_flags & SHF_COMPRESSED) != 0)
    return ::gelf_getchdr(section, &compressed) == nullptr ? 0 : compressed.ch_size;
  if (name.starts_with(".zdebug_")) {  // "ZLIB", then eight bytes, greatest first
    const Elf_Data* data = ::elf_rawdata(section, nullptr);
    if (data == nullptr || data->d_buf == nullptr || data->d_size < 12) return 0;
    uint64_t size = 0;
    for (size_t i = 4; i < 12; ++i) size = size << 8 | static_cast<const uint8_t*>(data->d_buf)[i];
    return size;
  }
  return header.sh_size;
}

// The size of .debug_info, once all debug sections together are no larger than the limit.
Result<uint64_t> bounded_info_bytes(Elf* elf) {
  size_t names = 0;
  if (::elf_getshdrstrndx(elf, &names) != 0) return unreadable(::elf_errmsg(-1));
  uint64_t info = 0, all = 0;
  for (Elf_Scn* section = ::elf_nextscn(elf, nullptr); section != nullptr;
       section = ::elf_nextscn(elf, section)) {
    GElf_Shdr header;
    if (::gelf_getshdr(section, &header) == nullptr) return unreadable(::elf_errmsg(-1));
    const char* text = ::elf_strptr(elf, names, header.sh_name);
    const std::string_view name = text == nullptr ? "" : text;
    if (name.find("debug") == std::string_view::npos) continue;
    const uint64_t bytes = claimed_bytes(section, header, name);
    all += std::min(bytes, kMostDebugBytes + 1);
    if (all > kMostDebugBytes) return too_much();
    if (name == ".debug_info" || name == ".zdebug_info") info = bytes;
  }
  if (info == 0) return Error(ErrorCode::kEnvironment, "its program has no debug information (stripped)");
  return info;
}

// Only references that stay in this file: libdw would open others by a path that the file names.
std::optional<Dwarf_Die> referred(Dwarf_Attribute& attribute) {
  constexpr std::array kForms = {DW_FORM_ref_addr, DW_FORM_ref1, DW_FORM_ref2,
                                 DW_FORM_ref4,     DW_FORM_ref8, DW_FORM_ref_udata};
  Dwarf_Die out;
  const int form = static_cast<int>(::dwarf_whatform(&attribute));
  if (std::find(kForms.begin(), kForms.end(), form) == kForms.end()) return std::nullopt;
  if (::dwarf_formref_die(&attribute, &out) == nullptr) return std::nullopt;
  return out;
}

std::optional<uint64_t> number(Dwarf_Die& entry, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (::dwarf_attr(&entry, name, &attribute) == nullptr || ::dwarf_formudata(&attribute, &value) != 0)
    return std::nullopt;
  return value;
}

// The type of a member or variable, typedefs followed.
std::optional<Dwarf_Die> type_of(Dwarf_Die entry) {
  for (int i = 0; i < kMostTypedefs; ++i) {
    Dwarf_Attribute attribute;
    if (::dwarf_attr(&entry, DW_AT_type, &attribute) == nullptr) return std::nullopt;
    const std::optional<Dwarf_Die> type = referred(attribute);
    if (!type) return std::nullopt;
    entry = *type;
    if (::dwarf_tag(&entry) != DW_TAG_typedef) return entry;
  }
  return std::nullopt;
}

std::optional<uint64_t> bytes_of(Dwarf_Die type) {
  // Go gives its pointers no size.
  if (::dwarf_tag(&type) == DW_TAG_pointer_type || ::dwarf_tag(&type) == DW_TAG_subroutine_type) return 8;
  return number(type, DW_AT_byte_size);
}

template <typename Map>
auto look_up(const Map& map, std::string_view name) {
  const auto found = map.find(name);
  return found == map.end() ? std::nullopt : found->second;
}

}  // namespace

Error debug_information(std::string_view what) {
  return {ErrorCode::kEnvironment, "its debug information " + std::string(what)};
}

Result<DwarfUnit> DwarfUnit::open(const Fd& file) {
  if (Status bounded = bounded_sections(file); !bounded) return std::move(bounded).error();
  ::elf_version(EV_CURRENT);
  DwarfUnit out;
  // Read, not mapped: a file that shrinks under a mapping kills whoever mapped it.
  out.elf_.reset(::elf_begin(file.get(), ELF_C_READ, nullptr));
  if (out.elf_ == nullptr || ::elf_kind(out.elf_.get()) != ELF_K_ELF) return unreadable("not an ELF file");
  Result<uint64_t> info_bytes = bounded_info_bytes(out.elf_.get());
  if (!info_bytes) return std::move(info_bytes).error();
  out.info_bytes_ = *info_bytes;
  out.dwarf_.reset(::dwarf_begin_elf(out.elf_.get(), DWARF_C_READ, nullptr));
  if (out.dwarf_ == nullptr) return unreadable(::dwarf_errmsg(-1));
  return out;
}

Status DwarfUnit::collect(std::string_view name) {
  Dwarf_Off at = 0, next = 0;
  size_t header = 0;
  bool found = false;
  for (size_t i = 0; i < kMostUnits; ++i, at = next) {
    const int more = ::dwarf_next_unit(dwarf_.get(), at, &next, &header, nullptr, nullptr, nullptr, nullptr,
                                       nullptr, nullptr);
    if (more < 0 || (more == 0 && next <= at)) return unreadable(::dwarf_errmsg(-1));
    if (more > 0) break;
    const uint64_t end = std::min<uint64_t>(next, info_bytes_);
    Dwarf_Die unit;
    if (::dwarf_offdie(dwarf_.get(), at + header, &unit) == nullptr) return unreadable(::dwarf_errmsg(-1));
    if (::dwarf_tag(&unit) != DW_TAG_compile_unit || name_of(unit, end) != name) continue;
    found = true;
    if (Status status = walk(unit, end); !status) return status;
  }
  if (!found) return debug_information(fmt::format("has no unit of package {}", name));
  return {};
}

// "" when it has none. A string that stands in the entry itself ends inside the unit, or is none: libdw does not look.
std::string_view DwarfUnit::name_of(Dwarf_Die& entry, uint64_t unit_end) const {
  Dwarf_Attribute attribute;
  if (::dwarf_attr(&entry, DW_AT_name, &attribute) == nullptr) return "";
  switch (::dwarf_whatform(&attribute)) {
    case DW_FORM_string: {
      const uint64_t offset = ::dwarf_dieoffset(&entry);
      if (offset >= unit_end) return "";
      const auto* text = reinterpret_cast<const char*>(attribute.valp);
      const auto* end = static_cast<const char*>(entry.addr) + (unit_end - offset);
      if (text >= end) return "";
      const void* zero = std::memchr(text, 0, static_cast<size_t>(end - text));
      if (zero == nullptr) return "";
      return {text, static_cast<size_t>(static_cast<const char*>(zero) - text)};
    }
    case DW_FORM_strp:
    case DW_FORM_line_strp: {
      const char* text = ::dwarf_formstring(&attribute);
      return text == nullptr ? "" : text;
    }
    default:
      return "";
  }
}

Status DwarfUnit::walk(Dwarf_Die unit, uint64_t unit_end) {
  Dwarf_Die entry;
  int more = ::dwarf_child(&unit, &entry);
  for (size_t i = 0; more == 0; ++i) {
    if (i == kMostEntries) return debug_information("has too many entries");
    take(entry, unit_end);
    Dwarf_Die sibling;
    more = ::dwarf_siblingof(&entry, &sibling);
    entry = sibling;
  }
  if (more < 0) return unreadable(::dwarf_errmsg(-1));
  return {};
}

void DwarfUnit::take(Dwarf_Die& entry, uint64_t unit_end) {
  const int tag = ::dwarf_tag(&entry);
  if (tag == DW_TAG_constant) {
    const auto wanted = constants_.find(name_of(entry, unit_end));
    if (wanted != constants_.end() && !wanted->second) wanted->second = number(entry, DW_AT_const_value);
  } else if (tag == DW_TAG_structure_type || tag == DW_TAG_variable) {
    Entries& entries = tag == DW_TAG_variable ? variables_ : structs_;
    const auto wanted = entries.find(name_of(entry, unit_end));
    if (wanted != entries.end() && !wanted->second) wanted->second = entry;
  }
}

bool DwarfUnit::has_struct(std::string_view name) const { return look_up(structs_, name).has_value(); }

std::optional<uint64_t> DwarfUnit::bytes(std::string_view structure) const {
  std::optional<Dwarf_Die> type = look_up(structs_, structure);
  const std::optional<uint64_t> bytes = type ? number(*type, DW_AT_byte_size) : std::nullopt;
  return bytes && *bytes <= kMostStructBytes ? bytes : std::nullopt;
}

std::optional<Field> DwarfUnit::field(std::string_view structure, std::string_view path) const {
  std::optional<Dwarf_Die> type = look_up(structs_, structure);
  uint64_t offset = 0;
  while (type) {
    const size_t dot = path.find('.');
    std::optional<Dwarf_Die> member = member_of(*type, path.substr(0, dot));
    if (!member) return std::nullopt;
    const std::optional<uint64_t> inside = number(*member, DW_AT_data_member_location);
    type = type_of(*member);
    const std::optional<uint64_t> bytes = type ? bytes_of(*type) : std::nullopt;
    if (!inside || !bytes || *bytes > kMostStructBytes || *inside > kMostStructBytes - offset)
      return std::nullopt;
    offset += *inside;
    if (dot == std::string_view::npos)
      return Field{static_cast<uint32_t>(offset), static_cast<uint32_t>(*bytes)};
    path.remove_prefix(dot + 1);
  }
  return std::nullopt;
}

std::optional<Dwarf_Die> DwarfUnit::member_of(Dwarf_Die& type, std::string_view name) const {
  if (::dwarf_tag(&type) != DW_TAG_structure_type) return std::nullopt;
  Dwarf_Die member;
  int more = ::dwarf_child(&type, &member);
  for (size_t i = 0; more == 0 && i < kMostMembers; ++i) {
    // A type may be of another unit: its names end inside the section at least.
    if (::dwarf_tag(&member) == DW_TAG_member && name_of(member, info_bytes_) == name) return member;
    Dwarf_Die sibling;
    more = ::dwarf_siblingof(&member, &sibling);
    member = sibling;
  }
  return std::nullopt;
}

std::optional<uint64_t> DwarfUnit::constant(std::string_view name) const { return look_up(constants_, name); }

std::optional<DwarfUnit::Variable> DwarfUnit::variable(std::string_view name) const {
  std::optional<Dwarf_Die> entry = look_up(variables_, name);
  if (!entry) return std::nullopt;
  Dwarf_Attribute location;
  Dwarf_Block block;
  const std::optional<Dwarf_Die> type = type_of(*entry);
  const std::optional<uint64_t> bytes = type ? bytes_of(*type) : std::nullopt;
  if (!bytes || ::dwarf_attr(&*entry, DW_AT_location, &location) == nullptr ||
      ::dwarf_formblock(&location, &block) != 0 || block.length != 9 || block.data[0] != DW_OP_addr)
    return std::nullopt;
  Variable out{0, *bytes};
  std::memcpy(&out.address, block.data + 1, sizeof(out.address));
  return out;
}

}  // namespace memwhy::goruntime
