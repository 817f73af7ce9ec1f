// SPDX-License-Identifier: Apache-2.0
// Whether a variable is a sync.Pool, by what it points to: for each P a list of its own, padded to 128 bytes, so that two of them
// share no cache line. After a collection that array is the victim of the next one, in the next two words.
//
//   main.buffers   local 0xc000120000  localSize 8   victim 0  victimSize 0   New
//   0xc000120000   private {type, value}  shared {head, tail}   96 bytes of zeros     × 8
#pragma once

#include <cstdint>

#include "goruntime/heap_walk.h"
#include "remote/memory.h"

namespace memwhy::goruntime {

// Its lists. `variable`: all of it, or one of its words if its size is unknown. 0: it is no pool, or
// its lists are empty.
uint64_t pool_lists(remote::RemoteMemory& memory, const HeapWalk& walk, AddressRange variable);

}  // namespace memwhy::goruntime
