// SPDX-License-Identifier: Apache-2.0
// Fuzz target: unwind tables of a target's file. An input is an ELF file, one with holes (support/sparse.h), or the bytes of a
// section alone: 'e' or 'd' and an .eh_frame or .debug_frame, in a file that is made around it.
#include <elf.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/support/check.h"
#include "fuzz/support/elf_input.h"
#include "symbols/binary.h"

namespace memwhy::fuzz {
namespace {

using symbols::FunctionRules;
using symbols::RuleRow;

constexpr uint64_t kHeader = 0x400, kNames = 0x500, kSections = 0x600, kFrames = 0x1000;
constexpr uint64_t kText = 0x40000, kTextBytes = 0x2000;  // the link-time address is the offset

template <typename T>
void put(std::string& file, uint64_t at, const T& value) {
  std::memcpy(file.data() + at, &value, sizeof value);
}

Sparse around(std::string_view section, bool debug) {
  std::string head(kFrames, '\0');
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG "\2\1\1", 7);
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = debug ? 1 : 2;
  header.e_shoff = debug ? kSections : 0;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = debug ? 3 : 0;
  header.e_shstrndx = debug ? 2 : 0;
  put(head, 0, header);
  Elf64_Phdr programs[2] = {};
  programs[0] = {PT_LOAD, PF_R | PF_X, 0, 0, 0, kText + kTextBytes, kText + kTextBytes, 0x1000};
  programs[1] = {PT_GNU_EH_FRAME, PF_R, kHeader, kHeader, 0, 12, 12, 4};
  put(head, sizeof header, programs);
  const uint8_t frame_header[] = {1, 0x1b, 0xff, 0xff};
  put(head, kHeader, frame_header);
  put(head, kHeader + 4, static_cast<int32_t>(kFrames - kHeader - 4));
  Elf64_Shdr sections[3] = {};
  sections[1] = {1, SHT_PROGBITS, 0, 0, kFrames, section.size(), 0, 0, 1, 0};
  sections[2] = {0, SHT_STRTAB, 0, 0, kNames, 64, 0, 0, 1, 0};
  put(head, kSections, sections);
  put(head, kNames + 1, ".debug_frame");
  Sparse file;
  file.size = kText + kTextBytes;
  file.pieces.push_back({0, head + std::string(section.substr(0, kText - kFrames))});
  for (uint64_t at = kText; at < kText + kTextBytes; at += 509) file.addresses.push_back(at);
  return file;
}

void ask(symbols::Binary& binary, uint64_t offset, bool is_return) {
  if (offset >= symbols::kMostFileBytes) return;
  const FunctionRules rules = binary.frame_rules(offset, is_return);
  const uint64_t looked_at = is_return && offset != 0 ? offset - 1 : offset;
  check(rules.well_formed(), "rows are in order, and rules fit");
  check(rules.contains(looked_at), "an answer is of the address that was asked for");
  const RuleRow* row = rules.row(looked_at);
  check(row != nullptr, "an address has a row");
  if (rules.why == FunctionRules::Why::kRule)
    check(row->at.kind != symbols::UnwindRule::Kind::kStop, "what cannot be said is not said");
}

void use(const Sparse& file) {
  Result<std::unique_ptr<symbols::Binary>> opened =
      symbols::Binary::open(std::make_unique<SparseBytes>(file));
  if (!opened) return;
  symbols::Binary& binary = **opened;
  std::vector<uint64_t> offsets = file.addresses;
  for (const uint64_t address : file.addresses)
    if (const auto offset = binary.elf().offset_of(address)) offsets.push_back(*offset);
  const std::vector<symbols::Segment>& segments = binary.elf().segments();
  for (size_t i = 0; i < std::min<size_t>(segments.size(), 4); ++i)
    for (uint64_t part = 0; part < 8; ++part)
      offsets.push_back(segments[i].offset + segments[i].file_bytes / 8 * part);
  for (const uint64_t offset : offsets)
    for (const bool is_return : {false, true}) ask(binary, offset, is_return);
  check(binary.memory_bytes() < (size_t{256} << 20), "what is kept is bounded");
}

}  // namespace
}  // namespace memwhy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace memwhy::fuzz;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const bool debug = input.starts_with('d');
  use(debug || input.starts_with('e') ? around(input.substr(1), debug) : file_of(input));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  memwhy::fuzz::Random random(seed);
  // Of a section alone: one of its bytes becomes an instruction, else nearly none would.
  if (size > 1 && (data[0] == 'e' || data[0] == 'd') && random.one_in(2)) {
    constexpr uint8_t kInstructions = 0x30;
    data[1 + random.below(size - 1)] = static_cast<uint8_t>(random.below(kInstructions));
    return size;
  }
  return memwhy::fuzz::mutate_elf(data, size, most, random);
}
