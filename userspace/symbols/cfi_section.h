// SPDX-License-Identifier: Apache-2.0
// CfiSection: .eh_frame or .debug_frame of a file: which entry describes the function at an address.
//
//   .eh_frame_hdr   sorted (function, entry), 4 bytes each: searched in the file, nothing is kept
//   without it      one pass over the section makes the same table in memory, 16 bytes a function
//
//   .eh_frame  +0x0000  CIE    length 20, id 0, version 1, "zR", code x1, data x-8, return address 16, pointers pcrel sdata4
//              +0x0018  FDE    length 20, CIE 0x18 bytes before, function 0x401020 … 0x401090, program
//
// What it is: a bounded reader; entries that make no sense are skipped, and each claim of a table is checked by the entry. What
// it is not: the meaning of an entry's program (cfi_program.h). Not libdw's reader: that takes an ELF file of its own instead
// of bytes with a budget, answers one address at a time in pieces of DWARF, and its loops are bounded only by the file's
// claims.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "symbols/byte_source.h"

namespace memwhy::symbols {

// What several functions have in common (CIE).
struct CfiCommon {
  uint64_t code_unit = 1;
  int64_t data_unit = 1;
  uint8_t pointers = 0;    // DW_EH_PE_…
  bool augmented = false;  // each function has data of its own before the program
  bool signal = false;     // 'S'
  std::vector<uint8_t> program;
};

// One function (FDE).
struct CfiFunction {
  AddressRange range;
  CfiCommon common;
  std::vector<uint8_t> program;
  uint64_t program_vaddr = 0;
};

// Where a section is. `bytes` may be more than it has when `until_zero`: it is then known by its beginning only.
struct CfiPlace {
  uint64_t offset = 0, bytes = 0;
  uint64_t vaddr = 0;
  bool debug = false;  // .debug_frame
  bool until_zero = false;
};
// Where .eh_frame_hdr is.
struct CfiHeaderPlace {
  uint64_t offset = 0, bytes = 0, vaddr = 0;
};

class CfiSection {
 public:
  struct Answer {
    std::optional<CfiFunction> function;  // that the address is in; or between which functions it is:
    uint64_t gap_begin = 0, gap_end = ~uint64_t{0};
  };

  explicit CfiSection(CfiPlace place) : place_(place) {}
  // The sorted table of the section; it is used if it has the common form. False: it is not.
  bool use_header(ByteSource& source, const CfiHeaderPlace& header);
  // Where .eh_frame begins, by its header; nothing: not of the common form.
  static std::optional<uint64_t> section_vaddr(ByteSource& source, const CfiHeaderPlace& header);

  Answer find(ByteSource& source, uint64_t vaddr);
  // Without a sorted table one is made once, at the price of a pass over the section.
  bool needs_index() const { return table_count_ == 0 && !indexed_; }
  void make_index(ByteSource& source);

  bool debug() const { return place_.debug; }
  size_t memory_bytes() const { return index_.capacity() * sizeof index_[0]; }

 private:
  struct Entry {
    uint64_t next = 0;  // where the next one begins, in the section
    bool is_function = false;
    CfiFunction function;  // without its programs, unless requested
  };
  // Nothing: the section ends here.
  std::optional<Entry> entry(ByteSource& source, uint64_t at, bool with_program);
  const CfiCommon* common(ByteSource& source, uint64_t at);
  std::optional<CfiCommon> read_common(ByteSource& source, uint64_t at) const;
  std::optional<AddressRange> range_at(ByteSource& source, uint64_t at);
  size_t count() const { return table_count_ != 0 ? table_count_ : index_.size(); }
  std::optional<std::pair<uint64_t, uint64_t>> sorted(ByteSource& source, size_t index) const;

  CfiPlace place_;
  CfiHeaderPlace header_;
  size_t table_count_ = 0;
  bool indexed_ = false;
  std::vector<std::pair<uint64_t, uint64_t>> index_;  // function, place in the section
  std::unordered_map<uint64_t, CfiCommon> commons_;   // by their place
};

}  // namespace memwhy::symbols
