// SPDX-License-Identifier: Apache-2.0
// FrameTables: everything in a file that describes how its functions are unwound, behind one look-up.
//
//   Go's line table   decides for Go's own text, also for its assembly
//   .eh_frame         where there is an entry; found by its section, or by PT_GNU_EH_FRAME when the sections are gone
//   .debug_frame      where .eh_frame has none
//   the code          stubs that no table describes: what a signal handler returns to, where a coroutine begins
//   nothing           a guess: the frame pointer
//
// What it is: the order of these, and the pitfalls between them. What it is not: their formats (cfi_section.h, cfi_program.h,
// go_frame_rows.cpp). What comes next: .sframe.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "symbols/byte_source.h"
#include "symbols/cfi_section.h"
#include "symbols/elf_file.h"
#include "symbols/go_line_table.h"
#include "symbols/unwind_rule.h"

namespace memwhy::symbols {

class FrameTables {
 public:
  // Finds the sections, reads none of them, except for a compressed one.
  static FrameTables find(BlockCache& source, const ElfFile& elf);

  // The rules around `file_offset`, which is that of an instruction. `go`: the program's, or nullptr.
  FunctionRules rules(BlockCache& source, const ElfFile& elf, const GoLineTable* go, uint64_t file_offset);

  // Where the function of an address (link-time) begins and ends, by its unwind entry; nothing: none has it.
  std::optional<AddressRange> function(BlockCache& source, uint64_t vaddr);

  // A section without a sorted table; makes one for each, which is a question about all of the file.
  bool needs_index() const;
  void make_index(BlockCache& source);
  size_t memory_bytes() const;

 private:
  struct Part {
    CfiSection section;
    std::unique_ptr<ByteSource> inflated;  // or in the file
  };
  struct Found;
  ByteSource& bytes_of(Part& part, BlockCache& source) { return part.inflated ? *part.inflated : source; }
  void find_table(BlockCache& source, Part& part, uint64_t vaddr, bool is_go, Found& found);
  std::vector<Part> parts_;
};

}  // namespace memwhy::symbols
