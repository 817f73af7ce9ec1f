// SPDX-License-Identifier: Apache-2.0
// Binaries: the files of targets, opened and parsed elsewhere, queried through handles.
//
// What it is: the boundary between code that needs names and facts (symbolizer.h, a reader of a runtime) and code that touches
// files that a target may have made: in children without privilege (files/children.h), or in this process (local_binaries.h:
// tests, and those children). It has offsets in files and link-time addresses only. What it is not: a cache of names.
//
//   open_mapping(4711, 7f3a5c028000-… r-x of libc.so.6) -> handle 3, key {8:1, inode 812, …}, facts {build id …}
//   look_up(3, {0x291e2, return address})               -> { malloc }
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "events/event.h"
#include "symbols/binary.h"
#include "symbols/program_facts.h"

namespace memwhy::symbols {

// What makes a file the same file: replaced, truncated or rewritten ones differ.
struct FileKey {
  uint64_t device = 0, inode = 0, bytes = 0;
  int64_t modified_ns = 0;
  bool operator==(const FileKey&) const = default;
};
struct FileKeyHash {
  size_t operator()(const FileKey& key) const;
};

enum class BinaryHandle : uint64_t { kNone = 0 };

struct OpenedBinary {
  FileKey key;
  std::string path;  // as the process sees it
  BinaryHandle
      handle{};         // kNone: the file was found and cannot be read as a program; `problem` has the reason
  std::string machine;  // "i386" also of a program that is not read for that reason; "" unknown
  std::string problem;  // of a file that is read: what was left out
  BinaryFacts facts;
};

// Places of the symbols and the debug information that it lacks; none: it has them, or no place is known.
inline std::vector<DebugFilePlace> debug_file_places(const OpenedBinary& opened,
                                                     std::span<const std::string> directories) {
  const bool whole = !opened.facts.stripped && opened.facts.debug_info;
  if (opened.handle == BinaryHandle::kNone || whole) return {};
  return debug_file_places(opened.path, opened.facts.build_id, opened.facts.debug_link, directories);
}

// A file of a process: its executable, or the one that a mapping is of.
struct ProcessFile {
  Pid tgid = 0;
  std::optional<events::Vma> mapping = {};  // absent: the executable
};

// To attach probes to it: a descriptor that reads nothing (O_PATH).
struct ProbedFile {
  Fd fd;
  FileKey key;
  mode_t mode = 0;
  bool remote =
      false;  // on a file system with a server of its own (FUSE, a network): any access may take for ever
};

struct CodeOffset {
  uint64_t file_offset = 0;
  bool is_return = false;  // the call before it is meant
};
using SourceFrames = std::vector<events::SourceFrame>;

class Binaries {
 public:
  virtual ~Binaries() = default;

  // kTargetGone: no such process; kEnvironment: not permitted; kBadInput: not a regular file, not the mapping's, or it could
  // not be opened in time.
  virtual Result<OpenedBinary> open_mapping(Pid tgid, const events::Vma& vma) = 0;
  virtual Result<OpenedBinary> open_executable(Pid tgid) = 0;
  Result<OpenedBinary> open_file(const ProcessFile& file) {
    return file.mapping ? open_mapping(file.tgid, *file.mapping) : open_executable(file.tgid);
  }
  virtual Result<ProbedFile> file_to_probe(const ProcessFile& file) = 0;
  // statfs(2)'s number of the file system that a mapping's file is on.
  virtual Result<uint64_t> file_system(Pid tgid, const events::Vma& mapping) = 0;

  // Of an open binary. kAbsent: it is not open any more, and may be opened again. kBadInput: it could not be read in
  // time, or not without harm; it will not be read again.
  virtual Result<std::vector<SourceFrames>> look_up(BinaryHandle binary, std::span<const CodeOffset> at) = 0;
  virtual Result<ProgramFacts> program(BinaryHandle binary, const ProgramQuestion& question) = 0;
  // Names of code that the process made at run time (code_map.h); at: addresses in the process. kAbsent, kBadInput: it says
  // none.
  virtual Result<std::vector<SourceFrames>> code_names(Pid tgid, std::span<const CodeOffset> at) = 0;
  // How the functions around these offsets are unwound, for each.
  virtual Result<std::vector<FunctionRules>> frame_rules(BinaryHandle binary,
                                                         std::span<const CodeOffset> at) = 0;
  // The vdso, which all processes of this kernel have in common.
  virtual Result<OpenedBinary> vdso() = 0;
  virtual Result<std::vector<std::byte>> read(BinaryHandle binary, uint64_t offset, size_t bytes) = 0;

  // What was lost since the last call, as sentences.
  virtual std::vector<std::string> take_notices() { return {}; }
  virtual bool has_notices() const { return false; }
};

}  // namespace memwhy::symbols
