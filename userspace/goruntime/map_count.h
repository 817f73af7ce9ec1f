// SPDX-License-Identifier: Apache-2.0
// How full a map is: its entries, and the slots of its tables, which it keeps when entries are deleted. Recognised by what a
// map's head must be, since objects do not carry their type.
//
//   Go 1.24 on   {used 0, seed, dir 0xc0'0001'0000, dirlen 4096, depth 12, shift 52} ─► 4096 tables {used 0, capacity 1024 …}
//   before       {count 0, flags 0, B 19, noverflow, hash0, buckets …}                  8 << 19 slots
#pragma once

#include <cstdint>
#include <optional>

#include "goruntime/heap_walk.h"

namespace memwhy::goruntime {

struct MapCount {
  uint64_t entries = 0, slots = 0;
};

// nullopt: not a map, or one that is so small that it has no table.
std::optional<MapCount> count_map(remote::RemoteMemory& memory, const HeapWalk& walk, int minor,
                                  const HeapWalk::Object& object);

}  // namespace memwhy::goruntime
