// SPDX-License-Identifier: Apache-2.0
// Brief: an answer of memwhy cut to the bytes that a model is willing to read. It has the keys and the numbers of the original
// JSON; the heaviest entries come first, and those that had no room are counted in bytes, so that the brief adds up too.
//
//   memwhy.explain/1, 60 KB ─► {"pid":812,"rss":{"bytes":901775360},"findings":[…2],"ledger":[…6],"ledger_rest_bytes":4096,…}
//
// What it is not: a computation. Names of files, functions and processes come from the recorded program: they are escaped and
// cut here, and never acted upon.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace memwhy::mcp {

constexpr size_t kBriefBytes = 1900;  // with the line of the protocol around it, 2 KB

struct BriefOptions {
  size_t most_bytes = kBriefBytes;   // of the text in a line of the protocol (bytes_in_line)
  std::optional<uint64_t> pid = {};  // of several processes
  std::string owner = "";            // of stacks: a line of the ledger, or a family ("go.heap"); "" all
};

// `json`: from report/. kUsage: no such pid or owner; the sentence lists those that exist.
Result<std::string> brief_explanation(std::string_view json,
                                      const BriefOptions& options);                    // memwhy.explain/1
Result<std::string> brief_stacks(std::string_view json, const BriefOptions& options);  // the same, with cells
Result<std::string> brief_difference(std::string_view json, const BriefOptions& options);  // memwhy.diff/1

}  // namespace memwhy::mcp
