// SPDX-License-Identifier: Apache-2.0
#include "goruntime/globals.h"

#include <array>
#include <string>
#include <tuple>
#include <unordered_map>

#include "goruntime/words.h"

namespace memwhy::goruntime {

namespace {

using Bytes = std::vector<std::byte>;

constexpr uint64_t kMostSegmentBytes = 256 << 20;
constexpr uint64_t kChunkBytes = 4 << 20;  // of the page allocator
constexpr uint64_t kMostSlice = uint64_t{1} << 24;
constexpr size_t kGoroutinesTried = 6;

struct Segment {
  uint64_t address = 0;
  Bytes bytes;
};

Error not_found(const char* what) {
  return {ErrorCode::kIncomplete, std::string("the Go runtime's ") + what + " was not found"};
}

bool aligned(uint64_t address) { return address >= kPageBytes && address % 8 == 0; }

class Finder {
 public:
  Finder(remote::RemoteMemory& memory, const Layout& layout, const Image& image)
      : memory_(memory), layout_(layout), image_(image) {}

  Result<Globals> find() {
    found_.layout = &layout_;
    if (!find_moduledata()) return not_found("module data");
    if (Status status = read_data(); !status) return std::move(status).error();
    if (!find_mheap()) return not_found("heap");
    if (!find_memstats()) return not_found("statistics");
    if (!find_gc_controller()) return not_found("collector state");
    count_words();
    find_allgs();
    find_allp();
    find_buckets();
    return found_;
  }

 private:
  Bytes read(uint64_t address, size_t bytes) {
    Bytes out(bytes);
    if (!memory_.read(address, out)) out.clear();
    return out;
  }

  template <typename Visit>  // visit(segment, offset) for every aligned word, until it returns true
  bool each_word(Visit visit) {
    for (const Segment& segment : data_)
      for (size_t at = 0; at + 8 <= segment.bytes.size(); at += 8)
        if (visit(segment, at)) return true;
    return false;
  }

  bool find_moduledata() {
    const auto& m = layout_.moduledata;
    for (const AddressRange& range : image_.writable) {
      if (range.empty() || range.bytes() > kMostSegmentBytes) continue;
      Bytes bytes(range.bytes());
      if (!memory_.read_present(range.start, bytes)) continue;
      for (size_t at = 0; at + m.size <= bytes.size(); at += 8) {
        if (word(bytes, at) != image_.pclntab) continue;
        const auto view = std::span<const std::byte>(bytes).subspan(at, m.size);
        const Slice names = slice(view, m.funcnametab.offset);
        const uint64_t text = field(view, m.text), etext = field(view, m.etext);
        const uint64_t minpc = field(view, m.minpc), maxpc = field(view, m.maxpc);
        if (names.data != image_.pclntab + image_.names_offset || names.length != names.capacity) continue;
        if (text > minpc || minpc >= maxpc || maxpc > etext + 16) continue;
        found_.moduledata = range.start + at;
        found_.min_pc = minpc;
        found_.max_pc = maxpc;
        for (const auto& [from, to, pointers] :
             {std::tuple{m.noptrdata, m.enoptrdata, false}, std::tuple{m.data, m.edata, true},
              std::tuple{m.bss, m.ebss, true}, std::tuple{m.noptrbss, m.enoptrbss, false}}) {
          const AddressRange part = {(field(view, from) + 7) & ~uint64_t{7}, field(view, to)};
          if (part.start >= part.end || part.bytes() > kMostSegmentBytes) continue;
          found_.data.push_back(part);
          if (pointers) found_.roots.push_back(part);
        }
        return !found_.data.empty();
      }
    }
    return false;
  }

  Status read_data() {
    for (const AddressRange& range : found_.data) {
      Segment segment{range.start, Bytes(range.bytes())};
      Result<uint64_t> there = memory_.read_present(range.start, segment.bytes);
      if (!there) return std::move(there).error();
      data_.push_back(std::move(segment));
    }
    return {};
  }

