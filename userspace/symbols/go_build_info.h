// SPDX-License-Identifier: Apache-2.0
// GoBuildInfo: what the Go linker wrote about a program: the release, and how it was built.
//
//   .go.buildinfo, or the start of the first writable segment (16-aligned):
//   ff 20 47 6f 20 62 75 69 6c 64 69 6e 66 3a | pointer size | flags | …    "\xff Go buildinf:"
//   flags & 2 (Go 1.18 on): at +32  varint length, "go1.26.8", varint length, modinfo
//   otherwise: at +16 and +24 pointers to two Go strings {pointer, length}
//   modinfo (in 16 bytes of framing at each end):  path\t… build\t-race=true \n build\tCGO_ENABLED=1 …
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "symbols/byte_source.h"
#include "symbols/elf_file.h"

namespace memwhy::symbols {

struct GoBuildInfo {
  std::string version;               // "go1.26.8", "go1.26.4 X:nogreenteagc"
  std::string module;                // path of the main package; "" unknown
  std::vector<std::string> modules;  // paths of those that it depends on, max kMostModules
  static constexpr size_t kMostModules = 1024, kMostModulePath = 1024;
  std::map<std::string, std::string>
      settings;  // "-race" -> "true", "CGO_ENABLED" -> "1"; empty: not recorded
  std::string setting(const std::string& key) const;
};

// Nothing: the file carries no build info.
std::optional<GoBuildInfo> read_go_build_info(ByteSource& source, const ElfFile& elf);

// The release by the text "go1.N.M" in the read-only data, for a Go program without build info: the most
// frequent one, of those the longest. "" none.
std::string find_go_version(ByteSource& source, const ElfFile& elf);

}  // namespace memwhy::symbols
