// SPDX-License-Identifier: Apache-2.0
// Names of code that was made at run time, from the file that runtimes write for profilers: /tmp/perf-PID.map (node
// --perf-basic-prof, python -X perf, agents of a JVM, .NET, LuaJIT). No table is kept: each request is one pass over the
// file, since it grows and places are reused. Which writers are trusted: target_files.h.
//
//   7f3a4c001200 1c4 LazyCompile:*handler /srv/app.js:12      start and bytes in hex, the name to the end of the line
//   7f3a4c001200 80 Function:other /srv/app.js:40             the last line that covers an address counts
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "symbols/binaries.h"

namespace memwhy::symbols {

// More is not read: what comes last is the newest.
constexpr uint64_t kMostCodeMapBytes = 16 << 20;

// For each address (CodeOffset::file_offset is one in the process) a frame, or none.
class CodeMapNames {
 public:
  explicit CodeMapNames(std::span<const CodeOffset> at);
  // The next piece of the file. A line may go on in the next one; one that is longer than any name is left out.
  void read(std::string_view piece);
  void skip_line() { too_long_ = true; }  // what comes first is the end of a line that is not read
  std::vector<SourceFrames> take();

 private:
  struct Place {
    uint64_t address;  // of the code that is meant
    size_t index;
  };
  void line(std::string_view text);

  std::vector<Place> places_;  // by address
  std::vector<SourceFrames> found_;
  std::string begun_;  // a line without its end
  bool too_long_ = false;
  size_t given_ = 0;
};

// kBadInput: it can't be read.
Result<std::vector<SourceFrames>> code_map_names(const Fd& file, uint64_t bytes,
                                                 std::span<const CodeOffset> at);

}  // namespace memwhy::symbols
