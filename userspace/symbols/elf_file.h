// SPDX-License-Identifier: Apache-2.0
// ElfFile: headers of an ELF file: which machine, what is mapped where, sections, build id.
//
// What it is: a bounded reader of 64-bit little-endian files; everything else is refused by name ("i386"). A
// file whose section table is missing or broken is read by its program headers alone. What it is not: symbols
// (elf_symbols.h), relocations (elf_relocations.h), DWARF.
//
//   readelf -lW web            type  p_offset  p_vaddr   p_filesz
//                              LOAD  0x000000  0x400000  0x2a1c80  R E
//                              LOAD  0x2a2000  0x6a2000  0x2f4d10  R
//   an address of the process: vma.start 0x6a3000, vma.offset 0x2a3000 -> file offset of 0x6a3f00 = 0x2a3f00
//                              -> second LOAD -> vaddr 0x6a3f00 (differs from the address in a PIE)
#pragma once

#include <elf.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "symbols/byte_source.h"

namespace memwhy::symbols {

struct Segment {  // PT_LOAD
  uint64_t offset = 0, vaddr = 0;
  uint64_t file_bytes = 0, memory_bytes = 0;
  bool write = false, exec = false;
};

struct Section {
  std::string name;
  uint32_t type = 0;
  uint64_t flags = 0;
  uint64_t vaddr = 0, offset = 0, bytes = 0;
  uint32_t link = 0;
};

// The link-time address of a byte of the file that these segments map; mappings begin and end at pages, so the padding
// around a segment counts.
std::optional<uint64_t> vaddr_of(const std::vector<Segment>& segments, uint64_t file_offset);

// "x86-64", "aarch64", "i386" … of the first bytes of a file, also when ElfFile refuses it. kBadInput: not
// ELF.
Result<std::string> elf_machine(ByteSource& source);

class ElfFile {
 public:
  // kBadInput: not ELF, or a header that contradicts itself; kEnvironment: an ELF file of another machine.
  static Result<ElfFile> parse(ByteSource& source);

  const std::string& machine() const { return machine_; }
  uint64_t entry() const { return entry_; }  // where the program starts
  const std::vector<Segment>& segments() const { return segments_; }
  const std::vector<Section>& sections() const { return sections_; }
  const Section* section(std::string_view name) const;
  const Section* section_of_type(uint32_t type) const;
  std::optional<Segment> dynamic() const { return dynamic_; }  // PT_DYNAMIC

  std::optional<Segment> frame_header() const { return frame_header_; }  // PT_GNU_EH_FRAME: .eh_frame_hdr

  // Hex of the GNU build id; "" none.
  const std::string& build_id() const { return build_id_; }
  // As the Go linker wrote it; "" none.
  const std::string& go_build_id() const { return go_build_id_; }

  std::optional<uint64_t> vaddr_of(uint64_t file_offset) const {
    return symbols::vaddr_of(segments_, file_offset);
  }
  // Where `vaddr` is in the file; nothing outside segments and in their zero part.
  std::optional<uint64_t> offset_of(uint64_t vaddr) const;
  // The bytes of the file that are in segments, each once: of the writable ones, of the others, of all.
  enum class Which : uint8_t { kWritable, kReadOnly, kAll };
  std::vector<FileRange> ranges(Which which) const;

  // What was left out because there is too much of it, as a part of a sentence; "" nothing.
  const std::string& left_out() const { return left_out_; }

 private:
  void leave_out(const std::string& what);
  void read_programs(ByteSource& source, const std::vector<Elf64_Phdr>& programs);
  void read_notes(ByteSource& source, uint64_t offset, uint64_t bytes);
  void read_sections(ByteSource& source, const Elf64_Ehdr& header);

  std::string machine_;
  uint64_t entry_ = 0;
  std::vector<Segment> segments_;
  std::optional<Segment> dynamic_, frame_header_;
  std::vector<Section> sections_;
  std::string build_id_, go_build_id_;
  uint64_t notes_ = 0, note_bytes_ = 0;  // read so far
  std::string left_out_;
};

}  // namespace memwhy::symbols
