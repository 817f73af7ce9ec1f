// SPDX-License-Identifier: Apache-2.0
#include "goruntime/buckets.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>

#include "goruntime/words.h"
#include "remote/block_memory.h"

namespace memwhy::goruntime {

namespace {

using Bytes = std::vector<std::byte>;

constexpr size_t kMostSpecials = 4096;     // of a span
constexpr uint64_t kTableSlots = 179'999;  // buckHashSize of mprof.go, the same from 1.19 on
constexpr uint64_t kTableBytes = 8 * kTableSlots;
constexpr uint64_t kBlockRecordBytes = 16;  // blockRecord of mprof.go: a count and cycles
constexpr uint64_t kMostFrames = 1024;      // the runtime's own limit of profstackdepth
constexpr uint64_t kMostBuckets = 1 << 20;
constexpr int kMostSearches = 20;
constexpr size_t kTogether = 512;  // pointers that are followed together

// The runtime counts the pointer masks of the program's variables as buckets too (mbitmap.go progToPointerMask): a bit for
// each word, and one byte after them.
uint64_t mask_bytes(const Globals& globals) {
  uint64_t bytes = 0;
  for (const AddressRange& range : globals.roots) bytes += (range.bytes() / 8 + 7) / 8 + 1;
  return bytes;
}

class Search {
 public:
  Search(remote::RemoteMemory& memory, const Globals& globals) : memory_(memory), globals_(globals) {
    if (auto heap = heap_ranges(memory, *globals.layout, globals.mheap)) heap_ = std::move(*heap);
  }

  BucketLists find() {
    for (const AddressRange& range : globals_.data)
      // What can't be read is not found.
      static_cast<void>(each_part(memory_, range, [this](uint64_t at, std::span<const std::byte> bytes) {
        for (size_t i = 0; i + 8 <= bytes.size(); i += 8) consider(at + i, word(bytes, i));
        look();
      }));
    for (const Newest& newest : newest_)
      if (newest.address != 0) find_table(newest);
    return found_;
  }

 private:
  struct Newest {
    uint64_t address = 0, hash = 0;
  };
  struct Pointer {
    uint64_t where = 0, address = 0;
  };

  // Buckets and their table are in memory of the runtime's own, outside of the heap.
  void consider(uint64_t where, uint64_t address) {
    if (address < kPageBytes || address % 8 != 0 || globals_.image.contains(address) ||
        in_any(heap_, address))
      return;
    if (address % kPageBytes == 0 && memory_.keep(sizeof address)) tables_.push_back(address);
    pointers_.push_back({where, address});
    if (pointers_.size() == kTogether) look();
  }

  // What they point to is read together: there are thousands of them, and a call for each costs more than its bytes.
  void look() {
    const size_t size = globals_.layout->bucket.size;
    Bytes headers(pointers_.size() * size);
    std::vector<remote::Piece> pieces(pointers_.size());
    for (size_t i = 0; i < pieces.size(); ++i)
      pieces[i] = {pointers_[i].address, std::span(headers).subspan(i * size, size)};
    static_cast<void>(memory_.read_each(pieces));
    for (size_t i = 0; i < pieces.size(); ++i)
      if (pieces[i].there) check(pointers_[i], pieces[i].into);
    pointers_.clear();
  }

  void check(const Pointer& pointer, std::span<const std::byte> header) {
    const uint64_t kind = field(header, globals_.layout->bucket.typ) - 1;
    const uint64_t hash = field(header, globals_.layout->bucket.hash);
    // Of nothing but zeros the hash is 0.
    if (kind >= kBucketKinds || found_.heads[kind] != 0 || hash == 0 ||
        bucket_stack(memory_, *globals_.layout, pointer.address, header).empty())
      return;
    found_.heads[kind] = pointer.where;
    newest_[kind] = {pointer.address, hash};
  }

  // A bucket is put in front of those with the same hash: the newest of a list is the first of its slot.
  void find_table(const Newest& newest) {
    for (size_t from = 0; from < tables_.size(); from += kTogether) {
      const size_t count = std::min(kTogether, tables_.size() - from);
      std::vector<uint64_t> firsts(count);
      std::vector<remote::Piece> pieces(count);
      for (size_t i = 0; i < count; ++i)
        pieces[i] = {tables_[from + i] + newest.hash % kTableSlots * 8,
                     std::as_writable_bytes(std::span(&firsts[i], 1))};
      static_cast<void>(memory_.read_each(pieces));
      for (size_t i = 0; i < count; ++i)
        if (pieces[i].there && firsts[i] == newest.address) found_.table = tables_[from + i];
    }
  }

