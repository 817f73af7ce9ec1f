// SPDX-License-Identifier: Apache-2.0
// DwarfFile: the debug information of a file, opened by libdw, with bounds on the work that a damaged or hostile file can cause.
// Look-ups in it: dwarf_frames.h and goruntime/dwarf_unit.h.
//
//   what libdw would believe                          what is done about it
//   number and size of sections, names of sections    read beforehand, by readers that take nothing on trust
//   size of a compressed section                      256 MiB in total, uncompressed
//   a string in an entry                              ends inside the section, max 64 KiB, or is none
//   a reference into another file                     is none: libdw would open it by a path that the file names
#pragma once

#include <elfutils/libdw.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace memwhy::symbols {

// "its debug information " + what. kEnvironment.
Error debug_information(std::string_view what);

class DwarfFile {
 public:
  static constexpr uint64_t kMostDebugBytes = 256 << 20;  // uncompressed
  static constexpr size_t kMostUnits = 1 << 18;

  // `file` is read as long as this lives. An error as of debug_information().
  static Result<DwarfFile> open(const Fd& file);

  Dwarf* get() const { return dwarf_.get(); }
  uint64_t info_bytes() const { return info_bytes_; }    // of .debug_info, uncompressed
  uint64_t debug_bytes() const { return debug_bytes_; }  // of all debug sections
  // ".debug_line" or ".zdebug_line", uncompressed; empty: there is none.
  std::span<const std::byte> section(std::string_view name) const;

  // "" when it has none.
  std::string_view text(Dwarf_Die& entry, unsigned attribute) const;
  static std::optional<Dwarf_Die> referred(Dwarf_Attribute& attribute);
  static std::optional<uint64_t> number(Dwarf_Die& entry, unsigned attribute);
  static Error unreadable();  // by libdw's error of its last call

  // visit(top entry, offset after the unit) for each unit, until it returns an error.
  template <typename Visit>
  Status each_unit(Visit visit) const {
    Dwarf_Off at = 0, next = 0;
    size_t header = 0;
    for (size_t i = 0; i < kMostUnits; ++i, at = next) {
      const int more =
          ::dwarf_next_unit(get(), at, &next, &header, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
      if (more > 0) break;
      Dwarf_Die unit;
      if (more < 0 || next <= at || ::dwarf_offdie(get(), at + header, &unit) == nullptr) return unreadable();
      if (Status visited = visit(unit, std::min<Dwarf_Off>(next, info_bytes_)); !visited) return visited;
    }
    return {};
  }

 private:
  struct CloseElf {
    void operator()(Elf* elf) const { ::elf_end(elf); }
  };
  struct CloseDwarf {
    void operator()(Dwarf* dwarf) const { ::dwarf_end(dwarf); }
  };

  DwarfFile() = default;
  Status find_strings();

  std::unique_ptr<Elf, CloseElf> elf_;
  std::unique_ptr<Dwarf, CloseDwarf> dwarf_;  // closed first
  // Sections of strings, uncompressed, sorted by address: where a string must end.
  std::vector<std::span<const std::byte>> strings_;
  uint64_t info_bytes_ = 0, debug_bytes_ = 0;
};

}  // namespace memwhy::symbols
