// SPDX-License-Identifier: Apache-2.0
// Offered: the recordings that a command line offers to a client that may read no other file. A requested name is compared with
// the names that exist, and never becomes a path by itself.
//
//   memwhy mcp /var/lib/memwhy web.memwhy      web.memwhy, and each *.memwhy that is in the folder now
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace memwhy::app {

struct OfferedFile {
  std::string name;  // escaped; the name for a request
  uint64_t bytes = 0;
  std::time_t modified = 0;
};

class Offered {
 public:
  // Files, and folders without what is in folders of theirs. kBadInput: there is none of that name.
  static Result<Offered> of(const std::vector<std::string>& paths);

  // The newest first, max 10,000 of a folder; without files that have disappeared.
  std::vector<OfferedFile> files() const;
  // For reading. kUsage: it is not among them. Links in a folder are not followed.
  Result<Fd> open(const std::string& name) const;

 private:
  struct Path {
    std::string path;
    bool is_folder = false;
  };
  // Each with the path and the flags that open it.
  void each(const auto& visit) const;
  std::vector<Path> paths_;
};

}  // namespace memwhy::app
