// SPDX-License-Identifier: Apache-2.0
// Events about runtimes and allocators that manage memory for a program: which page each holds, and for what. The same for all
// of them; what is specific to one has a file of its own (go_runtime.h).
//
// Names in the file, numbers in memory: each event names its runtime and its uses, and a run has the index of its use. So
// a recording can be understood without this program, and an unknown runtime is still reported by its name.
//
//   RuntimePages { scan 7, runtime "go", uses {"heap", "stack", "idle"},
//                  runs {{0xc000000 +16384, use 0, live 60 MiB, dead 3 MiB, free 1 MiB}, {0xc004000 +256, use 2}} }
//   RuntimePages { scan 7, runtime "glibc", uses {"arena"}, runs {{0x7f12340 +33, use 0}} }
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"

namespace memwhy::events {

// A recorder writes no more of them. Of a page the model has 3 bits for the runtime and 5 for the use.
constexpr size_t kMostRuntimes = 7;   // that hold pages, for one scan of one space
constexpr size_t kMostReadings = 32;  // for one scan of one space, with those that hold none
constexpr size_t kMostUses = 32;      // of one runtime

// How far what was read of a runtime can be believed.
enum class Trust : uint8_t {
  kVerified,    // its tables were read, and they agree with themselves
  kUnverified,  // they were read, and do not: nothing of it is used
  kUnreadable,  // they were not found, or could not be read
};

// `count` OS pages from `page` on. The bytes are of its resident pages by the state of what lies in them, for a use whose
// pages hold both; they sum to the resident bytes of the run in the scan that the event names. 0 for other uses.
struct RuntimeRun {
  PageNumber page = 0;
  uint32_t count = 0;
  uint8_t use = 0;  // index into RuntimePages::uses
  uint64_t live_bytes = 0, dead_bytes = 0, free_bytes = 0;
  bool operator==(const RuntimeRun&) const = default;
};

// What one runtime holds pages for. Comes before the PageScan with the same number. A page that two of them claim for one
// scan is the first one's.
struct RuntimePages {
  SpaceId space{};
  uint64_t scan = 0;
  std::string runtime;  // "go"
  Trust trust = Trust::kUnreadable;
  std::string problem;  // one sentence when not kVerified
  std::vector<std::string> uses;
  std::vector<RuntimeRun> runs;  // in order of page, not overlapping
  std::vector<uint64_t>
      tables;  // addresses of structures of the runtime, sorted, one in each 64 KiB that has any
  bool holds() const { return trust == Trust::kVerified && !runs.empty(); }
  bool operator==(const RuntimePages&) const = default;
};

}  // namespace memwhy::events
