// SPDX-License-Identifier: Apache-2.0
// GoLineTable: functions, files, lines and inlined calls of a Go program, from the table that its runtime
// itself uses for tracebacks (pclntab, Go 1.16 to 1.27). It survives stripping, so Go needs no symbols and no
// DWARF.
//
//   header     magic fffffff1 (1.20 on; fffffff0: 1.18, 1.19; fffffffa: 1.16, 1.17), quantum, counts, offsets of:
//   names      "main.serve\0main.(*server).handle\0…"
//   cutab      for each compilation unit: offsets in files
//   files      "/src/web/main.go\0…"
//   pctab      sequences of (value delta, pc delta) as varints: line, file number, inline index over pcs
//   functab    sorted (entry - text, offset of _func), then the _func records
//
//   lookup(0x48a3f1):  functab -> main.serve, entry 0x48a3c0; pctab says line 41, inline index 2 at this pc
//     inline tree [2] = { name "main.parse", parent pc 0x48a3e2 } -> main.parse  parse.go:41  (line at 0x48a3f1)
//     index at 0x48a3e2 is -1                                     -> main.serve  main.go:118  (line at 0x48a3e2)
//
// Frame sizes are such sequences, too (go_frame_rows.cpp). The inline trees lie outside of the table, relative to
// moduledata.gofunc (go_module.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "events/process.h"
#include "symbols/byte_source.h"
#include "symbols/elf_file.h"
#include "symbols/unwind_rule.h"

namespace memwhy::symbols {

class GoLineTable {
 public:
  // Nothing: no table, one of an unknown release, or its addresses could not be established. `is_go`: its build
  // info or its notes say so, and a table that has no section of its own is searched. `left_out`: there was more
  // that looked like a table than is tried.
  static std::optional<GoLineTable> find(ByteSource& source, const ElfFile& elf, bool is_go,
                                         bool* left_out = nullptr);

  // Innermost inlined frame first; empty: not Go code. `vaddr` is an instruction, not a return address.
  std::vector<events::SourceFrame> lookup(ByteSource& source, uint64_t vaddr) const;

  // Where the function of exactly this name lies (link-time); nothing: none, or several.
  std::vector<std::optional<AddressRange>> find_functions(ByteSource& source,
                                                          const std::vector<std::string>& names) const;

  // Whether a function (linked or inlined) has a name that begins so, for each.
  std::vector<bool> have_names(ByteSource& source, const std::vector<std::string>& prefixes) const;

  // The rules of the function that contains `vaddr`, as in FunctionRules but by address; by its table of frame sizes and the
  // prologue, which saves the frame pointer. Nothing: not Go code, or none of Go 1.18 on.
  struct FrameRows {
    AddressRange range;
    std::vector<RuleRow> rows;
  };
  std::optional<FrameRows> frame_rows(ByteSource& source, const ElfFile& elf, uint64_t vaddr) const;

  uint64_t vaddr() const { return vaddr_; }                            // link-time address of the header
  uint64_t names_offset() const { return names_.begin - header_at_; }  // of the function names after it
  uint64_t functions() const { return function_count_; }
  uint64_t text() const { return text_; }
  // Where all of its functions are, link-time; empty: not readable.
  AddressRange code(ByteSource& source) const;
  bool inlining_known() const { return gofunc_ != 0 || release_ == Release::kGo116; }

 private:
  enum class Release : uint8_t { kGo116, kGo118, kGo120 };  // by the header's magic: the first that writes it

  struct Range {  // file offsets
    uint64_t begin = 0, end = 0;
    uint64_t bytes() const { return end - begin; }
  };
  struct Function {
    uint64_t entry = 0, end = 0;
    uint32_t name = 0;
    uint32_t pcsp = 0, pcfile = 0, pcln = 0, inline_index = 0;  // offsets in pctab; 0 none
    uint64_t flags_at = 0;                                      // file offset
    uint32_t unit = 0;
    std::optional<uint64_t> inline_tree;  // file offset
  };

  static std::optional<GoLineTable> search(ByteSource& source, const ElfFile& elf, bool* left_out);
  // What begins at `offset` as a table begins, not yet located.
  static std::optional<GoLineTable> at(ByteSource& source, const ElfFile& elf, uint64_t offset, uint64_t end);
  bool locate(ByteSource& source, const ElfFile& elf);
  bool trees_are_at(ByteSource& source, uint64_t gofunc);

  uint64_t entry_bytes() const { return release_ == Release::kGo116 ? 16 : 8; }
  std::optional<uint64_t> entry_pc(ByteSource& source, uint64_t index) const;
  std::optional<Function> function(ByteSource& source, uint64_t index) const;
  std::optional<uint64_t> find_function(ByteSource& source, uint64_t vaddr) const;
  int32_t value_at(ByteSource& source, uint32_t sequence, const Function& in, uint64_t vaddr) const;
  std::string name_at(ByteSource& source, uint32_t offset) const;
  events::SourceFrame frame(ByteSource& source, const Function& function, uint32_t name,
                            uint64_t vaddr) const;

  Release release_{};
  uint8_t quantum_ = 1;
  uint64_t header_at_ = 0, vaddr_ = 0;  // the header's place in the file and in the address space
  uint64_t header_text_ = 0;
  uint64_t text_ = 0;    // what entries are relative to; 0 for kGo116, with absolute entries
  uint64_t gofunc_ = 0;  // what inline trees are relative to; 0 unknown (no inlined frames), or kGo116
  uint64_t function_count_ = 0;
  Range names_, units_, files_, pctab_, functions_;
  std::vector<Segment> segments_;  // to find inline trees
};

}  // namespace memwhy::symbols
