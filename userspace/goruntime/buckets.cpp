// SPDX-License-Identifier: Apache-2.0
#include "goruntime/buckets.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>

#include "goruntime/words.h"

namespace memwhy::goruntime {

namespace {

using Bytes = std::vector<std::byte>;

constexpr uint64_t kTableSlots = 179'999;  // buckHashSize of mprof.go, the same from 1.19 on
constexpr uint64_t kTableBytes = 8 * kTableSlots;
constexpr uint64_t kBlockRecordBytes = 16;  // blockRecord of mprof.go: a count and cycles
constexpr uint64_t kMostFrames = 1024;      // the runtime's own limit of profstackdepth
constexpr uint64_t kMostBuckets = 1 << 20;
constexpr uint64_t kPartBytes = 64 << 10;
constexpr uint64_t kMostRanges = 1 << 16;
constexpr int kMostSearches = 20;

// The runtime counts the pointer masks of the program's variables as buckets too (mbitmap.go progToPointerMask): a bit for
// each word, and one byte behind them.
uint64_t mask_bytes(const Globals& globals) {
  uint64_t bytes = 0;
  for (const AddressRange& range : globals.roots) bytes += (range.bytes() / 8 + 7) / 8 + 1;
  return bytes;
}

class Search {
 public:
  Search(remote::RemoteMemory& memory, const Globals& globals) : memory_(memory), globals_(globals) {
    image_ = {globals.min_pc, globals.min_pc};
    for (const AddressRange& range : globals.data) image_.end = std::max(image_.end, range.end);
    Bytes header(24);
    if (!memory_.read(globals.mheap + globals.layout->mheap.pages_in_use.offset, header)) return;
    const Slice in_use = slice(header, 0);
    if (auto words = remote::read_array<uint64_t>(memory_, in_use.data,
                                                  2 * std::min<uint64_t>(in_use.length, kMostRanges)))
      for (size_t i = 0; i < words->size(); i += 2) heap_.push_back({(*words)[i], (*words)[i + 1]});
  }

  BucketLists find() {
    Bytes bytes;
    for (const AddressRange& range : globals_.data) {
      for (uint64_t at = range.start; at < range.end; at += bytes.size()) {
        bytes.resize(std::min(range.end - at, kPartBytes - at % kPartBytes));
        Result<uint64_t> there = memory_.read_present(at, bytes);
        if (!there || *there == 0) continue;
        for (size_t i = 0; i + 8 <= bytes.size(); i += 8) consider(at + i, word(bytes, i));
      }
    }
    for (const uint64_t table : tables_)
      if (is_table(table)) found_.table = table;
    return found_;
  }

 private:
  // Buckets and their table are in memory of the runtime's own, outside of the heap.
  void consider(uint64_t where, uint64_t address) {
    if (address < kPageBytes || address % 8 != 0 || image_.contains(address) || in_heap(address)) return;
    if (address % kPageBytes == 0) tables_.push_back(address);
    const size_t kind = kind_at(address);
    if (kind < kBucketKinds && found_.heads[kind] == 0) {
      found_.heads[kind] = where;
      hashes_[kind] = {address, hash_};
    }
  }

  bool in_heap(uint64_t address) const {
    const auto after =
        std::upper_bound(heap_.begin(), heap_.end(), address,
                         [](uint64_t a, const AddressRange& range) { return a < range.start; });
    return after != heap_.begin() && std::prev(after)->contains(address);
  }

  // Index of the list of this bucket, and hash_; kBucketKinds: it is none.
  size_t kind_at(uint64_t address) {
    const auto& b = globals_.layout->bucket;
    Bytes bytes(b.size);
    if (!memory_.read(address, bytes)) return kBucketKinds;
    const uint64_t kind = field(bytes, b.typ) - 1, frames = field(bytes, b.nstk);
    hash_ = field(bytes, b.hash);
    // Of nothing but zeros the hash is 0.
    if (kind >= kBucketKinds || frames == 0 || frames > kMostFrames || hash_ == 0) return kBucketKinds;
    Result<std::vector<uint64_t>> stack = remote::read_array<uint64_t>(memory_, address + b.size, frames);
    return stack && bucket_hash(*stack, field(bytes, b.object_size)) == hash_ ? static_cast<size_t>(kind)
                                                                              : kBucketKinds;
  }

