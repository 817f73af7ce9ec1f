// SPDX-License-Identifier: Apache-2.0
// Where the Go runtime keeps the buckets of its own profiles: lists of memory, block and mutex buckets, and the table of
// their hashes. Buckets are outside of the heap, never move and are never freed. Their contents: profile.h.
//
//   memory ─► bucket (newest) ─► bucket ─► ... ─► 0        one such list for blocks and one for mutexes, if enabled
//   table  ─► [hash % 179,999]: 1.4 MiB, mapped when the first bucket was made
//   page 7f1234605 holds 4,096 B of buckets, 7f1234606 1,208 B and tables of the allocator: the first is the profiler's
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "events/go_runtime.h"
#include "events/runtime.h"
#include "goruntime/globals.h"
#include "goruntime/spans.h"

namespace memwhy::goruntime {

// Values of bucket.typ (mprof.go).
enum class BucketKind : uint8_t { kMemory = 1, kBlock = 2, kMutex = 3 };
constexpr size_t kBucketKinds = 3;

// Addresses; 0: not found, because nothing of it was ever sampled.
struct BucketLists {
  std::array<uint64_t, kBucketKinds> heads{};  // of the pointers to the newest, by kind
  uint64_t table = 0;                          // of the hash table itself
  uint64_t head(BucketKind kind) const { return heads[static_cast<size_t>(kind) - 1]; }
};

// Looks through all of the program's variables.
BucketLists find_buckets(remote::RemoteMemory& memory, const Globals& globals);

// From the newest bucket of a list on to `until` (0: to the end): visit(address, header). kDamaged: it makes no sense,
// or it does not end.
Status walk_buckets(remote::RemoteMemory& memory, const Globals& globals, uint64_t newest, uint64_t until,
                    const std::function<Status(uint64_t, std::span<const std::byte>)>& visit);

// The runtime's hash of an allocation stack and size (mprof.go stkbucket): proof that a bucket is one.
uint64_t bucket_hash(const std::vector<uint64_t>& stack, uint64_t object_bytes);
// Of the bucket with this header; empty: by its hash it is none.
std::vector<uint64_t> bucket_stack(remote::RemoteMemory& memory, const Layout& layout, uint64_t address,
                                   std::span<const std::byte> header);
// Where the object at `object` was allocated, by the memory profile's record of it among the specials of its span; empty:
// it was not sampled.
std::vector<uint64_t> allocation_stack(remote::RemoteMemory& memory, const Layout& layout, const Span& span,
                                       uint64_t object);

// The pages that buckets are in.
class BucketPages {
 public:
  // Takes in what is new. `counted_bytes`: the runtime's own count; on a difference the lists are searched for again.
  void update(remote::RemoteMemory& memory, const Globals& globals, uint64_t counted_bytes);

  const BucketLists& lists() const { return lists_; }
  uint64_t bytes() const { return bytes_; }      // of all buckets, and of the table
  std::vector<events::RuntimeRun> runs() const;  // pages at least half of which are buckets; in order
 private:
  void walk(remote::RemoteMemory& memory, const Globals& globals);
  void add(const AddressRange& range);

  BucketLists lists_;
  std::array<uint64_t, kBucketKinds> newest_{};  // as of the last update
  std::map<PageNumber, uint32_t> pages_;         // bytes of buckets in each
  uint64_t bytes_ = 0;
  int searches_ = 0;
};

}  // namespace memwhy::goruntime
