// SPDX-License-Identifier: Apache-2.0
// SymbolTable: the functions that an ELF file names, sorted by address.
//
// What it is: .symtab, or .dynsym when the file was stripped (.dynsym is a part of .symtab). What it is not:
// sources of line numbers; demangled (demangle.h).
//
//   address    size   name        find(0x401310) -> "parse", offset 0x10
//   0x401200   0x100  main        find(0x401490) -> nothing: after the end of parse, before helper
//   0x401300   0x120  parse
//   0x4014a0   0      helper      no size (assembly): reaches to the next symbol, max 4 KiB
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "symbols/byte_source.h"
#include "symbols/elf_file.h"

namespace memwhy::symbols {

class SymbolTable {
 public:
  static constexpr uint64_t kMaxRead = 16 << 20;  // symbols of a table that are read
  static constexpr size_t kMaxKept = 4 << 20;     // functions: 64 MiB

  // Empty when the file has no usable table.
  static SymbolTable read(ByteSource& source, const ElfFile& elf);

  // A function, by its raw name.
  struct Hit {
    std::string name;
    uint64_t vaddr = 0;
    bool sized = false;  // false: where it ends is a guess
  };
  // The one that contains `vaddr`; the last one that begins at it or before.
  std::optional<Hit> find(ByteSource& source, uint64_t vaddr) const;
  std::optional<Hit> before(ByteSource& source, uint64_t vaddr) const;

  // Where the functions of these names begin and end, whatever their versions; nothing: none that others may call has it.
  std::vector<std::optional<AddressRange>> named(ByteSource& source,
                                                 const std::vector<std::string>& names) const;

  size_t count() const { return symbols_.size(); }
  bool left_out() const { return left_out_; }  // more symbols exist than were read
  size_t memory_bytes() const { return symbols_.capacity() * sizeof(Symbol); }

 private:
  struct Symbol {
    uint64_t vaddr = 0;
    uint32_t name = 0;        // offset in the string table
    uint32_t bytes : 30 = 0;  // the maximum means more
    uint32_t rank : 2 = 0;    // of several names for one address the lowest is taken: global, weak, local
  };

  std::optional<Hit> hit(ByteSource& source, size_t index) const;
  void add_all(ByteSource& source, const Section& table, const Section& strings);
  bool contains(size_t index, uint64_t vaddr) const;
  std::string best_name(ByteSource& source, size_t index) const;

  std::vector<Symbol> symbols_;
  uint64_t strings_offset_ = 0, strings_end_ = 0;
  bool left_out_ = false;
};

}  // namespace memwhy::symbols
