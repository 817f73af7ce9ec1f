// SPDX-License-Identifier: Apache-2.0
#include "symbols/elf_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ids.h"
#include "base/machine.h"

namespace memwhy::symbols {
namespace {

// Far above what linkers make; below what would cost time.
constexpr uint64_t kMaxSections = 1 << 16;
constexpr size_t kMaxSegments = 128;                  // all are searched for each address
constexpr uint64_t kMostAddress = uint64_t{1} << 63;  // the kernel's are above
constexpr uint64_t kMaxNoteBytes = 64 << 10;          // of one range of notes
constexpr uint64_t kMaxNotes = 256;                   // ranges of notes, segments and sections
constexpr uint64_t kMaxNotesBytes = 512 << 10;        // of all together

struct Ident {
  unsigned char bytes[EI_NIDENT];
  uint16_t type, machine;
};

std::string machine_name(uint16_t machine, bool is_64) {
  switch (machine) {
    case EM_X86_64:
      return is_64 ? "x86-64" : "x32";
    case EM_386:
      return "i386";
    case EM_AARCH64:
      return "aarch64";
    case EM_ARM:
      return "arm";
    case EM_RISCV:
      return is_64 ? "riscv64" : "riscv32";
    case EM_PPC64:
      return "ppc64";
    case EM_S390:
      return "s390x";
    case EM_MIPS:
      return "mips";
    default:
      return fmt::format("ELF machine {}", machine);
  }
}

uint16_t swapped(uint16_t value) { return static_cast<uint16_t>(value >> 8 | value << 8); }

Result<Ident> read_ident(ByteSource& source) {
  std::optional<Ident> ident = load<Ident>(source, 0);
  if (!ident || std::memcmp(ident->bytes, ELFMAG, SELFMAG) != 0)
    return Error(ErrorCode::kBadInput, "not an ELF file");
  if (ident->bytes[EI_DATA] == ELFDATA2MSB) {
    ident->type = swapped(ident->type);
    ident->machine = swapped(ident->machine);
  }
  return *ident;
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

bool within(uint64_t start, uint64_t bytes, uint64_t most) { return start <= most && bytes <= most - start; }

uint64_t page_down(uint64_t value) { return value & ~(kPageBytes - 1); }

}  // namespace

Result<std::string> elf_machine(ByteSource& source) {
  Result<Ident> ident = read_ident(source);
  if (!ident) return ident.error();
  return machine_name(ident->machine, ident->bytes[EI_CLASS] == ELFCLASS64);
}

Result<ElfFile> ElfFile::parse(ByteSource& source) {
  Result<Ident> ident = read_ident(source);
  if (!ident) return ident.error();
  const bool is_64 = ident->bytes[EI_CLASS] == ELFCLASS64;
  ElfFile file;
  file.machine_ = machine_name(ident->machine, is_64);
  if (!is_64 || ident->bytes[EI_DATA] != ELFDATA2LSB || ident->machine != machine::kElfNumber) {
    return Error(ErrorCode::kEnvironment,
                 fmt::format("an ELF file for {}, not for {}", file.machine_, machine::kName));
  }
  const std::optional<Elf64_Ehdr> header = load<Elf64_Ehdr>(source, 0);
  if (!header) return Error(ErrorCode::kBadInput, "an ELF file that ends within its header");
  file.entry_ = header->e_entry;
  if (header->e_phnum == PN_XNUM || header->e_phentsize != sizeof(Elf64_Phdr)) {
    return Error(ErrorCode::kBadInput, "an ELF file without usable program headers");
  }
  const auto programs = load_array<Elf64_Phdr>(source, header->e_phoff, header->e_phnum);
  if (!programs) return Error(ErrorCode::kBadInput, "an ELF file with program headers outside the file");
  file.read_programs(source, *programs);
  file.read_sections(source, *header);
  return file;
}

void ElfFile::leave_out(const std::string& what) {
  if (left_out_.find(what) != std::string::npos) return;
  left_out_ += (left_out_.empty() ? "" : ", ") + what;
}

void ElfFile::read_programs(ByteSource& source, const std::vector<Elf64_Phdr>& programs) {
  for (const Elf64_Phdr& program : programs) {
    const Segment segment{program.p_offset,
                          program.p_vaddr,
                          program.p_filesz,
                          program.p_memsz,
                          (program.p_flags & PF_W) != 0,
                          (program.p_flags & PF_X) != 0};
    // So that a page and a function can be added to what it maps, too.
    const bool possible = within(segment.offset, segment.file_bytes, kMostFileBytes) &&
                          within(segment.vaddr, segment.memory_bytes, kMostAddress);
    if (!possible) continue;
    if (program.p_type == PT_LOAD && segment.file_bytes <= segment.memory_bytes) {
      if (segments_.size() < kMaxSegments)
        segments_.push_back(segment);
      else
        leave_out(fmt::format("segments after the first {}", kMaxSegments));
    }
    if (program.p_type == PT_DYNAMIC) dynamic_ = segment;
    if (program.p_type == PT_GNU_EH_FRAME) frame_header_ = segment;
    if (program.p_type == PT_NOTE) read_notes(source, segment.offset, segment.file_bytes);
  }
}

void ElfFile::read_sections(ByteSource& source, const Elf64_Ehdr& header) {
  if (header.e_shoff == 0 || header.e_shentsize != sizeof(Elf64_Shdr)) return;
  const std::optional<Elf64_Shdr> first = load<Elf64_Shdr>(source, header.e_shoff);
  if (!first) return;
  const uint64_t count = header.e_shnum != 0 ? header.e_shnum : first->sh_size;
  const uint64_t names_index = header.e_shstrndx != SHN_XINDEX ? header.e_shstrndx : first->sh_link;
  if (count > kMaxSections) return leave_out(fmt::format("its {} sections", count));
  if (names_index >= count) return;
  const auto headers = load_array<Elf64_Shdr>(source, header.e_shoff, count);
  if (!headers) return;
  const Elf64_Shdr& names = (*headers)[names_index];
  const uint64_t names_end = names.sh_offset + std::min(names.sh_size, source.size());
  sections_.reserve(count);
  for (const Elf64_Shdr& one : *headers) {
    Section section{"", one.sh_type, one.sh_flags, one.sh_addr, one.sh_offset, one.sh_size, one.sh_link};
    if (names.sh_offset < source.size()) {
      section.name = load_string(source, names.sh_offset + one.sh_name, names_end, 128).value_or("");
    }
    if (one.sh_type == SHT_NOTE) read_notes(source, one.sh_offset, one.sh_size);
    sections_.push_back(std::move(section));
  }
}

// A note: name length, description length, type; then both, each padded to 4 bytes.
void ElfFile::read_notes(ByteSource& source, uint64_t offset, uint64_t bytes) {
  if (!build_id_.empty() && !go_build_id_.empty()) return;
  bytes = std::min(bytes, kMaxNoteBytes);
  if (notes_ == kMaxNotes || note_bytes_ + bytes > kMaxNotesBytes) return leave_out("some of its notes");
  ++notes_;
  note_bytes_ += bytes;
  const auto data = load_array<std::byte>(source, offset, bytes);
  if (!data) return;
  for (size_t at = 0; data->size() - at >= sizeof(Elf64_Nhdr);) {
    Elf64_Nhdr note;
    std::memcpy(&note, data->data() + at, sizeof note);
    at += sizeof note;
    const uint64_t name_bytes = (uint64_t{note.n_namesz} + 3) & ~uint64_t{3};
    const uint64_t rest = data->size() - at;
    if (name_bytes > rest || note.n_descsz > rest - name_bytes) return;
    const std::string_view name(reinterpret_cast<const char*>(data->data()) + at, note.n_namesz);
    const std::span description(data->data() + at + name_bytes, note.n_descsz);
    if (name == std::string_view("GNU\0", 4) && note.n_type == NT_GNU_BUILD_ID && build_id_.empty() &&
        note.n_descsz <= 64) {
      build_id_ = hex(description);
    }
    constexpr uint32_t kGoBuildId = 4;
    if (name == std::string_view("Go\0\0", 4) && note.n_type == kGoBuildId && go_build_id_.empty()) {
      go_build_id_.assign(reinterpret_cast<const char*>(description.data()),
                          std::min<size_t>(description.size(), 256));
    }
    at += name_bytes;
    at += std::min<uint64_t>((uint64_t{note.n_descsz} + 3) & ~uint64_t{3}, data->size() - at);
  }
}

const Section* ElfFile::section(std::string_view name) const {
  const auto at =
      std::find_if(sections_.begin(), sections_.end(), [&](const Section& s) { return s.name == name; });
  return at == sections_.end() ? nullptr : &*at;
}

const Section* ElfFile::section_of_type(uint32_t type) const {
  const auto at =
      std::find_if(sections_.begin(), sections_.end(), [&](const Section& s) { return s.type == type; });
  return at == sections_.end() ? nullptr : &*at;
}

std::optional<uint64_t> vaddr_of(const std::vector<Segment>& segments, uint64_t file_offset) {
  // Neighbouring segments may share a page of the file. Callers have an address of code, so code wins; then
  // the segment that truly holds the byte.
  const Segment* best = nullptr;
  int best_rank = 0;
  for (const Segment& segment : segments) {
    const uint64_t end = segment.offset + segment.file_bytes;
    const uint64_t padded_end = page_down(end) + (end % kPageBytes != 0 ? kPageBytes : 0);
    if (file_offset < page_down(segment.offset) || file_offset >= padded_end) continue;
    const bool exact = file_offset >= segment.offset && file_offset < end;
    const int rank = 1 + (exact ? 1 : 0) + (segment.exec ? 2 : 0);
    if (rank > best_rank) {
      best = &segment;
      best_rank = rank;
    }
  }
  // What is in front of a segment that begins at address 0 has no address.
  if (best == nullptr || (file_offset < best->offset && best->offset - file_offset > best->vaddr))
    return std::nullopt;
  return best->vaddr + (file_offset - best->offset);
}

std::vector<FileRange> ElfFile::ranges(Which which) const {
  std::vector<FileRange> all;
  for (const Segment& segment : segments_) {
    if (which != Which::kAll && segment.write != (which == Which::kWritable)) continue;
    all.push_back({segment.offset, segment.offset + segment.file_bytes});
  }
  return united(std::move(all));
}

std::optional<uint64_t> ElfFile::offset_of(uint64_t vaddr) const {
  for (const Segment& segment : segments_) {
    if (vaddr >= segment.vaddr && vaddr - segment.vaddr < segment.file_bytes) {
      return segment.offset + (vaddr - segment.vaddr);
    }
  }
  return std::nullopt;
}

}  // namespace memwhy::symbols
