// SPDX-License-Identifier: Apache-2.0
// Garbage collections that ended since the last look, with the time that they stopped the world: the runtime keeps the
// last 256 in two rings of mstats.
//
//   numgc 38     pause_ns[ ]   ... [35] 41,200  [36] 39,800  [37] 44,100 | [38] of collection 39, not yet written
//                pause_end[ ]  ... the same places, Unix ns               collection n is at (n - 1) % 256
#pragma once

#include <cstdint>
#include <vector>

#include "events/go_runtime.h"
#include "goruntime/globals.h"

namespace memwhy::goruntime {

class Collections {
 public:
  // New ones, oldest first; the first call only takes note of where the rings are. Those that the rings had lost
  // already are missing in the numbers.
  std::vector<events::GoPause> take(remote::RemoteMemory& memory, const Globals& globals);

 private:
  bool started_ = false;
  uint32_t last_ = 0;  // number of the last one that was given
};

}  // namespace memwhy::goruntime
