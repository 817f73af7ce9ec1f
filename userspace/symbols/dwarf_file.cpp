// SPDX-License-Identifier: Apache-2.0
#include "symbols/dwarf_file.h"

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

namespace memwhy::symbols {
namespace {

constexpr uint64_t kMostDwarfBytes = uint64_t{4} << 30;
constexpr uint64_t kMostSectionNames = 1 << 20;  // names of sections
constexpr ptrdiff_t kMostTextBytes = 64 << 10;

Error unreadable_because(const char* why) {
  return debug_information(fmt::format("cannot be read ({})", why));
}
Error too_much_debug() {
  return debug_information(fmt::format("has more than {} MiB", DwarfFile::kMostDebugBytes >> 20));
}

// What libelf and libdw may be given: they allocate as many sections as the file claims, and read whole sections,
// the names first. So what they will touch is checked before, by readers that take nothing on trust.
Status bounded_sections(const Fd& file) {
  Fd again(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  if (!again) return unreadable_because("no file descriptor is left");
  Result<std::unique_ptr<FileBytes>> bytes = FileBytes::open(std::move(again), kMostDwarfBytes);
  if (!bytes) return unreadable_because(bytes.error().message().c_str());
  const auto header = load<Elf64_Ehdr>(**bytes, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
    return unreadable_because("not an ELF file");
  // Numbers that do not fit are in the first section, where libelf trusts them; few programs have so many.
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_shentsize != sizeof(Elf64_Shdr) ||
      header->e_shstrndx >= header->e_shnum)
    return unreadable_because("its section table is not one of a program");
  const auto sections = load_array<Elf64_Shdr>(**bytes, header->e_shoff, header->e_shnum);
  if (!sections) return unreadable_because("its section table is outside of the file");
  const Elf64_Shdr& names = (*sections)[header->e_shstrndx];
  if (names.sh_size > kMostSectionNames || (names.sh_flags & SHF_COMPRESSED) != 0)
    return unreadable_because("the names of its sections are too long");
  uint64_t debug = 0;
  for (const Elf64_Shdr& one : *sections) {
    if (one.sh_type == SHT_NOBITS || one.sh_type == SHT_NULL) continue;
    if (one.sh_offset > (*bytes)->size() || one.sh_size > (*bytes)->size() - one.sh_offset)
      return unreadable_because("a section is outside of the file");
    const std::string name =
        load_string(**bytes, names.sh_offset + one.sh_name, names.sh_offset + names.sh_size, 64).value_or("");
    // Also ".zdebug_info", ".gnu.debuglto_.debug_info", ".gnu_debugaltlink": libdw reads them all.
    if (name.find("debug") != std::string::npos)
      debug += std::min(one.sh_size, DwarfFile::kMostDebugBytes + 1);
    if (debug > DwarfFile::kMostDebugBytes) return too_much_debug();
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

// visit(section, header, name) for each that is debug information by name. False: the file cannot be read.
template <typename Visit>
bool each_debug_section(Elf* elf, Visit visit) {
  size_t names = 0;
  if (::elf_getshdrstrndx(elf, &names) != 0) return false;
  for (Elf_Scn* section = ::elf_nextscn(elf, nullptr); section != nullptr;
       section = ::elf_nextscn(elf, section)) {
    GElf_Shdr header;
    if (::gelf_getshdr(section, &header) == nullptr) return false;
    const char* text = ::elf_strptr(elf, names, header.sh_name);
    const std::string_view name = text == nullptr ? "" : text;
    if (name.find("debug") != std::string_view::npos) visit(section, header, name);
  }
  return true;
}

// As libdw has it: uncompressed.
std::span<const std::byte> bytes_of(Elf_Scn* section) {
  const Elf_Data* data = ::elf_rawdata(section, nullptr);
  if (data == nullptr || data->d_buf == nullptr) return {};
  return {static_cast<const std::byte*>(data->d_buf), data->d_size};
}

bool is_section(std::string_view found, std::string_view name) {
  return found == name || (found.starts_with(".z") && found.substr(2) == name.substr(1));
}

}  // namespace

Error debug_information(std::string_view what) {
  return {ErrorCode::kEnvironment, "its debug information " + std::string(what)};
}

Error DwarfFile::unreadable() { return unreadable_because(::dwarf_errmsg(-1)); }

Result<DwarfFile> DwarfFile::open(const Fd& file) {
  if (Status bounded = bounded_sections(file); !bounded) return std::move(bounded).error();
  ::elf_version(EV_CURRENT);
  DwarfFile out;
  // Read, not mapped: a file that shrinks under a mapping kills whoever mapped it.
  out.elf_.reset(::elf_begin(file.get(), ELF_C_READ, nullptr));
  if (out.elf_ == nullptr || ::elf_kind(out.elf_.get()) != ELF_K_ELF)
    return unreadable_because("not an ELF file");
  const bool read = each_debug_section(out.elf_.get(), [&](Elf_Scn* section, const GElf_Shdr& header,
                                                           std::string_view name) {
    const uint64_t bytes = claimed_bytes(section, header, name);
    out.debug_bytes_ = std::min(out.debug_bytes_ + std::min(bytes, kMostDebugBytes + 1), kMostDebugBytes + 1);
    if (is_section(name, ".debug_info") && header.sh_type != SHT_NOBITS) out.info_bytes_ = bytes;
  });
  if (!read) return unreadable_because(::elf_errmsg(-1));
  if (out.debug_bytes_ > kMostDebugBytes) return too_much_debug();
  if (out.info_bytes_ == 0)
    return Error(ErrorCode::kEnvironment, "its program has no debug information (stripped)");
  out.dwarf_.reset(::dwarf_begin_elf(out.elf_.get(), DWARF_C_READ, nullptr));
  if (out.dwarf_ == nullptr) return unreadable();
  if (Status found = out.find_strings(); !found) return std::move(found).error();
  return out;
}

// libdw holds no string to the end of its section: each section must end with one.
Status DwarfFile::find_strings() {
  bool ended = true;
  each_debug_section(elf_.get(), [&](Elf_Scn* section, const GElf_Shdr& header, std::string_view name) {
    if (header.sh_type == SHT_NOBITS || name.find("str") == std::string_view::npos ||
        is_section(name, ".debug_str_offsets"))
      return;
    const std::span<const std::byte> bytes = bytes_of(section);
    if (bytes.empty()) return;
    ended = ended && bytes.back() == std::byte{0};
    strings_.push_back(bytes);
  });
  if (!ended) return unreadable_because("a section of its strings does not end with one");
  std::sort(strings_.begin(), strings_.end(),
            [](const auto& a, const auto& b) { return a.data() < b.data(); });
  return {};
}

std::span<const std::byte> DwarfFile::section(std::string_view wanted) const {
  std::span<const std::byte> found;
  each_debug_section(elf_.get(), [&](Elf_Scn* section, const GElf_Shdr& header, std::string_view name) {
    if (!is_section(name, wanted) || header.sh_type == SHT_NOBITS) return;
    if (const std::span<const std::byte> bytes = bytes_of(section); !bytes.empty()) found = bytes;
  });
  return found;
}

// A string ends inside its section, or is none: libdw does not look.
std::string_view DwarfFile::text(Dwarf_Die& entry, unsigned name) const {
  Dwarf_Attribute attribute;
  if (::dwarf_attr(&entry, name, &attribute) == nullptr) return "";
  switch (::dwarf_whatform(&attribute)) {
    case DW_FORM_string: {
      const uint64_t offset = ::dwarf_dieoffset(&entry);
      if (offset >= info_bytes_) return "";
      const auto* text = reinterpret_cast<const char*>(attribute.valp);
      const auto* end = static_cast<const char*>(entry.addr) + (info_bytes_ - offset);
      if (text >= end) return "";
      const void* zero = std::memchr(text, 0, static_cast<size_t>(std::min(end - text, kMostTextBytes)));
      if (zero == nullptr) return "";
      return {text, static_cast<size_t>(static_cast<const char*>(zero) - text)};
    }
    case DW_FORM_strp:
    case DW_FORM_line_strp:
    case DW_FORM_strx:
    case DW_FORM_strx1:
    case DW_FORM_strx2:
    case DW_FORM_strx3:
    case DW_FORM_strx4: {
      const char* text = ::dwarf_formstring(&attribute);
      const auto* begin = reinterpret_cast<const std::byte*>(text);
      const auto after = std::partition_point(strings_.begin(), strings_.end(),
                                              [&](const auto& each) { return each.data() <= begin; });
      if (text == nullptr || after == strings_.begin()) return "";
      const std::span<const std::byte> section = *std::prev(after);
      if (begin >= section.data() + section.size()) return "";
      const ptrdiff_t most = std::min(section.data() + section.size() - begin, kMostTextBytes);
      return {text, ::strnlen(text, static_cast<size_t>(most))};
    }
    default:
      return "";
  }
}

// Only references that stay in this file: libdw would open others by a path that the file names.
std::optional<Dwarf_Die> DwarfFile::referred(Dwarf_Attribute& attribute) {
  constexpr std::array kForms = {DW_FORM_ref_addr, DW_FORM_ref1, DW_FORM_ref2,
                                 DW_FORM_ref4,     DW_FORM_ref8, DW_FORM_ref_udata};
  Dwarf_Die out;
  const int form = static_cast<int>(::dwarf_whatform(&attribute));
  if (std::find(kForms.begin(), kForms.end(), form) == kForms.end()) return std::nullopt;
  if (::dwarf_formref_die(&attribute, &out) == nullptr) return std::nullopt;
  return out;
}

std::optional<uint64_t> DwarfFile::number(Dwarf_Die& entry, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (::dwarf_attr(&entry, name, &attribute) == nullptr || ::dwarf_formudata(&attribute, &value) != 0)
    return std::nullopt;
  return value;
}

}  // namespace memwhy::symbols
