// SPDX-License-Identifier: Apache-2.0
// DwarfUnit: named types, constants and variables of one package of a Go program, from its debug information
// (symbols/dwarf_file.h). What to look for is dwarf_layout.h's.
//
//   collect("runtime", {"runtime.g", …}, {"runtime._PageSize", …}, {…})
//   bytes("runtime.g") 456    field("runtime.g", "sched.sp") {56, 8}    constant("runtime._PageSize") 8192
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "base/result.h"
#include "goruntime/layout.h"
#include "symbols/dwarf_file.h"

namespace memwhy::goruntime {

using symbols::debug_information;

class DwarfUnit {
 public:
  struct Variable {
    uint64_t address = 0, bytes = 0;  // link-time
  };

  // An error as of dwarf_layout().
  static Result<DwarfUnit> open(const Fd& file);

  // Names that are looked for, one call for each; then collect() of all units of this name.
  void want_struct(std::string_view name) { structs_.emplace(name, std::nullopt); }
  void want_constant(std::string_view name) { constants_.emplace(name, std::nullopt); }
  void want_variable(std::string_view name) { variables_.emplace(name, std::nullopt); }
  Status collect(std::string_view unit);

  bool has_struct(std::string_view name) const;
  std::optional<uint64_t> bytes(std::string_view structure) const;
  // The field at the end of `path`, from the start of the struct.
  std::optional<Field> field(std::string_view structure, std::string_view path) const;
  std::optional<uint64_t> constant(std::string_view name) const;
  std::optional<Variable> variable(std::string_view name) const;

  static constexpr uint64_t kMostStructBytes = 4 << 20;

 private:
  using Entries = std::map<std::string_view, std::optional<Dwarf_Die>>;

  explicit DwarfUnit(symbols::DwarfFile file) : file_(std::move(file)) {}
  Status walk(Dwarf_Die unit);
  void take(Dwarf_Die& entry);
  std::optional<Dwarf_Die> member_of(Dwarf_Die& type, std::string_view name) const;

  symbols::DwarfFile file_;
  Entries structs_, variables_;
  std::map<std::string_view, std::optional<uint64_t>> constants_;
};

}  // namespace memwhy::goruntime