  // pages.summary: five slices whose capacities follow from 48 bits of heap addresses.
  bool find_mheap() {
    constexpr std::array<uint64_t, 5> kCapacities = {1 << 14, 1 << 17, 1 << 20, 1 << 23, 1 << 26};
    return each_word([&](const Segment& segment, size_t at) {
      if (word(segment.bytes, at) != kCapacities[0] || at < 16) return false;
      for (size_t i = 1; i < kCapacities.size(); ++i)
        if (word(segment.bytes, at + 24 * i) != kCapacities[i]) return false;
      const uint64_t candidate = segment.address + at - 16 - layout_.mheap.pages_summary.offset;
      if (!is_mheap(candidate)) return false;
      found_.mheap = candidate;
      return true;
    });
  }

  bool is_mheap(uint64_t candidate) {
    const Bytes ranges = read(candidate + layout_.mheap.pages_in_use.offset, 24);
    const Bytes spans = read(candidate + layout_.mheap.allspans.offset, 24);
    if (ranges.empty() || spans.empty()) return false;
    const Slice in_use = slice(ranges, 0), all = slice(spans, 0);
    if (in_use.length < 1 || in_use.length > in_use.capacity || in_use.capacity > kMostSlice) return false;
    if (all.length < 1 || all.length > all.capacity || all.capacity > kMostSlice * 16) return false;
    const Bytes first = read(in_use.data, 16);
    return !first.empty() && word(first, 0) < word(first, 8) && word(first, 0) % kChunkBytes == 0 &&
           word(first, 8) % kChunkBytes == 0;
  }

  bool find_memstats() {
    const auto& h = layout_.mheap;
    const auto& s = layout_.mstats;
    const auto base = [&](Field pointer, Field target) {
      const Bytes bytes = read(found_.mheap + pointer.offset, 8);
      return bytes.empty() ? 0 : word(bytes, 0) - target.offset;
    };
    found_.memstats = base(h.span_alloc_stat, s.mspan_sys);
    return aligned(found_.memstats) && found_.memstats == base(h.cache_alloc_stat, s.mcache_sys) &&
           found_.memstats == base(h.pages_sys_stat, s.gc_misc_sys);
  }

  bool find_gc_controller() {
    const auto& c = layout_.gc_controller;
    const Bytes in_use = read(found_.mheap + layout_.mheap.pages_in_use_count.offset, 8);
    if (in_use.empty()) return false;
    const uint64_t expected = word(in_use, 0) * kGoPageBytes;
    uint64_t best_distance = ~uint64_t{0};
    each_word([&](const Segment& segment, size_t at) {
      if (segment.bytes.size() - at < c.size) return false;
      const auto view = std::span<const std::byte>(segment.bytes).subspan(at, c.size);
      const auto limit = static_cast<int64_t>(field(view, c.memory_limit));
      const auto percent = static_cast<int32_t>(field(view, c.gc_percent));
      if (limit <= 0 || percent < -1) return false;
      const auto wide = static_cast<uint64_t>(int64_t{percent});  // the runtime multiplies modulo 2^64
      const uint64_t minimum = field(view, c.heap_minimum);
      if (minimum != (uint64_t{4} << 20) * wide / 100 && minimum != (uint64_t{512} << 10) * wide / 100)
        return false;
      const uint64_t heap = field(view, c.heap_in_use), ready = field(view, c.mapped_ready);
      if (heap == 0 || heap % kGoPageBytes != 0 || field(view, c.heap_free) % kGoPageBytes != 0 ||
          field(view, c.heap_released) % kGoPageBytes != 0 || ready < heap)
        return false;
      const uint64_t distance = heap > expected ? heap - expected : expected - heap;
      if (distance < best_distance) {
        best_distance = distance;
        found_.gc_controller = segment.address + at;
      }
      return false;
    });
    return found_.gc_controller != 0 && best_distance <= expected / 4;
  }

  void count_words() {
    each_word([&](const Segment& segment, size_t at) {
      if (const uint64_t value = word(segment.bytes, at); value != 0) ++words_[value];
      return false;
    });
  }

