// SPDX-License-Identifier: Apache-2.0
#include "goruntime/dwarf_unit.h"

#include <dwarf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace memwhy::goruntime {

using symbols::DwarfFile;

namespace {

constexpr size_t kMostEntries = 1 << 22;  // of a unit, top level
constexpr size_t kMostMembers = 1 << 12;
constexpr int kMostTypedefs = 32;

// The type of a member or variable, typedefs followed.
std::optional<Dwarf_Die> type_of(Dwarf_Die entry) {
  for (int i = 0; i < kMostTypedefs; ++i) {
    Dwarf_Attribute attribute;
    if (::dwarf_attr(&entry, DW_AT_type, &attribute) == nullptr) return std::nullopt;
    const std::optional<Dwarf_Die> type = DwarfFile::referred(attribute);
    if (!type) return std::nullopt;
    entry = *type;
    if (::dwarf_tag(&entry) != DW_TAG_typedef) return entry;
  }
  return std::nullopt;
}

std::optional<uint64_t> bytes_of(Dwarf_Die type) {
  // Go gives its pointers no size.
  if (::dwarf_tag(&type) == DW_TAG_pointer_type || ::dwarf_tag(&type) == DW_TAG_subroutine_type) return 8;
  return DwarfFile::number(type, DW_AT_byte_size);
}

template <typename Map>
auto look_up(const Map& map, std::string_view name) {
  const auto found = map.find(name);
  return found == map.end() ? std::nullopt : found->second;
}

}  // namespace

Result<DwarfUnit> DwarfUnit::open(const Fd& file) {
  Result<DwarfFile> opened = DwarfFile::open(file);
  if (!opened) return std::move(opened).error();
  return DwarfUnit(*std::move(opened));
}

Status DwarfUnit::collect(std::string_view name) {
  bool found = false;
  Status looked = file_.each_unit([&](Dwarf_Die& unit, Dwarf_Off) -> Status {
    if (::dwarf_tag(&unit) != DW_TAG_compile_unit || file_.text(unit, DW_AT_name) != name) return {};
    found = true;
    return walk(unit);
  });
  if (!looked || found) return looked;
  return debug_information(fmt::format("has no unit of package {}", name));
}

Status DwarfUnit::walk(Dwarf_Die unit) {
  Dwarf_Die entry;
  int more = ::dwarf_child(&unit, &entry);
  for (size_t i = 0; more == 0; ++i) {
    if (i == kMostEntries) return debug_information("has too many entries");
    take(entry);
    Dwarf_Die sibling;
    more = ::dwarf_siblingof(&entry, &sibling);
    entry = sibling;
  }
  if (more < 0) return DwarfFile::unreadable();
  return {};
}

void DwarfUnit::take(Dwarf_Die& entry) {
  const int tag = ::dwarf_tag(&entry);
  if (tag == DW_TAG_constant) {
    const auto wanted = constants_.find(file_.text(entry, DW_AT_name));
    if (wanted != constants_.end() && !wanted->second)
      wanted->second = DwarfFile::number(entry, DW_AT_const_value);
  } else if (tag == DW_TAG_structure_type || tag == DW_TAG_variable) {
    Entries& entries = tag == DW_TAG_variable ? variables_ : structs_;
    const auto wanted = entries.find(file_.text(entry, DW_AT_name));
    if (wanted != entries.end() && !wanted->second) wanted->second = entry;
  }
}

bool DwarfUnit::has_struct(std::string_view name) const { return look_up(structs_, name).has_value(); }

std::optional<uint64_t> DwarfUnit::bytes(std::string_view structure) const {
  std::optional<Dwarf_Die> type = look_up(structs_, structure);
  const std::optional<uint64_t> bytes = type ? DwarfFile::number(*type, DW_AT_byte_size) : std::nullopt;
  return bytes && *bytes <= kMostStructBytes ? bytes : std::nullopt;
}

std::optional<Field> DwarfUnit::field(std::string_view structure, std::string_view path) const {
  std::optional<Dwarf_Die> type = look_up(structs_, structure);
  uint64_t offset = 0;
  while (type) {
    const size_t dot = path.find('.');
    std::optional<Dwarf_Die> member = member_of(*type, path.substr(0, dot));
    if (!member) return std::nullopt;
    const std::optional<uint64_t> inside = DwarfFile::number(*member, DW_AT_data_member_location);
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
    if (::dwarf_tag(&member) == DW_TAG_member && file_.text(member, DW_AT_name) == name) return member;
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
