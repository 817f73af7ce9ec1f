// SPDX-License-Identifier: Apache-2.0
// Debug files: where the symbols and debug information lie that were stripped from a program, and whether a file is the
// program's.
//
// What it is: names of places, in the order in which they are tried, and the test that a file there has to pass. What it is
// not: the opening (target_files.h) or the content of files (extra_symbols.h, dwarf_frames.h).
//
//   /usr/bin/web, build id abcdef01, .gnu_debuglink "web.debug" with CRC 0x7e3b12aa, --debug-dir /srv/debug
//     this machine   /srv/debug/.build-id/ab/cdef01.debug
//                    /srv/debug/usr/bin/web.debug
//     the process    /usr/lib/debug/.build-id/ab/cdef01.debug
//                    /usr/bin/web.debug   /usr/bin/.debug/web.debug   /usr/lib/debug/usr/bin/web.debug
//     this machine   /usr/lib/debug/.build-id/ab/cdef01.debug
//   A file is the program's when it has the same build id; of a program without one, when its CRC is the link's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "symbols/byte_source.h"
#include "symbols/elf_file.h"

namespace memwhy::symbols {

struct DebugLink {
  std::string name;  // of a file, without a path
  uint32_t crc = 0;  // of all of it
};
// Of the section .gnu_debuglink; nothing: there is none, or it names something else than a file.
std::optional<DebugLink> read_debug_link(ByteSource& source, const ElfFile& elf);

struct DebugFilePlace {
  bool of_process = false;  // below the root of the process; else of this machine
  std::string path;
  bool operator==(const DebugFilePlace&) const = default;
};
// Hex, as of a file's note. A damaged recording may contain anything.
bool is_build_id(const std::string& text);
// Below `directory`; "" when the build id (hex) is none.
std::string build_id_path(const std::string& directory, const std::string& build_id);
// `program`: as the process sees it. `link`: DebugLink::name. Either may be "".
std::vector<DebugFilePlace> debug_file_places(const std::string& program, const std::string& build_id,
                                              const std::string& link,
                                              std::span<const std::string> directories);

// What a debug file has to have.
struct DebugFileOf {
  std::string build_id;  // "": the program has none
  std::optional<uint32_t> crc;
};
bool belongs_to(ByteSource& source, const ElfFile& elf, const DebugFileOf& program);

}  // namespace memwhy::symbols
