// SPDX-License-Identifier: Apache-2.0
// ByteSource: the bytes of a file from an untrusted source, read at an offset.
//
// What it is: the only thing that the parsers of this room see, so that they can run anywhere (in a child
// without privilege) and on anything (a file, a memfd, a test's array). What it is not: a mapping; a file of a
// target may shrink while it is read, which would kill a process that mapped it, and here it is a short read.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "symbols/budget.h"

namespace memwhy::symbols {

static_assert(std::endian::native == std::endian::little,
              "the readers copy little-endian values as they are");

// No file is larger, and none has a byte from here on (loff_t).
inline constexpr uint64_t kMostFileBytes = uint64_t{1} << 63;

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  // Fills all of `out` from `offset` on, or fails: kBadInput when the range is not inside the source.
  virtual Status read_at(uint64_t offset, std::span<std::byte> out) = 0;
};

// A regular file, by pread. Its size is the size when it was opened.
class FileBytes final : public ByteSource {
 public:
  // kBadInput: not a regular file, or larger than `cap_bytes`.
  static Result<std::unique_ptr<FileBytes>> open(Fd fd, uint64_t cap_bytes);

  uint64_t size() const override { return size_; }
  Status read_at(uint64_t offset, std::span<std::byte> out) override;

 private:
  FileBytes(Fd fd, uint64_t size) : fd_(std::move(fd)), size_(size) {}

  Fd fd_;
  uint64_t size_;
};

class MemoryBytes final : public ByteSource {
 public:
  explicit MemoryBytes(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  uint64_t size() const override { return bytes_.size(); }
  Status read_at(uint64_t offset, std::span<std::byte> out) override;

 private:
  std::vector<std::byte> bytes_;
};

// Keeps what was read of another source, in blocks, so that a table is searched in memory and only its
// touched part is read: the pclntab of a large program has 100 MiB, a lookup touches 20 of its blocks.
//
//   offset 0x1a5f08 -> block 105 (0x1a4000 … 0x1a7fff) -> read once, then a copy
//
// When the blocks reach the cap they are all dropped, and reading begins anew. Every read draws on a budget, and
// fails when that is used up: a read by itself and by what is parsed of it, a new block and a long read by their
// bytes. Nothing limits it until budget().allow() is called.
class BlockCache final : public ByteSource {
 public:
  static constexpr uint64_t kBlockBytes = 16 << 10;

  BlockCache(std::unique_ptr<ByteSource> source, uint64_t cap_bytes)
      : source_(std::move(source)), cap_bytes_(cap_bytes) {}

  uint64_t size() const override { return source_->size(); }
  // Reads of more than a block go past the cache.
  Status read_at(uint64_t offset, std::span<std::byte> out) override;
  ByteSource& source() { return *source_; }  // past the cache and the budget
  uint64_t held_bytes() const { return blocks_.size() * kBlockBytes; }
  Budget& budget() { return budget_; }

 private:
  Result<const std::byte*> block(uint64_t number);

  std::unique_ptr<ByteSource> source_;
  uint64_t cap_bytes_;
  Budget budget_;
  std::unordered_map<uint64_t, std::unique_ptr<std::byte[]>> blocks_;
  uint64_t last_number_ = ~uint64_t{0};
  const std::byte* last_ = nullptr;
};

// One little-endian value or structure; nothing when it is not inside the source.
template <typename T>
std::optional<T> load(ByteSource& source, uint64_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  if (!source.read_at(offset, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
  return value;
}

// `count` of them; nothing when they are not inside the source (checked before anything is allocated).
template <typename T>
std::optional<std::vector<T>> load_array(ByteSource& source, uint64_t offset, uint64_t count) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (offset > source.size() || count > (source.size() - offset) / sizeof(T)) return std::nullopt;
  std::vector<T> values(count);
  if (!source.read_at(offset, std::as_writable_bytes(std::span(values)))) return std::nullopt;
  return values;
}

// The NUL-terminated string at `offset`, which must end before `end`; cut after `cap_bytes`.
std::optional<std::string> load_string(ByteSource& source, uint64_t offset, uint64_t end,
                                       size_t cap_bytes = 4096);

struct FileRange {
  uint64_t begin = 0, end = 0;
};

// The same bytes, each in one range only, in order of the file.
std::vector<FileRange> united(std::vector<FileRange> ranges);

// visit(offset, word) of each 8-aligned word of the range that is `wanted`, until it returns false. False: it did,
// or not all of the range could be read.
template <typename Wanted, typename Visit>
bool for_each_word(ByteSource& source, FileRange range, Wanted wanted, Visit visit) {
  constexpr uint64_t kWindowWords = 128 << 10;
  const uint64_t end = std::min(range.end, source.size()) & ~uint64_t{7};
  std::vector<uint64_t> window;
  for (uint64_t at = (range.begin + 7) & ~uint64_t{7}; at < end; at += window.size() * 8) {
    window.resize(std::min(kWindowWords, (end - at) / 8));
    if (!source.read_at(at, std::as_writable_bytes(std::span(window)))) return false;
    for (size_t i = 0; i < window.size(); ++i)
      if (wanted(window[i]) && !visit(at + i * 8, window[i])) return false;
  }
  return true;
}

// Offsets of `needle` in [begin, end), max `most`, those with (offset - begin) % alignment == 0.
std::vector<uint64_t> find_bytes(ByteSource& source, uint64_t begin, uint64_t end,
                                 std::span<const std::byte> needle, uint64_t alignment, size_t most);

// Where each of `needles` begins for the first time in [begin, end), by one pass; nothing: nowhere, or not read.
std::vector<std::optional<uint64_t>> find_first(ByteSource& source, uint64_t begin, uint64_t end,
                                                const std::vector<std::string>& needles);

}  // namespace memwhy::symbols