  // allgs = {array, n, capacity}; allgptr (== array) and allglen (== n) stand elsewhere.
  void find_allgs() {
    each_word([&](const Segment& segment, size_t at) {
      const Slice all = slice(segment.bytes, at);
      if (all.length < 2 || all.length > all.capacity || all.capacity > kMostSlice || !aligned(all.data))
        return false;
      if (words_[all.data] < 2 || words_[all.length] < 2 || !are_goroutines(all)) return false;
      found_.allgs = segment.address + at;
      return true;
    });
  }

  bool are_goroutines(const Slice& all) {
    const auto& g = layout_.g;
    const size_t n = std::min<uint64_t>(all.length, kGoroutinesTried);
    const Bytes heads = read(all.data, 8 * n);
    for (size_t i = 0; i < n; ++i) {
      const uint64_t address = word(heads, 8 * i);
      if (!aligned(address)) return false;
      const Bytes bytes = read(address, g.size);
      if (bytes.empty()) return false;
      const uint64_t lo = field(bytes, g.stack_lo), hi = field(bytes, g.stack_hi);
      const uint64_t status = field(bytes, g.atomicstatus) & ~uint64_t{0x1000};
      const uint64_t goid = field(bytes, g.goid);
      if (status > 11 || lo > hi || hi - lo > (uint64_t{1} << 30) || goid >> 40 != 0) return false;
      if (i == 0 && goid != 1) return false;
    }
    return n > 0;
  }

  void find_allp() {
    each_word([&](const Segment& segment, size_t at) {
      const Slice all = slice(segment.bytes, at);
      if (all.length < 1 || all.length > all.capacity || all.capacity > 4096 || !aligned(all.data))
        return false;
      if (!are_processors(all)) return false;
      found_.allp = segment.address + at;
      return true;
    });
  }

  bool are_processors(const Slice& all) {
    const Bytes heads = read(all.data, 8 * all.length);
    if (heads.empty()) return false;
    for (size_t i = 0; i < all.length; ++i) {
      const uint64_t address = word(heads, 8 * i);
      if (!aligned(address)) return false;
      const Bytes bytes = read(address, layout_.p.pcache_scav.offset + 8);
      if (bytes.empty() || field(bytes, layout_.p.id) != i || field(bytes, layout_.p.status) > 4)
        return false;
      const uint64_t mcache = field(bytes, layout_.p.mcache);
      if (!aligned(mcache)) return false;
      const Bytes first_spans = read(mcache + layout_.mcache.alloc.offset, 8 * 8);
      for (size_t k = 0; k < 8; ++k)
        if (!aligned(word(first_spans, 8 * k))) return false;
    }
    return true;
  }

  void find_buckets() {
    each_word([&](const Segment& segment, size_t at) {
      const uint64_t address = word(segment.bytes, at);
      if (!aligned(address) || !is_memory_bucket(address)) return false;
      found_.mbuckets = segment.address + at;
      return true;
    });
  }

  bool is_memory_bucket(uint64_t address) {
    const auto& b = layout_.bucket;
    const Bytes bytes = read(address, b.size);
    if (bytes.empty() || field(bytes, b.typ) != 1) return false;
    const uint64_t frames = field(bytes, b.nstk), object_bytes = field(bytes, b.object_size);
    if (frames == 0 || frames > 1024 || object_bytes == 0) return false;
    Result<std::vector<uint64_t>> stack = remote::read_array<uint64_t>(memory_, address + b.size, frames);
    return stack && bucket_hash(*stack, object_bytes) == field(bytes, b.hash);
  }

  remote::RemoteMemory& memory_;
  const Layout& layout_;
  const Image& image_;
  Globals found_;
  std::vector<Segment> data_;
  std::unordered_map<uint64_t, uint32_t> words_;  // how often each word stands in the data
};

}  // namespace

Result<Globals> find_globals(remote::RemoteMemory& memory, const Layout& layout, const Image& image) {
  return Finder(memory, layout, image).find();
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

}  // namespace memwhy::goruntime
