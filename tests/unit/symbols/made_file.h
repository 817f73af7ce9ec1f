// SPDX-License-Identifier: Apache-2.0
// MadeFile: an ELF file of any size that exists only as its bytes are asked for, and counts what is asked.
//
// What it is: zeros, with pieces laid over them; the later piece wins. A piece may be repeated, so that a table of
// gigabytes costs nothing. What it is not: well-formed; who builds one breaks what he wants to.
#pragma once

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/machine.h"
#include "symbols/byte_source.h"

namespace memwhy::symbols::testing {

struct Asked {
  uint64_t reads = 0, bytes = 0;
  // A parser without any bound must end, too, for its test to fail: beyond this nothing is read.
  static constexpr uint64_t kEndOfPatience = uint64_t{6} << 30;
};

class MadeFile final : public ByteSource {
 public:
  explicit MadeFile(uint64_t size) : size_(size) {}

  uint64_t size() const override { return size_; }
  Status read_at(uint64_t offset, std::span<std::byte> out) override {
    if (offset > size_ || out.size() > size_ - offset) return Error(ErrorCode::kBadInput, "outside");
    asked_->reads += 1;
    asked_->bytes += out.size();
    if (asked_->bytes > Asked::kEndOfPatience)
      return Error(ErrorCode::kBadInput, "this has gone on for too long");
    std::fill(out.begin(), out.end(), std::byte{0});
    for (const Piece& piece : pieces_) piece.lay(offset, out);
    return {};
  }

  void put_bytes(uint64_t at, const void* bytes, size_t count, uint64_t times = 1) {
    const auto* first = static_cast<const std::byte*>(bytes);
    pieces_.push_back({at, {first, first + count}, times});
  }
  template <typename T>
  void put(uint64_t at, const T& value, uint64_t times = 1) {
    put_bytes(at, &value, sizeof value, times);
  }
  void text(uint64_t at, const std::string& text) { put_bytes(at, text.data(), text.size()); }

  // The headers, for this machine; program headers stand behind the file header.
  void headers(uint16_t programs, uint64_t sections_at = 0, uint16_t sections = 0, uint16_t names = 0) {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG "\2\1\1", 7);
    header.e_type = ET_EXEC;
    header.e_machine = machine::kElfNumber;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = programs;
    header.e_shoff = sections_at;
    header.e_shentsize = sections_at == 0 ? 0 : sizeof(Elf64_Shdr);
    header.e_shnum = sections;
    header.e_shstrndx = names;
    put(0, header);
  }
  static constexpr uint64_t program_at(uint64_t index) {
    return sizeof(Elf64_Ehdr) + index * sizeof(Elf64_Phdr);
  }
  void program(uint64_t index, uint32_t type, uint32_t flags, uint64_t offset, uint64_t vaddr, uint64_t bytes,
               uint64_t times = 1) {
    Elf64_Phdr one{};
    one.p_type = type;
    one.p_flags = flags;
    one.p_offset = offset;
    one.p_vaddr = vaddr;
    one.p_filesz = one.p_memsz = bytes;
    put(program_at(index), one, times);
  }
  // A note that says that the Go linker made the file, which is what a search for its tables needs.
  static constexpr uint64_t kGoNoteBytes = 20;
  void go_note(uint64_t at) {
    const uint32_t words[] = {4, 4, 4};
    put(at, words);
    text(at + 12, std::string("Go\0\0mine", 8));
  }

  Asked& asked() { return *asked_; }
  std::shared_ptr<Asked> share_asked() const { return asked_; }

 private:
  struct Piece {
    uint64_t at = 0;
    std::vector<std::byte> bytes;
    uint64_t times = 1;

    void lay(uint64_t offset, std::span<std::byte> out) const {
      const uint64_t from = std::max(offset, at),
                     to = std::min(offset + out.size(), at + bytes.size() * times);
      for (uint64_t place = from; place < to;) {
        const uint64_t within = (place - at) % bytes.size();
        const uint64_t take = std::min(to - place, bytes.size() - within);
        std::memcpy(out.data() + (place - offset), bytes.data() + within, take);
        place += take;
      }
    }
  };

  uint64_t size_;
  std::vector<Piece> pieces_;
  std::shared_ptr<Asked> asked_ = std::make_shared<Asked>();
};

}  // namespace memwhy::symbols::testing
