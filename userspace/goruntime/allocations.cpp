// SPDX-License-Identifier: Apache-2.0
#include "goruntime/allocations.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "goruntime/words.h"

namespace memwhy::goruntime {
namespace {

// sizeclasses.go: the same in Go 1.19 to 1.27. Class 0 is of large objects.
constexpr std::array<uint64_t, 68> kSizes = {
    0,     8,     16,    24,    32,    48,    64,    80,    96,    112,   128,   144,  160,   176,
    192,   208,   224,   240,   256,   288,   320,   352,   384,   416,   448,   480,  512,   576,
    640,   704,   768,   896,   1024,  1152,  1280,  1408,  1536,  1792,  2048,  2304, 2688,  3072,
    3200,  3456,  4096,  4864,  5376,  6144,  6528,  6784,  6912,  8192,  9472,  9728, 10240, 10880,
    12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768};
constexpr uint32_t kParts = 3;
// Of the sum: a cache is being refilled by each thread.
constexpr uint64_t kShare = 100, kLeast = uint64_t{1} << 20;

}  // namespace

std::optional<events::GoAllocations> read_allocations(remote::RemoteMemory& memory, const Globals& globals,
                                                      uint64_t total_alloc) {
  const auto& d = globals.layout->heap_stats_delta;
  if (d.small_alloc_count.bytes != kSizes.size() * sizeof(uint64_t)) return std::nullopt;
  std::vector<std::byte> parts(size_t{kParts} * d.size);
  if (!memory.read_present(globals.memstats + globals.layout->mstats.heap_stats.offset, parts))
    return std::nullopt;
  // Parts may be negative; their sum is not.
  const auto sum = [&](Field which) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < kParts; ++i) total += field(parts, {i * d.size + which.offset, which.bytes});
    return total;
  };
  events::GoAllocations out;
  out.large_bytes = sum(d.large_alloc);
  out.large_objects = sum(d.large_alloc_count);
  uint64_t total = out.large_bytes;
  for (uint32_t i = 1; i < kSizes.size(); ++i) {
    const uint64_t objects = sum({d.small_alloc_count.offset + 8 * i, 8});
    if (objects > ~uint64_t{0} / kSizes[i]) return std::nullopt;
    if (objects > 0) out.small.push_back({kSizes[i], objects});
    total += objects * kSizes[i];
  }
  const auto [low, high] = std::minmax(total, total_alloc);
  if (high - low > std::max(kLeast, high / kShare)) return std::nullopt;
  return out;
}

}  // namespace memwhy::goruntime
