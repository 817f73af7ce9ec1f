// SPDX-License-Identifier: Apache-2.0
#include "symbols/debug_files.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

namespace memwhy::symbols {
namespace {

constexpr const char* kUsual = "/usr/lib/debug";
constexpr size_t kMostLinkBytes = 256;
constexpr uint64_t kMostCheckedBytes = 256 << 20;
constexpr size_t kWindowBytes = 256 << 10;

std::optional<uint32_t> crc_of(ByteSource& source) {
  if (source.size() > kMostCheckedBytes) return std::nullopt;
  std::vector<std::byte> window(kWindowBytes);
  uLong crc = ::crc32(0, nullptr, 0);
  for (uint64_t at = 0; at < source.size(); at += kWindowBytes) {
    const std::span piece(window.data(), std::min<uint64_t>(kWindowBytes, source.size() - at));
    if (!source.read_at(at, piece)) return std::nullopt;
    crc = ::crc32(crc, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(piece.size()));
  }
  return static_cast<uint32_t>(crc);
}

}  // namespace

std::optional<DebugLink> read_debug_link(ByteSource& source, const ElfFile& elf) {
  const Section* section = elf.section(".gnu_debuglink");
  if (section == nullptr || section->type == SHT_NOBITS || section->offset > source.size() ||
      section->bytes > source.size() - section->offset)
    return std::nullopt;
  const uint64_t end = section->offset + section->bytes;
  const std::optional<std::string> name = load_string(source, section->offset, end, kMostLinkBytes);
  if (!name || name->empty() || name->size() >= kMostLinkBytes || *name == "." || *name == ".." ||
      name->find('/') != std::string::npos)
    return std::nullopt;
  const uint64_t crc_at = section->offset + ((name->size() + 1 + 3) & ~uint64_t{3});
  const auto crc = crc_at + sizeof(uint32_t) <= end ? load<uint32_t>(source, crc_at) : std::nullopt;
  if (!crc) return std::nullopt;
  return DebugLink{*name, *crc};
}

bool is_build_id(const std::string& text) {
  return text.size() >= 4 && text.size() <= 128 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string build_id_path(const std::string& directory, const std::string& build_id) {
  if (!is_build_id(build_id)) return "";
  return fmt::format("{}/.build-id/{}/{}.debug", directory, build_id.substr(0, 2), build_id.substr(2));
}

std::vector<DebugFilePlace> debug_file_places(const std::string& program, const std::string& build_id,
                                              const std::string& link,
                                              std::span<const std::string> directories) {
  std::vector<DebugFilePlace> places;
  const auto by_build_id = [&](bool of_process, const std::string& directory) {
    if (std::string path = build_id_path(directory, build_id); !path.empty())
      places.push_back({of_process, std::move(path)});
  };
  const bool linked = !link.empty() && program.starts_with('/');
  const std::string folder = program.substr(0, program.rfind('/') + 1);  // "/usr/bin/"
  for (const std::string& directory : directories) {
    by_build_id(false, directory);
    if (linked) places.push_back({false, directory + folder + link});
  }
  by_build_id(true, kUsual);
  if (linked)
    for (const std::string& path : {folder + link, folder + ".debug/" + link, kUsual + folder + link})
      places.push_back({true, path});
  by_build_id(false, kUsual);
  return places;
}

bool belongs_to(ByteSource& source, const ElfFile& elf, const DebugFileOf& program) {
  if (!program.build_id.empty()) return elf.build_id() == program.build_id;
  return program.crc && crc_of(source) == program.crc;
}

}  // namespace memwhy::symbols
