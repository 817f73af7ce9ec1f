// SPDX-License-Identifier: Apache-2.0
// CodeFiles: the mapped files of a process's frames, each with an address range, as profile formats require. The recording has
// the names and offsets of frames, not the list of all code mappings; the range covers the frames, in whole pages, so that an
// address minus its start plus its offset is the place in the file.
//
//   frames of libc.so.6 at 7f1a2c98 (offset 0x98c98) and 7f1a3cab (0xa8cab)  →  7f1a2000-7f1a4000, offset 0x98000
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "explain/explanation.h"

namespace memwhy::exports {

struct CodeFile {
  std::string module, build_id;  // as in explain::Frame
  AddressRange range;
  uint64_t offset = 0;
};

class CodeFiles {
 public:
  explicit CodeFiles(const explain::ProcessExplanation& process) {
    number(std::string(base_name(process.exe)),
           process.build_id);  // first: profilers take it for the program
    for (const explain::Frame& frame : process.attribution.frames) {
      if (frame.address == 0) continue;
      CodeFile& file = files_[number(frame.module, frame.build_id)];
      const uint64_t page = frame.address & ~(kPageBytes - 1);
      if (file.range.empty() || page < file.range.start) {
        file.range = {page, file.range.empty() ? page + kPageBytes : file.range.end};
        const uint64_t into_page = frame.address - page;
        file.offset = frame.offset > into_page ? frame.offset - into_page : 0;
      }
      if (page >= file.range.end) file.range.end = page + kPageBytes;
    }
  }
  const std::vector<CodeFile>& files() const { return files_; }
  // Its place in files().
  size_t of(const explain::Frame& frame) const { return numbers_.at({frame.module, frame.build_id}); }

 private:
  size_t number(const std::string& module, const std::string& build_id) {
    const auto [found, added] = numbers_.try_emplace({module, build_id}, files_.size());
    if (added) files_.push_back({module, build_id, {}, 0});
    return found->second;
  }
  std::vector<CodeFile> files_;
  std::map<std::pair<std::string, std::string>, size_t> numbers_;
};

}  // namespace memwhy::exports
