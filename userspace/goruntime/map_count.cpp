// SPDX-License-Identifier: Apache-2.0
#include "goruntime/map_count.h"

#include <vector>

#include "goruntime/words.h"

namespace memwhy::goruntime {
namespace {

using Bytes = std::vector<std::byte>;
constexpr uint64_t kHeadBytes = 48;  // of both, also as a size class
constexpr int kFirstSwiss = 24;
constexpr uint64_t kSlotsOfBucket = 8, kLeastBucketBytes = 16;
constexpr uint64_t kMostTables = 1 << 18, kMostSlotsOfTable = 1024;

uint64_t byte_at(const Bytes& bytes, size_t at) { return static_cast<uint64_t>(bytes[at]); }

std::optional<MapCount> count_buckets(const HeapWalk& walk, const Bytes& head) {
  const uint64_t count = word(head, 0), bits = byte_at(head, 9);
  HeapWalk::Object buckets;
  if (byte_at(head, 8) >= 16 || bits > 40 || !walk.object_of(word(head, 16), buckets)) return std::nullopt;
  const uint64_t slots = kSlotsOfBucket << bits;
  // No more than half of the slots are in overflow buckets before the table grows.
  if (buckets.bytes() < kLeastBucketBytes << bits || count > 2 * slots) return std::nullopt;
  return MapCount{count, slots};
}

std::optional<MapCount> count_tables(remote::RemoteMemory& memory, const HeapWalk& walk, const Bytes& head) {
  const uint64_t used = word(head, 0), tables = word(head, 24), depth = byte_at(head, 32);
  HeapWalk::Object directory;
  if (depth > 40 || tables != uint64_t{1} << depth || tables > kMostTables ||
      byte_at(head, 33) != 64 - depth || !walk.object_of(word(head, 16), directory) ||
      directory.bytes() < 8 * tables)
    return std::nullopt;
  const auto pointers = remote::read_array<uint64_t>(memory, word(head, 16), tables);
  if (!pointers) return std::nullopt;
  MapCount out{used, 0};
  uint64_t last = 0;
  Bytes table(32);
  for (const uint64_t pointer : *pointers) {
    if (pointer == last) continue;  // neighbours share one that has not been split
    last = pointer;
    if (!memory.step(1) || !memory.read(pointer, table)) return std::nullopt;
    const uint64_t capacity = word(table, 0) >> 16 & 0xffff;
    if (capacity > kMostSlotsOfTable) return std::nullopt;
    out.slots += capacity;
  }
  if (used > out.slots) return std::nullopt;
  return out;
}

}  // namespace

std::optional<MapCount> count_map(remote::RemoteMemory& memory, const HeapWalk& walk, int minor,
                                  const HeapWalk::Object& object) {
  Bytes head(kHeadBytes);
  if (object.bytes() != kHeadBytes || !memory.read(object.address, head)) return std::nullopt;
  return minor >= kFirstSwiss ? count_tables(memory, walk, head) : count_buckets(walk, head);
}

}  // namespace memwhy::goruntime
