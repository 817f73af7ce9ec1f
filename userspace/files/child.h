// SPDX-License-Identifier: Apache-2.0
// The two children that open and parse files of targets, from start to end. memwhy starts them from its own program
// (children.h); nothing here runs in the recorder. The third, which reads memory: memory_child.h.
//
//   descriptor 0 1 2   /dev/null
//              3       socket to memwhy: requests come, answers go
//              4       socket between the two: the opener hands files over, so that memwhy itself never holds one.
//                      (Closing a file of a FUSE mount with a silent server takes for ever.)
//                      Of the third: the memory that it shares with memwhy
#pragma once

#include <string>
#include <vector>

namespace memwhy::files {

constexpr int kRequests = 3, kHandover = 4;
constexpr const char* kOpenerWord = "file-opener";
constexpr const char* kParserWord = "file-parser";
constexpr const char* kMemoryWord = "memory-reader";

// Whether the command line is that of a child.
bool is_child(const std::vector<std::string>& words);
// Serves until memwhy closes the socket. The exit status; 2: not started by memwhy.
int run_child(const std::vector<std::string>& words);

}  // namespace memwhy::files