  remote::RemoteMemory& memory_;
  const Globals& globals_;
  std::vector<AddressRange> heap_;
  std::vector<uint64_t> tables_;   // what may be the table
  std::vector<Pointer> pointers_;  // not yet followed
  std::array<Newest, kBucketKinds> newest_{};
  BucketLists found_;
};

}  // namespace

BucketLists find_buckets(remote::RemoteMemory& memory, const Globals& globals) {
  return Search(memory, globals).find();
}

Status walk_buckets(remote::RemoteMemory& memory, const Globals& globals, uint64_t newest, uint64_t until,
                    const std::function<Status(uint64_t, std::span<const std::byte>)>& visit) {
  const auto& b = globals.layout->bucket;
  Bytes header(b.size);
  uint64_t address = newest, mark = 0;
  for (uint64_t n = 0; address != 0 && address != until; ++n) {
    if (std::has_single_bit(n))
      mark = address;  // a list that bites its tail meets a mark
    else if (n == kMostBuckets || address == mark)
      return Error(ErrorCode::kDamaged, "the Go heap profile does not end");
    if (Status status = memory.read(address, header); !status) return status;
    const uint64_t frames = field(header, b.nstk);
    if (frames == 0 || frames > kMostFrames)
      return Error(ErrorCode::kDamaged, "the Go heap profile has a bucket that makes no sense");
    // They may overlap, so that there is no end to them in bytes.
    if (!memory.keep(b.size + 8 * frames))
      return Error(ErrorCode::kLimit, "the Go heap profile is larger than one reading may keep");
    if (Status status = visit(address, header); !status) return status;
    address = field(header, b.allnext);
  }
  return {};
}

uint64_t bucket_hash(const std::vector<uint64_t>& stack, uint64_t object_bytes) {
  uint64_t hash = 0;
  const auto mix = [&](uint64_t value) {
    hash += value;
    hash += hash << 10;
    hash ^= hash >> 6;
  };
  for (const uint64_t pc : stack) mix(pc);
  mix(object_bytes);
  hash += hash << 3;
  hash ^= hash >> 11;
  return hash;
}

std::vector<uint64_t> bucket_stack(remote::RemoteMemory& memory, const Layout& layout, uint64_t address,
                                   std::span<const std::byte> header) {
  const uint64_t frames = field(header, layout.bucket.nstk);
  if (frames == 0 || frames > kMostFrames) return {};
  Result<std::vector<uint64_t>> stack =
      remote::read_array<uint64_t>(memory, address + layout.bucket.size, frames);
  if (!stack ||
      bucket_hash(*stack, field(header, layout.bucket.object_size)) != field(header, layout.bucket.hash))
    return {};
  return std::move(*stack);
}

std::vector<uint64_t> allocation_stack(remote::RemoteMemory& memory, const Layout& layout, const Span& span,
                                       uint64_t object) {
  Bytes special(std::max<uint32_t>(layout.special.size, layout.special_profile.bucket.offset + 8));
  uint64_t at = span.specials;
  for (size_t n = 0; at != 0 && n < kMostSpecials; ++n) {
    if (!memory.read(at, special)) return {};
    if (field(special, layout.special.kind) == layout.special_profile_kind &&
        span.address + field(special, layout.special.offset) == object) {
      const uint64_t bucket = field(special, layout.special_profile.bucket);
      Bytes header(layout.bucket.size);
      if (!memory.read(bucket, header)) return {};
      return bucket_stack(memory, layout, bucket, header);
    }
    at = field(special, layout.special.next);
  }
  return {};
}

void BucketPages::update(remote::RemoteMemory& memory, const Globals& globals, uint64_t counted_bytes) {
  walk(memory, globals);
  if (bytes_ + mask_bytes(globals) == counted_bytes || searches_ == kMostSearches) return;
  ++searches_;
  lists_ = find_buckets(memory, globals);
  newest_ = {};
  pages_.clear();
  bytes_ = 0;
  if (lists_.table != 0) add({lists_.table, lists_.table + kTableBytes});
  walk(memory, globals);
}

void BucketPages::walk(remote::RemoteMemory& memory, const Globals& globals) {
  const auto& b = globals.layout->bucket;
  for (size_t kind = 0; kind < kBucketKinds; ++kind) {
    if (lists_.heads[kind] == 0) continue;
    Result<uint64_t> newest = remote::read_value<uint64_t>(memory, lists_.heads[kind]);
    if (!newest) continue;
    std::vector<AddressRange> added;
    remote::BlockMemory blocks(memory);
    const Status whole = walk_buckets(
        blocks, globals, *newest, newest_[kind],
        [&](uint64_t address, std::span<const std::byte> header) -> Status {
          const uint64_t record = kind == 0 ? globals.layout->mem_record.size : kBlockRecordBytes;
          added.push_back({address, address + b.size + 8 * field(header, b.nstk) + record});
          return {};
        });
    if (!whole) continue;  // next time, from the same place on
    newest_[kind] = *newest;
    for (const AddressRange& bucket : added) add(bucket);
  }
}

void BucketPages::add(const AddressRange& range) {
  bytes_ += range.bytes();
  for (uint64_t at = range.start; at < range.end;) {
    const uint64_t end = std::min(range.end, (at | (kPageBytes - 1)) + 1);
    pages_[at >> kPageShift] += static_cast<uint32_t>(end - at);
    at = end;
  }
}

std::vector<events::RuntimeRun> BucketPages::runs() const {
  std::vector<events::RuntimeRun> out;
  for (const auto& [page, bytes] : pages_) {
    if (bytes < kPageBytes / 2) continue;
    if (!out.empty() && out.back().page + out.back().count == page) {
      ++out.back().count;
      continue;
    }
    events::RuntimeRun run;
    run.page = page;
    run.count = 1;
    run.use = static_cast<uint8_t>(events::GoUse::kProfiler);
    out.push_back(run);
  }
  return out;
}

}  // namespace memwhy::goruntime
