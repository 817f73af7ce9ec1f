// SPDX-License-Identifier: Apache-2.0
#include "symbols/code_map.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>

namespace memwhy::symbols {
namespace {

constexpr size_t kMostLine = 1024;
constexpr size_t kPiece = 256 << 10;
// Names given in one question: no honest file has many lines over each other.
constexpr size_t kMostGiven = 1 << 18;

// The hex number at the start of the text, which loses it and the space after it.
std::optional<uint64_t> take_number(std::string_view& text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (problem != std::errc() || end == text.data() + text.size() || *end != ' ') return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()) + 1);
  return value;
}

}  // namespace

CodeMapNames::CodeMapNames(std::span<const CodeOffset> at) : found_(at.size()) {
  for (size_t i = 0; i < at.size(); ++i)
    places_.push_back({at[i].file_offset - (at[i].is_return && at[i].file_offset != 0 ? 1 : 0), i});
  std::sort(places_.begin(), places_.end(),
            [](const Place& a, const Place& b) { return a.address < b.address; });
}

void CodeMapNames::read(std::string_view piece) {
  for (size_t end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
    if (begun_.empty() && !too_long_) {
      line(piece.substr(0, end));
    } else {
      begun_ += piece.substr(0, end);
      if (!too_long_) line(begun_);
      begun_.clear();
      too_long_ = false;
    }
    piece.remove_prefix(end + 1);
  }
  too_long_ = too_long_ || begun_.size() + piece.size() > kMostLine;
  if (too_long_)
    begun_.clear();
  else
    begun_ += piece;
}

void CodeMapNames::line(std::string_view text) {
  if (text.size() > kMostLine) return;
  const std::optional<uint64_t> start = take_number(text);
  const std::optional<uint64_t> bytes = start ? take_number(text) : std::nullopt;
  if (!bytes || text.empty()) return;
  for (auto at = std::lower_bound(places_.begin(), places_.end(), *start,
                                  [](const Place& place, uint64_t value) { return place.address < value; });
       at != places_.end() && at->address - *start < *bytes && given_ < kMostGiven; ++at, ++given_)
    found_[at->index].assign(1, {std::string(text), "", 0});
}

std::vector<SourceFrames> CodeMapNames::take() { return std::move(found_); }

Result<std::vector<SourceFrames>> code_map_names(const Fd& file, uint64_t bytes,
                                                 std::span<const CodeOffset> at) {
  CodeMapNames names(at);
  std::vector<char> piece(kPiece);
  uint64_t from = bytes > kMostCodeMapBytes ? bytes - kMostCodeMapBytes : 0;
  if (from > 0) names.skip_line();
  while (from < bytes) {
    const ssize_t n = ::pread(file.get(), piece.data(), std::min<uint64_t>(piece.size(), bytes - from),
                              static_cast<off_t>(from));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(ErrorCode::kBadInput, "reading the names of code made at run time", errno);
    if (n == 0) break;
    names.read({piece.data(), static_cast<size_t>(n)});
    from += static_cast<uint64_t>(n);
  }
  return names.take();
}

}  // namespace memwhy::symbols
