// SPDX-License-Identifier: Apache-2.0
// Samples: the cells of one process as profilers draw them: a stack, a weight in bytes, and labels. All formats with
// stacks are written from these, so that their sums and names are the same. Not the table of cells (explain/attribution.h), which
// the formats with tables print as it is.
//
//   cell  anon.other  fault  stack 0      32 MiB  →  work ◄ main            32 MiB  {owner anon.other, how fault, …}
//   cell  file.text   -      libc.so.6   1.5 MiB  →  [/lib/libc.so.6]      1.5 MiB  no stack: its place is its mapping
//   cell  anon.other  fault  stack 1, cut  1 MiB  →  grow ◄ [truncated]      1 MiB  its callers are unknown
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "explain/explanation.h"

namespace memwhy::exports {

constexpr size_t kMostName = 1024, kMostSentence = 4096;
// A string from outside, made safe for any format.
inline std::string clean(std::string_view outside, size_t most = kMostName) { return escape(outside, most); }
// "web (pid 4711)"; only "web" when the recording has no other process, so that two recordings compare.
std::string process_name(const explain::Explanation& all, const explain::ProcessExplanation& process);

// A frame, or its replacement.
struct Place {
  std::string name;  // "main.load", "libc.so.6+0x98c98", "[heap]"
  std::string file;  // of the source; "" unknown
  uint32_t line = 0;
  const explain::Frame* frame = nullptr;  // nullptr: of a mapping, or of callers that are unknown
};

struct Sample {
  uint64_t bytes = 0;
  std::vector<uint32_t> places;  // of SampleTable::places(), innermost first; never empty
  const explain::Cell* cell = nullptr;
  std::string_view owner;    // Attribution::cell_id
  std::string_view how;      // "fault"; "" of what had no room
  std::string_view trust;    // of its stack; "" none
  std::string_view mapping;  // file or name, clean; "" none, or several
};

// Of objects that a Go heap profile samples: virtual bytes.
struct AllocatedSample {
  uint64_t bytes = 0;
  std::vector<uint32_t> places;
};

class SampleTable {
 public:
  // `process` stays where it is.
  explicit SampleTable(const explain::ProcessExplanation& process);

  const std::vector<Place>& places() const { return places_; }
  const std::vector<Sample>& resident() const { return resident_; }  // Σ bytes == rss.bytes; by owner
  const std::vector<AllocatedSample>& allocated() const { return allocated_; }

 private:
  std::vector<uint32_t> places_of(uint32_t stack);
  uint32_t stand_in(std::string name);

  const explain::Attribution& all_;
  std::vector<std::string> mapping_names_;
  std::vector<Place> places_;  // first the frames of the process, by their numbers
  std::map<std::string, uint32_t> stand_ins_;
  std::vector<Sample> resident_;
  std::vector<AllocatedSample> allocated_;
};

}  // namespace memwhy::exports
