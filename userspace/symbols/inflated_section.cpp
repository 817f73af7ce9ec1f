// SPDX-License-Identifier: Apache-2.0
#include "symbols/inflated_section.h"

#include <zlib.h>

namespace memwhy::symbols {
namespace {

class InflatedBytes final : public ByteSource {
 public:
  InflatedBytes(std::vector<std::byte> bytes, Budget& budget) : bytes_(std::move(bytes)), budget_(budget) {}

  uint64_t size() const override { return bytes_.size(); }
  Status read_at(uint64_t offset, std::span<std::byte> out) override {
    if (!budget_.spend(Budget::kRead + Budget::kParsedByte * out.size()))
      return Error(ErrorCode::kBadInput, "it asks for too much work");
    return bytes_.read_at(offset, out);
  }

 private:
  MemoryBytes bytes_;
  Budget& budget_;
};

class Inflater {
 public:
  Inflater() { ready_ = ::inflateInit(&stream_) == Z_OK; }
  ~Inflater() {
    if (ready_) ::inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // True: `to` is full, and was all of it.
  bool run(ByteSource& source, FileRange from, std::span<std::byte> to) {
    std::vector<std::byte> window(256 << 10);
    stream_.next_out = reinterpret_cast<Bytef*>(to.data());
    stream_.avail_out = static_cast<uInt>(to.size());
    for (int state = ready_ ? Z_OK : Z_MEM_ERROR; state != Z_STREAM_END;) {
      const std::span piece(window.data(), std::min<uint64_t>(window.size(), from.end - from.begin));
      if (state != Z_OK || piece.empty() || !source.read_at(from.begin, piece)) return false;
      from.begin += piece.size();
      stream_.next_in = reinterpret_cast<Bytef*>(piece.data());
      stream_.avail_in = static_cast<uInt>(piece.size());
      state = ::inflate(&stream_, Z_NO_FLUSH);
    }
    return stream_.avail_out == 0;
  }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> inflate_section(ByteSource& source, const Section& section, Budget& budget) {
  const auto header = load<Elf64_Chdr>(source, section.offset);
  if ((section.flags & SHF_COMPRESSED) == 0 || !header || header->ch_type != ELFCOMPRESS_ZLIB ||
      header->ch_size == 0 || header->ch_size > kMostInflatedBytes || section.bytes <= sizeof *header ||
      section.bytes > source.size())
    return nullptr;
  if (!budget.spend(header->ch_size)) return nullptr;
  std::vector<std::byte> bytes(header->ch_size);
  const FileRange from{section.offset + sizeof *header, section.offset + section.bytes};
  if (!Inflater().run(source, from, bytes)) return nullptr;
  return std::make_unique<InflatedBytes>(std::move(bytes), budget);
}

}  // namespace memwhy::symbols
