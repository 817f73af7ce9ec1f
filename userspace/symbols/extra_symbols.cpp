// SPDX-License-Identifier: Apache-2.0
#include "symbols/extra_symbols.h"

#include <lzma.h>

#include <algorithm>
#include <utility>

namespace memwhy::symbols {
namespace {

constexpr uint64_t kExtraCacheBytes = 8 << 20;
constexpr uint64_t kReadWork = 256 << 20, kFindWork = 1 << 20;
constexpr uint64_t kXzMemoryBytes = 96 << 20;
constexpr size_t kXzWindow = 256 << 10;

class XzReader {
 public:
  XzReader() { ready_ = ::lzma_stream_decoder(&stream_, kXzMemoryBytes, 0) == LZMA_OK; }
  ~XzReader() { ::lzma_end(&stream_); }
  XzReader(const XzReader&) = delete;
  XzReader& operator=(const XzReader&) = delete;

  // Empty: damaged, or more than `most` bytes.
  std::vector<std::byte> run(BlockCache& source, FileRange from, uint64_t most) {
    std::vector<std::byte> out, window(kXzWindow);
    lzma_ret state = ready_ ? LZMA_OK : LZMA_MEM_ERROR;
    while (state == LZMA_OK) {
      if (stream_.avail_in == 0) {
        const std::span piece(window.data(), std::min<uint64_t>(window.size(), from.end - from.begin));
        if (piece.empty() || !source.read_at(from.begin, piece)) return {};
        from.begin += piece.size();
        stream_.next_in = reinterpret_cast<const uint8_t*>(piece.data());
        stream_.avail_in = piece.size();
      }
      const size_t had = out.size();
      if (had == most || !source.budget().spend(kXzWindow)) return {};
      out.resize(std::min<uint64_t>(most, had + kXzWindow));
      stream_.next_out = reinterpret_cast<uint8_t*>(out.data()) + had;
      stream_.avail_out = out.size() - had;
      state = ::lzma_code(&stream_, LZMA_RUN);
      out.resize(out.size() - stream_.avail_out);
    }
    return state == LZMA_STREAM_END ? out : std::vector<std::byte>();
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ready_ = false;
};

}  // namespace

ExtraSymbols::ExtraSymbols(std::unique_ptr<ByteSource> bytes) : bytes_(std::move(bytes), kExtraCacheBytes) {}

std::unique_ptr<ExtraSymbols> ExtraSymbols::read(std::unique_ptr<ByteSource> bytes,
                                                 const DebugFileOf& program) {
  return read_of(std::move(bytes), &program);
}

// Without a program: what it carries itself is its own.
std::unique_ptr<ExtraSymbols> ExtraSymbols::read_of(std::unique_ptr<ByteSource> bytes,
                                                    const DebugFileOf* program) {
  std::unique_ptr<ExtraSymbols> extra(new ExtraSymbols(std::move(bytes)));
  extra->bytes_.budget().allow(kReadWork);
  const Result<ElfFile> elf = ElfFile::parse(extra->bytes_);
  if (!elf || elf->section_of_type(SHT_SYMTAB) == nullptr) return nullptr;
  if (program != nullptr && !belongs_to(extra->bytes_.source(), *elf, *program)) return nullptr;
  extra->table_ = SymbolTable::read(extra->bytes_, *elf);
  return extra->table_.count() == 0 ? nullptr : std::move(extra);
}

std::unique_ptr<ExtraSymbols> ExtraSymbols::unpack(BlockCache& source, const ElfFile& elf) {
  const Section* section = elf.section(".gnu_debugdata");
  if (section == nullptr || section->type == SHT_NOBITS || section->offset >= source.size()) return nullptr;
  const uint64_t bytes = std::min(section->bytes, source.size() - section->offset);
  std::vector<std::byte> unpacked =
      XzReader().run(source, {section->offset, section->offset + bytes}, kMostUnpackedBytes);
  if (unpacked.empty()) return nullptr;
  unpacked.shrink_to_fit();
  const size_t held = unpacked.size();
  std::unique_ptr<ExtraSymbols> extra = read_of(std::make_unique<MemoryBytes>(std::move(unpacked)), nullptr);
  if (extra) extra->unpacked_ = held;
  return extra;
}

std::optional<SymbolTable::Hit> ExtraSymbols::find(uint64_t vaddr) {
  bytes_.budget().allow(kFindWork);
  return table_.find(bytes_, vaddr);
}

std::optional<SymbolTable::Hit> ExtraSymbols::before(uint64_t vaddr) {
  bytes_.budget().allow(kFindWork);
  return table_.before(bytes_, vaddr);
}

}  // namespace memwhy::symbols
