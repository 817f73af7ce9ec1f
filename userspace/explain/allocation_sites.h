// SPDX-License-Identifier: Apache-2.0
// Callers of malloc: the sampled calls (timeline/allocation_calls.h), by the program's own function. Shows which
// code allocates a size, not which keeps it.
//
//   1,312 calls   1,000 bytes   parse_record (server.c:88)
//     640 calls      64 bytes   lookup (server.c:31)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace memwhy::timeline {
class AddressSpace;
}

namespace memwhy::explain {

class Stacks;

struct AllocationSite {
  std::string where;   // "parse_record (server.c:88)"; "" its stack is unknown
  uint64_t bytes = 0;  // of one, as the caller wanted them
  uint64_t calls = 0;
};

struct AllocationSites {
  uint64_t calls = 0;                 // that were sampled
  double seconds = 0;                 // from the first to the last
  std::vector<AllocationSite> sites;  // most calls first
};

AllocationSites allocation_sites(const timeline::AddressSpace& space, const Stacks& stacks);

// The calls with a chunk of this size (glibc: 8 bytes more, in steps of 16), or of a page and more: between it and
// twice as much. Sizes of one place are summed up.
AllocationSites of_chunk(const AllocationSites& all, uint64_t chunk_bytes);
// Sizes of one place summed up: bytes are those of all of its calls.
std::vector<AllocationSite> by_place(const AllocationSites& all);

}  // namespace memwhy::explain
