// SPDX-License-Identifier: Apache-2.0
// Binary: one ELF file, opened once: its facts, and names for its addresses.
//
// What it is: the readers of this room behind one lookup; tables are read when they are first needed. It knows no
// address of a process: the caller maps those to offsets in the file (symbolizer.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "events/process.h"
#include "symbols/byte_source.h"
#include "symbols/debug_files.h"
#include "symbols/elf_file.h"
#include "symbols/elf_symbols.h"
#include "symbols/extra_symbols.h"
#include "symbols/frame_tables.h"
#include "symbols/go_line_table.h"

namespace memwhy::symbols {

class DwarfFrames;

struct BinaryFacts {
  static constexpr size_t kMostCode = 16;
  std::string machine;      // "x86-64"
  std::string build_id;     // hex of the GNU build id; "" none
  std::string go_build_id;  // "" none
  bool stripped = false;    // no .symtab
  bool debug_info = false;  // it has a .debug_info
  std::string debug_link;   // the name of the file that its symbols were put into; "" none
  std::optional<events::GoBuild> go;
  // Of a program that is all Go: where its code is, offsets in the file. Each function of it that calls another keeps a frame
  // pointer. Empty: not Go, or C is linked into it.
  AddressRange go_code;
  std::vector<events::CodeSegment> code;           // max kMostCode
  std::vector<events::ProgramVariable> variables;  // as in BinaryInfo (large_variables.h)
  // What is unknown because the file has more of it than is read, or needs more work than is done: a
  // sentence; "" nothing. A look-up may add it.
  std::string problem;
};

// Where a Go program's line table is, link-time.
struct GoTable {
  uint64_t vaddr = 0, names_offset = 0;
};

class Binary {
 public:
  // How much of the file is kept in memory at once, symbol tables apart.
  static constexpr uint64_t kCacheBytes = 64 << 20;
  // Work (budget.h): of opening, of one question about all functions, of reading the symbols; of one look-up; and
  // of many look-ups on average, once they used up what may be saved.
  static constexpr uint64_t kWholeWork = 384 << 20;
  static constexpr uint64_t kLookupWork = 2 << 20, kLookupShare = 512 << 10, kMostSaved = 16 << 20;

  // kBadInput: not an ELF file, or damaged; kEnvironment: of another machine.
  static Result<std::unique_ptr<Binary>> open(std::unique_ptr<ByteSource> bytes);

  ~Binary();

  const BinaryFacts& facts() const { return facts_; }
  const ElfFile& elf() const { return elf_; }

  // The frames at an address (link-time, or by the offset in the file), innermost inlined first; empty: not
  // known. `is_return`: a return address, so the call before it is meant.
  std::vector<events::SourceFrame> lookup(uint64_t vaddr, bool is_return);
  std::vector<events::SourceFrame> lookup_offset(uint64_t file_offset, bool is_return);

  // A file that has the symbols this one lacks; false: it is not of the same build (debug_files.h), or has none.
  bool add_symbols(std::unique_ptr<ByteSource> bytes);
  // A file with the debug information: this one, or the one that its symbols came from.
  void use_debug_info(Fd file);

  // How the function around an address is unwound; below kMostFileBytes. Never an error: what cannot be read is kUnsaid.
  FunctionRules frame_rules(uint64_t file_offset, bool is_return);

  // Of a Go program: its line table, and whether a function with this prefix was linked into it.
  std::optional<GoTable> go_table() const;
  bool has_go_function(std::string_view prefix);
  // Where each of these functions lies, link-time; nothing: it is not there, or not the only one of that name.
  std::vector<std::optional<AddressRange>> go_functions(const std::vector<std::string>& names);
  // The same of its symbol table: functions that others may call; one without a size is an empty range.
  std::vector<std::optional<AddressRange>> functions(const std::vector<std::string>& names);
  // Of its symbol table: where the variables are that can be written, and what those at these addresses are called.
  std::vector<AddressRange> variables(size_t most);
  std::vector<std::string> variable_names(const std::vector<uint64_t>& addresses);
  // For each, a few functions that use it, of the program's own packages if there are any (data_users.h); "" none.
  std::vector<std::string> variable_users(const std::vector<uint64_t>& addresses);
  // Up to `most` bytes from `vaddr` on, as the file has them.
  std::vector<uint8_t> bytes_at(uint64_t vaddr, size_t most);

  // As the file has them.
  Status read_at(uint64_t offset, std::span<std::byte> out) { return bytes_.read_at(offset, out); }

  size_t memory_bytes() const;

 private:
  explicit Binary(std::unique_ptr<ByteSource> bytes);
  void read_go();
  void read_symbols();
  std::vector<events::SourceFrame> lookup_go(uint64_t vaddr);
  std::vector<events::SourceFrame> lookup_native(uint64_t vaddr);
  std::string name_of(uint64_t vaddr);
  void find_frames();
  std::optional<AddressRange> unwind_entry(uint64_t vaddr);
  void say(const std::string& problem);
  // A look-up within its allowance; false: it was given up.
  template <typename Work>
  bool within_allowance(Work work);

  BlockCache bytes_;
  ElfFile elf_;
  BinaryFacts facts_;
  std::optional<GoLineTable> go_lines_;
  std::optional<DebugLink> debug_link_;
  std::optional<SymbolTable> symbols_;  // read at the first address that the Go table does not know
  std::unique_ptr<ExtraSymbols> extra_;
  std::unique_ptr<DwarfFrames> dwarf_;  // null: no debug information
  std::optional<FrameTables> frames_;   // found at the first question for rules
  uint64_t saved_work_ = kMostSaved;    // for look-ups
};

}  // namespace memwhy::symbols
