// SPDX-License-Identifier: Apache-2.0
// pymalloc, the allocator of CPython's small objects (up to 512 bytes): 3.8 to 3.13 in their usual builds. Found by content, in
// the variables of files named python; the number of its arena in each pool proves it.
//
//   variable of libpython ──► arenas[ ] of 48 bytes    { address, next pool, free pools 3, pools 64, ... }   an address of 0: no arena
//   arena 7 at 7f12'40000000, 1 MiB                    64 pools of 16 KiB
//     pool 0   { 12 blocks in use, ..., arena 7, blocks of 336 bytes }       4,032 B in use
//     pool 1   { 0 blocks in use, ... }                                      free, and stays: only an arena without any block in
//                                                                            use goes back, so one object keeps 1 MiB
// Not read: subinterpreters with a lock of their own (3.12 and later), and builds without a lock, which have another allocator.
#pragma once

#include <vector>

#include "allocators/block_heap.h"

namespace memwhy::allocators {

// A file of Python's: "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", "/usr/bin/python3.11", "_json.cpython-311-….so".
bool is_python(std::string_view path);

class Pymalloc final : public BlockReader {
 public:
  const char* name() const override { return kPymalloc; }
  const char* title() const override { return "CPython"; }
  bool find(HeapMemory& memory) override;
  Result<BlockTables> read(HeapMemory& memory) override;

  // Releases differ in these.
  struct Geometry {
    uint64_t arena_bytes, pool_bytes;
    uint64_t pools() const { return arena_bytes / pool_bytes; }
  };

 private:
  struct Found {
    std::vector<uint64_t> places;  // variables that pointed to it: `arenas`, perhaps others
    uint64_t arenas = 0;
    const Geometry* geometry = nullptr;
  };
  void find_in(HeapMemory& memory, const AddressRange& data);

  std::vector<Found> found_;  // of each interpreter library in the process
};

}  // namespace memwhy::allocators
