// SPDX-License-Identifier: Apache-2.0
// ProgramTotals: the sums of an explanation for each program, by names that mean the same in a recording of another build:
// without addresses, lines and pids. What difference.h and limits.h compare.
//
//   pid 812 /srv/web   128 MiB  main.load (main.go:44)     program web, 2 processes, 300 MiB
//   pid 813 /srv/web   172 MiB  main.load (main.go:47)       function main.load   300 MiB
//
// What it is not: free of double counting. Memory that processes share is counted in each of them, as in RSS.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "explain/explanation.h"

namespace memwhy::explain {

// What bytes can be counted by.
enum class Aspect : uint8_t {
  kOwner,     // lines of the ledger: all of RSS
  kFunction,  // the program's own frame of the stack that brought a page: pages with a stack
  kFile,      // pages of files, and .bss
  kHolder,  // what of the Go heap hangs from a variable, goroutines or finalizers alone: at the end of a recording
  kGoroutineGroup,  // stacks, and what goroutines of one place alone keep: virtual bytes
};
constexpr size_t kAspects = 5;

struct ProgramTotals {
  std::string program;  // the file of its executable without path, else its comm
  std::vector<Pid> pids;
  std::string build_id;  // of the first; "" unknown
  uint64_t rss_bytes = 0;
  std::optional<uint64_t> heap_profile_bytes;  // absent: unknown for one of its processes
  std::array<std::map<std::string, uint64_t>, kAspects> bytes = {};  // by Aspect and name
  std::map<std::string, uint64_t> goroutines;              // their number, by the names of kGoroutineGroup
  std::map<std::string, std::string> problems, explained;  // claims, by the ids of findings

  const std::map<std::string, uint64_t>& of(Aspect aspect) const {
    return bytes[static_cast<size_t>(aspect)];
  }
};

// Largest first. Processes without a ledger, and what a process was before an exec, are in none.
std::vector<ProgramTotals> totals_of(const Explanation& explanation);

// A function without what changes from build to build: hashes of Rust, offsets of functions without a name.
std::string stable_name(std::string_view function);

}  // namespace memwhy::explain
