// SPDX-License-Identifier: Apache-2.0
// DwarfFrames: the functions at an address of C, C++ or Rust code, including inlined ones, with their lines, by debug
// information.
//
// What it is: a lookup over dwarf_file.h. A unit is walked when the first of its addresses is looked up; a budget bounds the work
// for the whole file. What it is not: made for Go, which has a table of its own (go_line_table.h).
//
//   0x1412 in a unit of cache.cpp    subprogram main, 0x13f0-0x1480
//                                      lexical block 0x1400-0x1440
//                                        inlined Cache::insert, called at line 12 of main.cpp
//                                          inlined Slot::fill, called at line 88 of cache.cpp
//   the line table: line 31 of slot.h
//     -> { Slot::fill(char) slot.h:31 } { Cache::insert(Key) cache.cpp:88 } { main main.cpp:12 }
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "events/process.h"
#include "symbols/budget.h"
#include "symbols/dwarf_file.h"

namespace memwhy::symbols {

class DwarfFrames {
 public:
  // Work: about a byte of debug information that is walked over. Of all of a file, and what each look-up adds.
  static constexpr uint64_t kWholeWork = 128 << 20, kLookupShare = 64 << 10;
  static constexpr size_t kMostFrames = 64;  // of an address

  explicit DwarfFrames(Fd file) : file_(std::move(file)) {}

  // Innermost first; the last one is the function that the code belongs to, "" where only its line is known. Empty: nothing
  // is, or it is too much work.
  std::vector<events::SourceFrame> lookup(uint64_t vaddr);

  bool gave_up() const { return gave_up_; }  // of some address
  uint64_t memory_bytes() const;

 private:
  struct Function {
    AddressRange code;
    Dwarf_Off entry = 0;
  };
  struct Unit {
    Dwarf_Off entry = 0, end = 0;
    bool indexed = false, lines_read = false;
    bool has_lines = false;
    std::vector<Function> functions;  // by where they begin, an outer one before those in it
    Dwarf_Files* files = nullptr;     // null: unknown
    size_t file_count = 0;
  };
  struct UnitRange {
    AddressRange code;
    uint32_t unit = 0;
  };
  // A function that was inlined, or the outermost one.
  struct Level {
    Dwarf_Die entry;
    std::string call_file;
    uint32_t call_line = 0;
  };

  void find_units();
  Unit* unit_of(uint64_t vaddr);
  void index(Unit& unit);
  void read_lines(Unit& unit);
  uint64_t line_program_bytes(Dwarf_Die& unit) const;
  static events::SourceFrame place_of(const Unit& unit, Dwarf_Die& top, uint64_t vaddr);
  std::vector<events::SourceFrame> frames(Unit& unit, uint64_t vaddr);
  bool inner(Dwarf_Die& entry, uint64_t vaddr);
  bool child(Dwarf_Die& entry);
  bool sibling(Dwarf_Die& entry);
  bool next(Dwarf_Die& entry, size_t& depth, const Unit& unit);
  template <typename Visit>
  void each_range(Dwarf_Die& entry, Visit visit);
  bool covers(Dwarf_Die& entry, uint64_t vaddr);
  std::string name_of(Dwarf_Die entry) const;
  std::string file_of(const Unit& unit, uint64_t number) const;

  Fd file_;
  bool opened_ = false;
  std::optional<DwarfFile> dwarf_;
  std::vector<Unit> units_;
  std::vector<UnitRange> ranges_;  // by where they begin
  Budget budget_;
  uint64_t saved_work_ = kWholeWork;
  uint64_t lines_ = 0;  // rows of line tables that libdw keeps
  bool gave_up_ = false;
};

}  // namespace memwhy::symbols
