// SPDX-License-Identifier: Apache-2.0
#include "app/file_texts.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace memwhy::app {
namespace {

constexpr uint64_t kMostBytes = 256 << 20, kPiece = 1 << 20;
constexpr size_t kMostKnown = 64 << 10;  // files

constexpr std::pair<FileTexts::Text, std::string_view> kTexts[] = {{FileTexts::kJemalloc, "jemalloc"},
                                                                   {FileTexts::kTcmalloc, "tcmalloc"}};
constexpr uint64_t kLongest = 8;

uint8_t texts_in(const std::vector<std::byte>& bytes) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  uint8_t found = 0;
  for (const auto& [text, word] : kTexts)
    if (all.find(word) != std::string_view::npos) found |= text;
  return found;
}

}  // namespace

std::optional<bool> FileTexts::has(Pid tgid, const std::vector<events::Vma>& vmas, const events::Vma& of,
                                   Text text) {
  const Result<symbols::OpenedBinary> opened = binaries_.open_mapping(tgid, of);
  if (!opened || opened->handle == symbols::BinaryHandle::kNone) return std::nullopt;
  auto known = known_.find(opened->key);
  if (known == known_.end()) {
    if (known_.size() >= kMostKnown) known_.clear();
    known = known_.emplace(opened->key, search(*opened, vmas, of)).first;
  }
  if (!known->second) return std::nullopt;
  return (*known->second & text) != 0;
}

std::optional<uint8_t> FileTexts::search(const symbols::OpenedBinary& file,
                                         const std::vector<events::Vma>& vmas, const events::Vma& of) {
  uint8_t found = 0;
  uint64_t left = kMostBytes;
  for (const events::Vma& vma : vmas) {
    if (vma.device != of.device || vma.inode != of.inode || vma.write) continue;
    const uint64_t end = std::min(vma.offset + vma.range.bytes(), file.key.bytes);
    for (uint64_t at = vma.offset; at < end; at += kPiece - kLongest) {  // a text may lie across two pieces
      const uint64_t bytes = std::min(kPiece, end - at);
      if (bytes > left) return std::nullopt;
      left -= bytes;
      const Result<std::vector<std::byte>> read = binaries_.read(file.handle, at, bytes);
      if (!read) return std::nullopt;
      found |= texts_in(*read);
    }
  }
  return found;
}

}  // namespace memwhy::app
