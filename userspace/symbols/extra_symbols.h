// SPDX-License-Identifier: Apache-2.0
// ExtraSymbols: names for a stripped file, from a second one that describes the same code.
//
//   .gnu_debugdata   a section of the file itself: an xz-compressed ELF file with the symbols that .dynsym lacks
//   ab/cdef.debug    what distributions package apart (debug_files.h)
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "symbols/byte_source.h"
#include "symbols/debug_files.h"
#include "symbols/elf_file.h"
#include "symbols/elf_symbols.h"

namespace memwhy::symbols {

class ExtraSymbols {
 public:
  static constexpr uint64_t kMostUnpackedBytes = 64 << 20;

  // nullptr: it is not an ELF file with a symbol table, or of another program.
  static std::unique_ptr<ExtraSymbols> read(std::unique_ptr<ByteSource> bytes, const DebugFileOf& program);
  // nullptr: no such section, or damaged, or larger than that.
  static std::unique_ptr<ExtraSymbols> unpack(BlockCache& source, const ElfFile& elf);

  std::optional<SymbolTable::Hit> find(uint64_t vaddr);
  std::optional<SymbolTable::Hit> before(uint64_t vaddr);
  size_t memory_bytes() const { return table_.memory_bytes() + bytes_.held_bytes() + unpacked_; }

 private:
  explicit ExtraSymbols(std::unique_ptr<ByteSource> bytes);
  static std::unique_ptr<ExtraSymbols> read_of(std::unique_ptr<ByteSource> bytes, const DebugFileOf* program);

  BlockCache bytes_;
  SymbolTable table_;
  size_t unpacked_ = 0;
};

}  // namespace memwhy::symbols
