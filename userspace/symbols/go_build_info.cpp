// SPDX-License-Identifier: Apache-2.0
#include "symbols/go_build_info.h"

#include <algorithm>
#include <array>

namespace memwhy::symbols {
namespace {

constexpr std::string_view kMagic = "\xff Go buildinf:";
constexpr uint64_t kMaxVersionBytes = 256;
constexpr uint64_t kMaxModuleBytes = 4 << 20;
constexpr uint64_t kMaxSearchBytes = 1 << 20;  // as far as Go's own reader looks for the magic
constexpr size_t kFramingBytes = 16;

std::optional<std::string> load_text(ByteSource& source, uint64_t offset, uint64_t bytes, uint64_t cap) {
  if (bytes > cap) return std::nullopt;
  const auto data = load_array<char>(source, offset, bytes);
  if (!data) return std::nullopt;
  return std::string(data->begin(), data->end());
}

std::optional<std::string> load_varint_text(ByteSource& source, uint64_t& offset, uint64_t cap) {
  uint64_t bytes = 0;
  for (unsigned shift = 0; shift < 63; shift += 7) {
    const auto byte = load<uint8_t>(source, offset++);
    if (!byte) return std::nullopt;
    bytes |= uint64_t{*byte & 0x7fu} << shift;
    if ((*byte & 0x80) != 0) continue;
    auto text = load_text(source, offset, bytes, cap);
    offset += bytes;
    return text;
  }
  return std::nullopt;
}

// A Go string at an address: {pointer, length}.
std::optional<std::string> load_go_string(ByteSource& source, const ElfFile& elf, uint64_t vaddr,
                                          uint64_t cap) {
  const auto header_at = elf.offset_of(vaddr);
  if (!header_at) return std::nullopt;
  const auto header = load<std::array<uint64_t, 2>>(source, *header_at);
  if (!header) return std::nullopt;
  if ((*header)[1] == 0) return "";
  const auto text_at = elf.offset_of((*header)[0]);
  if (!text_at) return std::nullopt;
  return load_text(source, *text_at, (*header)[1], cap);
}

std::string unquoted(std::string_view text) {
  if (text.size() < 2 || (text.front() != '"' && text.front() != '`') || text.back() != text.front()) {
    return std::string(text);
  }
  const bool escapes = text.front() == '"';
  std::string out;
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    if (escapes && text[i] == '\\' && i + 2 < text.size()) ++i;
    out += text[i];
  }
  return out;
}

void parse_module(std::string_view text, GoBuildInfo& info) {
  if (text.size() < 2 * kFramingBytes + 1 || text[text.size() - kFramingBytes - 1] != '\n') return;
  text = text.substr(kFramingBytes, text.size() - 2 * kFramingBytes);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    constexpr std::string_view kBuild = "build\t", kPath = "path\t", kDependency = "dep\t";
    if (line.starts_with(kPath)) info.module = line.substr(kPath.size());
    if (line.starts_with(kDependency) && info.modules.size() < GoBuildInfo::kMostModules) {
      const std::string_view path =
          line.substr(kDependency.size(), line.find('\t', kDependency.size()) - kDependency.size());
      info.modules.emplace_back(path.substr(0, GoBuildInfo::kMostModulePath));
    }
    if (!line.starts_with(kBuild)) continue;
    line.remove_prefix(kBuild.size());
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || info.settings.size() >= 1024) continue;
    info.settings[unquoted(line.substr(0, equals))] = unquoted(line.substr(equals + 1));
  }
}

std::optional<GoBuildInfo> parse_at(ByteSource& source, const ElfFile& elf, uint64_t offset) {
  struct Header {
    char magic[14];
    uint8_t pointer_bytes, flags;
    uint64_t version, module;
  };
  const auto header = load<Header>(source, offset);
  if (!header || std::string_view(header->magic, sizeof header->magic) != kMagic) return std::nullopt;
  std::optional<std::string> version, module;
  constexpr uint8_t kInline = 2, kBigEndian = 1;
  if ((header->flags & kInline) != 0) {
    uint64_t at = offset + 32;
    version = load_varint_text(source, at, kMaxVersionBytes);
    if (version) module = load_varint_text(source, at, kMaxModuleBytes);
  } else if (header->pointer_bytes == 8 && (header->flags & kBigEndian) == 0) {
    version = load_go_string(source, elf, header->version, kMaxVersionBytes);
    module = load_go_string(source, elf, header->module, kMaxModuleBytes);
  }
  if (!version || version->empty()) return std::nullopt;
  GoBuildInfo info;
  info.version = std::move(*version);
  if (module) parse_module(*module, info);
  return info;
}

}  // namespace

std::string GoBuildInfo::setting(const std::string& key) const {
  const auto at = settings.find(key);
  return at == settings.end() ? "" : at->second;
}

std::optional<GoBuildInfo> read_go_build_info(ByteSource& source, const ElfFile& elf) {
  if (const Section* section = elf.section(".go.buildinfo")) {
    if (auto info = parse_at(source, elf, section->offset)) return info;
  }
  // With its sections, a program without .go.buildinfo has none; without, the magic is searched.
  if (!elf.sections().empty() && elf.section(".go.buildinfo") == nullptr) return std::nullopt;
  const auto segment = std::find_if(elf.segments().begin(), elf.segments().end(),
                                    [](const Segment& s) { return s.write && s.file_bytes != 0; });
  if (segment == elf.segments().end()) return std::nullopt;
  const uint64_t end = segment->offset + std::min(segment->file_bytes, kMaxSearchBytes);
  for (uint64_t at : find_bytes(source, segment->offset, end, std::as_bytes(std::span(kMagic)), 16, 8)) {
    if (auto info = parse_at(source, elf, at)) return info;
  }
  return std::nullopt;
}

std::string find_go_version(ByteSource& source, const ElfFile& elf) {
  constexpr size_t kMaxHits = 16 << 10;
  constexpr std::string_view kStart = "go1.";
  std::map<std::string, size_t> seen;
  size_t hits = 0;
  for (const FileRange& range : elf.ranges(ElfFile::Which::kReadOnly)) {
    const std::vector<uint64_t> found =
        find_bytes(source, range.begin, range.end, std::as_bytes(std::span(kStart)), 1, kMaxHits - hits);
    hits += found.size();
    for (uint64_t at : found) {
      const auto text = load<std::array<char, 16>>(source, at);
      if (!text) continue;
      size_t length = kStart.size();
      while (length < text->size() &&
             ((*text)[length] == '.' || ((*text)[length] >= '0' && (*text)[length] <= '9'))) {
        ++length;
      }
      while (length > kStart.size() && (*text)[length - 1] == '.') --length;
      if (length > kStart.size() && seen.size() < 256) ++seen[std::string(text->data(), length)];
    }
  }
  const auto best = std::max_element(seen.begin(), seen.end(), [](const auto& a, const auto& b) {
    return std::pair(std::count(a.first.begin(), a.first.end(), '.'), a.second) <
           std::pair(std::count(b.first.begin(), b.first.end(), '.'), b.second);
  });
  return best == seen.end() ? "" : best->first;
}

}  // namespace memwhy::symbols