  // A bucket is put in front of those with the same hash: the newest of a list is the first of its slot.
  bool is_table(uint64_t table) {
    return std::any_of(hashes_.begin(), hashes_.end(), [&](const auto& newest) {
      Result<uint64_t> first = remote::read_value<uint64_t>(memory_, table + newest.second % kTableSlots * 8);
      return newest.first != 0 && first && *first == newest.first;
    });
  }

  remote::RemoteMemory& memory_;
  const Globals& globals_;
  AddressRange image_;
  std::vector<AddressRange> heap_;                                    // in order
  std::vector<uint64_t> tables_;                                      // what may be the table
  std::array<std::pair<uint64_t, uint64_t>, kBucketKinds> hashes_{};  // newest bucket and its hash
  uint64_t hash_ = 0;
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
      return Error(ErrorCode::kIncomplete, "the Go heap profile does not end");
    if (Status status = memory.read(address, header); !status) return status;
    const uint64_t frames = field(header, b.nstk);
    if (frames == 0 || frames > kMostFrames)
      return Error(ErrorCode::kIncomplete, "the Go heap profile has a bucket that makes no sense");
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

void BucketPages::update(remote::RemoteMemory& memory, const Globals& globals, uint64_t counted_bytes) {
  walk(memory, globals);
  if (bytes() + mask_bytes(globals) == counted_bytes || searches_ == kMostSearches) return;
  ++searches_;
  lists_ = find_buckets(memory, globals);
  walk(memory, globals);
}

void BucketPages::walk(remote::RemoteMemory& memory, const Globals& globals) {
  const auto& b = globals.layout->bucket;
  for (size_t kind = 0; kind < kBucketKinds; ++kind) {
    if (lists_.heads[kind] == 0) continue;
    Result<uint64_t> newest = remote::read_value<uint64_t>(memory, lists_.heads[kind]);
    if (!newest) continue;
    std::vector<AddressRange> added;
    const Status whole = walk_buckets(
        memory, globals, *newest, newest_[kind],
        [&](uint64_t address, std::span<const std::byte> header) -> Status {
          const uint64_t record = kind == 0 ? globals.layout->mem_record.size : kBlockRecordBytes;
          added.push_back({address, address + b.size + 8 * field(header, b.nstk) + record});
          return {};
        });
    if (!whole) continue;  // next time, from the same place on
    newest_[kind] = *newest;
    for (const AddressRange& bucket : added) {
      bytes_ += bucket.bytes();
      for (uint64_t at = bucket.start; at < bucket.end;) {
        const uint64_t end = std::min(bucket.end, (at | (kPageBytes - 1)) + 1);
        pages_[at >> kPageShift] += static_cast<uint32_t>(end - at);
        at = end;
      }
    }
  }
}

uint64_t BucketPages::bytes() const { return bytes_ + (lists_.table == 0 ? 0 : kTableBytes); }

std::vector<events::GoRun> BucketPages::runs() const {
  std::vector<PageNumber> pages;
  for (const auto& [page, bytes] : pages_)
    if (bytes >= kPageBytes / 2) pages.push_back(page);
  if (lists_.table != 0)
    for (uint64_t at = lists_.table; at < lists_.table + kTableBytes; at += kPageBytes)
      pages.push_back(at >> kPageShift);
  std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
  std::vector<events::GoRun> out;
  for (const PageNumber page : pages) {
    if (!out.empty() && out.back().page + out.back().count == page) {
      ++out.back().count;
      continue;
    }
    events::GoRun run;
    run.page = page;
    run.count = 1;
    run.kind = events::GoPage::kProfiler;
    out.push_back(run);
  }
  return out;
}

}  // namespace memwhy::goruntime
