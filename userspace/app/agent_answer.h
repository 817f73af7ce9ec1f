// SPDX-License-Identifier: Apache-2.0
// What a ring says: its parts joined, explained, and if asked for kept as a recording. Done by a child of the agent, so that
// the memory that it takes and whatever is in the ring end with it.
//
//   memwhy agent-close growth 0 /var/lib/memwhy/.closing.17 ring/api/ring.3.memwhy …   without a capability
//     stdout  {"seconds":900.1,"rss":629145600,"sentence":"api (pid 7): 600.0 MiB resident; …", "owners":{…}, "problems":[…]}
//     exit    0, or as every command of memwhy; then stdout is the sentence
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace memwhy::app {

constexpr const char* kCloserWord = "agent-close";
constexpr const char* kProfileWord =
    "profile";  // as WHY: the file is no recording, but a pprof of what is resident

struct UnitProblem {
  std::string cause, confidence;
  uint64_t bytes = 0, recoverable_bytes = 0;
};

struct UnitAnswer {
  double seconds = 0;
  uint64_t rss_bytes = 0;
  std::optional<uint64_t> heap_profile_bytes, gap_bytes;
  std::string sentence;
  std::map<std::string, uint64_t> owners;
  std::vector<UnitProblem> problems;  // of all its processes, by cause
  std::vector<std::string> damage;
  uint64_t file_bytes = 0;
};

std::string encode(const UnitAnswer& answer);
// kInternal: it is no answer.
Result<UnitAnswer> decode_answer(std::string_view text);

// Joins, explains, and writes `output` ("-": nothing), which must not exist and is on disk when this returns. `about`: whose
// sentence is wanted; 0: that with most to say.
Result<UnitAnswer> close_ring(const std::string& why, Pid about, const std::string& output,
                              const std::vector<std::string>& parts);

// The child: WHY PID OUTPUT PARTS. The exit status.
int run_closer(const std::vector<std::string>& words);

}  // namespace memwhy::app
