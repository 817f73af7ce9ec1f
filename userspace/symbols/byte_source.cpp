// SPDX-License-Identifier: Apache-2.0
#include "symbols/byte_source.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace memwhy::symbols {
namespace {

Error outside(uint64_t offset, uint64_t bytes, uint64_t size) {
  return {ErrorCode::kBadInput,
          fmt::format("{} bytes at {:#x} are not inside the file's {} bytes", bytes, offset, size)};
}

Error too_much() { return {ErrorCode::kBadInput, "reading more of the file would be too much work"}; }

bool inside(uint64_t offset, uint64_t bytes, uint64_t size) {
  return offset <= size && bytes <= size - offset;
}

}  // namespace

Result<std::unique_ptr<FileBytes>> FileBytes::open(Fd fd, uint64_t cap_bytes) {
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return errno_error(ErrorCode::kBadInput, "looking at the file", errno);
  if (!S_ISREG(st.st_mode)) return Error(ErrorCode::kBadInput, "not a regular file");
  const auto size = static_cast<uint64_t>(st.st_size);
  if (size > cap_bytes) {
    return Error(ErrorCode::kBadInput,
                 fmt::format("file of {} MiB, limit {} MiB", size >> 20, cap_bytes >> 20));
  }
  return std::unique_ptr<FileBytes>(new FileBytes(std::move(fd), size));
}

Status FileBytes::read_at(uint64_t offset, std::span<std::byte> out) {
  if (!inside(offset, out.size(), size_)) return outside(offset, out.size(), size_);
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(ErrorCode::kBadInput, "reading the file", errno);
    if (got == 0) return Error(ErrorCode::kBadInput, "the file became shorter while it was read");
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return {};
}

Status MemoryBytes::read_at(uint64_t offset, std::span<std::byte> out) {
  if (!inside(offset, out.size(), bytes_.size())) return outside(offset, out.size(), bytes_.size());
  std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
  return {};
}

Result<const std::byte*> BlockCache::block(uint64_t number) {
  if (number == last_number_) return last_;
  auto at = blocks_.find(number);
  if (at == blocks_.end()) {
    if (!budget_.spend(kBlockBytes)) return too_much();
    if (held_bytes() + kBlockBytes > cap_bytes_) blocks_.clear();
    auto bytes = std::make_unique_for_overwrite<std::byte[]>(kBlockBytes);
    const uint64_t offset = number * kBlockBytes;
    const uint64_t length = std::min(kBlockBytes, source_->size() - offset);
    last_number_ = ~uint64_t{0};
    if (Status read = source_->read_at(offset, std::span(bytes.get(), length)); !read)
      return std::move(read).error();
    at = blocks_.emplace(number, std::move(bytes)).first;
  }
  last_number_ = number;
  last_ = at->second.get();
  return last_;
}

Status BlockCache::read_at(uint64_t offset, std::span<std::byte> out) {
  if (!inside(offset, out.size(), size())) return outside(offset, out.size(), size());
  const bool is_long = out.size() > kBlockBytes;
  if (!budget_.spend(Budget::kRead + (is_long ? 1 : Budget::kParsedByte) * out.size())) return too_much();
  if (is_long) return source_->read_at(offset, out);
  while (!out.empty()) {
    const uint64_t within = offset % kBlockBytes;
    const uint64_t take = std::min<uint64_t>(out.size(), kBlockBytes - within);
    Result<const std::byte*> bytes = block(offset / kBlockBytes);
    if (!bytes) return bytes.error();
    std::memcpy(out.data(), *bytes + within, take);
    out = out.subspan(take);
    offset += take;
  }
  return {};
}

std::optional<std::string> load_string(ByteSource& source, uint64_t offset, uint64_t end, size_t cap_bytes) {
  end = std::min(end, source.size());
  std::string text;
  char piece[64];
  while (offset < end && text.size() < cap_bytes) {
    const size_t take = std::min({sizeof piece, cap_bytes - text.size(), static_cast<size_t>(end - offset)});
    if (!source.read_at(offset, std::as_writable_bytes(std::span(piece, take)))) return std::nullopt;
    if (const void* nul = std::memchr(piece, 0, take)) {
      text.append(piece, static_cast<size_t>(static_cast<const char*>(nul) - piece));
      return text;
    }
    text.append(piece, take);
    offset += take;
  }
  if (text.size() >= cap_bytes) return text;
  return std::nullopt;
}

std::vector<FileRange> united(std::vector<FileRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const FileRange& a, const FileRange& b) { return a.begin < b.begin; });
  std::vector<FileRange> out;
  for (const FileRange& one : ranges) {
    if (one.begin >= one.end) continue;
    if (!out.empty() && one.begin <= out.back().end) {
      out.back().end = std::max(out.back().end, one.end);
    } else {
      out.push_back(one);
    }
  }
  return out;
}

std::vector<uint64_t> find_bytes(ByteSource& source, uint64_t begin, uint64_t end,
                                 std::span<const std::byte> needle, uint64_t alignment, size_t most) {
  std::vector<uint64_t> found;
  end = std::min(end, source.size());
  std::vector<std::byte> window(std::min<uint64_t>(1 << 20, end > begin ? end - begin : 0));
  // Windows overlap by the needle's length - 1, so that one on the border is found, once.
  for (uint64_t at = begin; at < end && end - at >= needle.size() && found.size() < most;) {
    const std::span part(window.data(), std::min<uint64_t>(window.size(), end - at));
    if (!source.read_at(at, part)) break;
    const char* from = reinterpret_cast<const char*>(part.data());
    const char* const last = from + part.size();
    while (found.size() < most) {
      const void* hit = ::memmem(from, static_cast<size_t>(last - from), needle.data(), needle.size());
      if (hit == nullptr) break;
      const uint64_t offset = at + static_cast<uint64_t>(static_cast<const std::byte*>(hit) - part.data());
      if ((offset - begin) % alignment == 0) found.push_back(offset);
      from = static_cast<const char*>(hit) + 1;
    }
    if (part.size() == end - at) break;
    at += part.size() - (needle.size() - 1);
  }
  return found;
}

std::vector<std::optional<uint64_t>> find_first(ByteSource& source, uint64_t begin, uint64_t end,
                                                const std::vector<std::string>& needles) {
  std::vector<std::optional<uint64_t>> found(needles.size());
  size_t longest = 1, missing = needles.size();
  for (const std::string& needle : needles) longest = std::max(longest, needle.size());
  end = std::min(end, source.size());
  std::vector<char> window(std::min<uint64_t>((1 << 20) + longest, end > begin ? end - begin : 0));
  for (uint64_t at = begin; at < end && missing != 0;) {
    const std::span part(window.data(), std::min<uint64_t>(window.size(), end - at));
    if (!source.read_at(at, std::as_writable_bytes(part))) break;
    for (size_t i = 0; i < needles.size(); ++i) {
      const void* hit =
          found[i] ? nullptr : ::memmem(part.data(), part.size(), needles[i].data(), needles[i].size());
      if (hit == nullptr) continue;
      found[i] = at + static_cast<uint64_t>(static_cast<const char*>(hit) - part.data());
      --missing;
    }
    if (part.size() == end - at) break;
    at += part.size() - (longest - 1);
  }
  return found;
}

}  // namespace memwhy::symbols
