// SPDX-License-Identifier: Apache-2.0
#include "goruntime/globals.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <set>
#include <string>
#include <tuple>

#include "goruntime/geometry.h"
#include "goruntime/words.h"

namespace memwhy::goruntime {

namespace {

using Bytes = std::vector<std::byte>;

constexpr uint64_t kMostPointerBytes = 256 << 20;  // of which pointers are followed
// The linker sorts variables by their size, so the runtime's own come before a program's large tables: of each section so
// much is looked through.
constexpr uint64_t kMostSectionBytes = 64 << 20;
constexpr uint64_t kPartBytes = 64 << 10;
constexpr uint64_t kBytesAStep = 16 << 10;  // to look at so many is as much work as a call of the system
constexpr uint64_t kMostRanges = 1 << 16;
constexpr uint64_t kMostSlice = uint64_t{1} << 24;
constexpr size_t kGoroutinesTried = 6;
constexpr uint64_t kDead = 6, kExtraDead = 11;  // status of a goroutine that ended, or waits for a C thread
constexpr int kMostTries = 5;                   // of find_allgs
constexpr uint64_t kImageBytes = 1ull << 31;    // the Go linker's limit

struct Segment {
  uint64_t address = 0;
  Bytes bytes;
  uint64_t end() const { return address + bytes.size(); }
  uint64_t word(size_t at) const {  // at + 8 <= bytes.size()
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  }
};

Error not_found(const char* what) {
  return {ErrorCode::kAbsent, std::string("the Go runtime's ") + what + " was not found"};
}

bool aligned(uint64_t address) { return address >= kPageBytes && address % 8 == 0; }

class Finder {
 public:
  Finder(remote::RemoteMemory& memory, const Layout& layout, const Image& image)
      : memory_(memory), layout_(layout), image_(image) {}

  Result<Globals> find() {
    found_.layout = &layout_;
    found_.file = image_.file;
    found_.green_tea = has_green_tea(layout_.minor, image_.version);
    if (!find_moduledata()) return not_found("module data");
    if (Status status = read_data(); !status) return std::move(status).error();
    if (!find_mheap()) return not_found("heap");
    if (!find_memstats()) return not_found("statistics");
    if (!find_gc_controller()) return not_found("collector state");
    if (!find_allp()) return not_found("processors");
    // Found by three words that agree, in data that was not read in one moment: while goroutines begin they may not.
    // is_mheap() reads where the heap is now: the list may have moved to a part that it got since.
    for (int tries = 1; !find_allgs() && tries < kMostTries; ++tries) {
      drop(data_);
      if (Status again = read_data(); !again || !is_mheap(found_.mheap)) break;
    }
    return found_;
  }

 private:
  Bytes read(uint64_t address, size_t bytes) {
    Bytes out(bytes);
    if (!memory_.read(address, out)) out.clear();
    return out;
  }

  // visit(segment, offset) for every aligned word, until it returns true. That is work, and their
  // content may cause it again and again: false also when the budget does not allow it.
  template <typename Visit>
  bool each_word(Visit visit) {
    for (const Segment& segment : data_)
      for (size_t at = 0; at + 8 <= segment.bytes.size(); at += 8) {
        if (at % kBytesAStep == 0 && !memory_.step(1)) return false;
        if (visit(segment, at)) return true;
      }
    return false;
  }

  bool near(uint64_t address) const {
    return address + kImageBytes > image_.pclntab && address < image_.pclntab + kImageBytes;
  }

  // The parts of a range that are resident. What the program never touched is zero, and much of it may be:
  // crypto/internal/fips140 alone has 32 MiB of that. A page of zeros follows each part, for what ends there.
  Result<std::vector<Segment>> read_parts(const AddressRange& range) {
    std::vector<Segment> out;
    bool kept = true;
    const Status whole = each_part(memory_, range, [&](uint64_t at, std::span<const std::byte> bytes) {
      kept = kept && memory_.keep(bytes.size());
      if (!kept) return;
      if (out.empty() || out.back().end() != at) out.push_back({at, {}});
      out.back().bytes.insert(out.back().bytes.end(), bytes.begin(), bytes.end());
    });
    if (!whole) return whole.error();
    if (!kept)
      return Error(ErrorCode::kLimit, "the program's variables are larger than one reading may keep");
    for (Segment& segment : out)
      segment.bytes.resize(segment.bytes.size() + std::min(range.end - segment.end(), kPageBytes));
    return out;
  }

  static AddressRange first_of(const AddressRange& range) {
    return {range.start, range.start + std::min(range.bytes(), kMostSectionBytes)};
  }

  // It is initialized, so it is near the beginning of a segment.
  bool find_moduledata() {
    for (const AddressRange& range : image_.writable) {
      if (range.empty()) continue;
      Result<std::vector<Segment>> parts = read_parts(first_of(range));
      if (!parts) continue;
      const bool found = std::any_of(parts->begin(), parts->end(),
                                     [this](const Segment& part) { return find_moduledata(part); });
      drop(*parts);
      if (found) return !found_.data.empty();
    }
    return false;
  }

  void drop(std::vector<Segment>& parts) {
    for (const Segment& part : parts) memory_.release(part.bytes.size());
    parts.clear();
  }

  bool find_moduledata(const Segment& part) {
    const auto& m = layout_.moduledata;
    for (size_t at = 0; at + m.size <= part.bytes.size(); at += 8) {
      if (part.word(at) != image_.pclntab) continue;
      const auto view = std::span<const std::byte>(part.bytes).subspan(at, m.size);
      const Slice names = slice(view, m.funcnametab.offset);
      const uint64_t text = field(view, m.text), etext = field(view, m.etext);
      const uint64_t minpc = field(view, m.minpc), maxpc = field(view, m.maxpc);
      if (names.data != image_.pclntab + image_.names_offset || names.length != names.capacity) continue;
      if (text > minpc || minpc >= maxpc || maxpc > etext + 16) continue;
      // Of another release these are something else: a length, or equal.
      const uint64_t types = field(view, m.types), etypes = field(view, m.etypes);
      if (!near(text) || !near(types) || !near(field(view, m.gofunc)) || types >= etypes || !near(etypes))
        continue;
      found_.moduledata = part.address + at;
      found_.min_pc = minpc;
      found_.max_pc = maxpc;
      found_.image = {text, text};
      for (const auto& [from, to, pointers] :
           {std::tuple{m.noptrdata, m.enoptrdata, false}, std::tuple{m.data, m.edata, true},
            std::tuple{m.bss, m.ebss, true}, std::tuple{m.noptrbss, m.enoptrbss, false}}) {
        const AddressRange range = {(field(view, from) + 7) & ~uint64_t{7}, field(view, to)};
        if (range.start >= range.end || range.bytes() > kImageBytes) continue;
        found_.data.push_back(first_of(range));
        found_.image.end = std::max(found_.image.end, range.end);
        if (pointers && range.bytes() <= kMostPointerBytes) found_.roots.push_back(range);
      }
      return true;
    }
    return false;
  }

  Status read_data() {
    for (const AddressRange& range : found_.data) {
      Result<std::vector<Segment>> parts = read_parts(range);
      if (!parts) return std::move(parts).error();
      std::move(parts->begin(), parts->end(), std::back_inserter(data_));
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
    const Bytes spans = read(candidate + layout_.mheap.allspans.offset, 24);
    if (spans.empty()) return false;
    const Slice all = slice(spans, 0);
    if (all.length < 1 || all.length > all.capacity || all.capacity > kMostSlice * 16) return false;
    Result<std::vector<AddressRange>> ranges = heap_ranges(memory_, layout_, candidate);
    if (!ranges) return false;
    heap_ = std::move(*ranges);
    return true;
  }

  // Whether the page allocator ever handed out this address: most words of the data need no read to be refused.
  bool in_heap(uint64_t address) const { return in_any(heap_, address); }

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
      // With GOGC=0 every zero agrees with the minimum: then the heap's size itself must, and what it sums to.
      if (percent == 0 && (distance > expected / 64 || ready < heap + field(view, c.heap_free) ||
                           field(view, c.total_alloc) < field(view, c.total_free)))
        return false;
      if (distance < best_distance) {
        best_distance = distance;
        found_.gc_controller = segment.address + at;
      }
      return false;
    });
    return found_.gc_controller != 0 && best_distance <= expected / 4;
  }

  // allgs = {array, n, capacity} in the heap; allgptr (== array) and allglen (== n) are elsewhere.
  bool find_allgs() {
    return each_word([&](const Segment& segment, size_t at) {
      const Slice all = slice(segment.bytes, at);
      if (all.length < 2 || all.length > all.capacity || all.capacity > kMostSlice || !in_heap(all.data))
        return false;
      if (!are_goroutines(all) || times(all.data) < 2 || times(all.length) < 2) return false;
      found_.allgs = segment.address + at;
      return true;
    });
  }

  // How often a word occurs in the data.
  size_t times(uint64_t value) {
    size_t n = 0;
    each_word([&](const Segment& segment, size_t at) {
      n += word(segment.bytes, at) == value ? 1 : 0;
      return false;
    });
    return n;
  }

  // The first of a program is that of main, number 1. In a library it ends when the library has begun, and another one takes
  // its place: there the numbers differ, and who lives has its stack in the heap.
  bool are_goroutines(const Slice& all) {
    const auto& g = layout_.g;
    const size_t n = std::min<uint64_t>(all.length, kGoroutinesTried);
    const Bytes heads = read(all.data, 8 * n);
    std::set<uint64_t> numbers;
    bool has_main = false, on_heap = true;
    for (size_t i = 0; i < n; ++i) {
      const uint64_t address = word(heads, 8 * i);
      if (!aligned(address) || !in_heap(address)) return false;
      const Bytes bytes = read(address, g.size);
      if (bytes.empty()) return false;
      const uint64_t lo = field(bytes, g.stack_lo), hi = field(bytes, g.stack_hi);
      const uint64_t status = field(bytes, g.atomicstatus) & ~uint64_t{0x1000};
      const uint64_t goid = field(bytes, g.goid);
      if (status > 11 || lo > hi || hi - lo > (uint64_t{1} << 30) || goid >> 40 != 0) return false;
      has_main |= i == 0 && goid == 1;
      on_heap &= status == kDead || status == kExtraDead || (lo < hi && in_heap(lo));
      if (goid != 0) numbers.insert(goid);
    }
    return n > 0 && (has_main || (on_heap && numbers.size() == n));
  }

  bool find_allp() {
    return each_word([&](const Segment& segment, size_t at) {
      const Slice all = slice(segment.bytes, at);
      if (all.length < 1 || all.length > all.capacity || all.capacity > 4096 || !in_heap(all.data))
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
      if (!aligned(address) || !in_heap(address)) return false;
      const Bytes bytes = read(address, layout_.p.pcache_scav.offset + 8);
      if (bytes.empty() || field(bytes, layout_.p.id) != i || field(bytes, layout_.p.status) > 4)
        return false;
      const uint64_t mcache = field(bytes, layout_.p.mcache);
      if (!aligned(mcache) || !holds_span_classes(mcache)) return false;
    }
    return true;
  }

  // mcache.alloc: the span of class k at [k], or one that is always empty, which is a variable of the program.
  // A P may take another span during the reading; a layout that is off by one agrees with none.
  bool holds_span_classes(uint64_t mcache) {
    const Bytes spans = read(mcache + layout_.mcache.alloc.offset, 8 * kSpanClasses);
    if (spans.empty()) return false;
    size_t agree = 0, differ = 0;
    for (size_t k = 0; k < kSpanClasses; ++k) {
      const uint64_t span = word(spans, 8 * k);
      if (!aligned(span)) return false;
      if (found_.image.contains(span)) continue;
      const Bytes bytes = read(span, layout_.mspan.size);
      (field(bytes, layout_.mspan.spanclass) == k ? agree : differ) += 1;
    }
    return differ <= agree;
  }

  remote::RemoteMemory& memory_;
  const Layout& layout_;
  const Image& image_;
  Globals found_;
  std::vector<Segment> data_;
  std::vector<AddressRange> heap_;
};

}  // namespace

Result<Globals> find_globals(remote::RemoteMemory& memory, const Layout& layout, const Image& image) {
  return Finder(memory, layout, image).find();
}

Result<std::vector<AddressRange>> heap_ranges(remote::RemoteMemory& memory, const Layout& layout,
                                              uint64_t mheap) {
  Bytes header(24);
  if (Status status = memory.read(mheap + layout.mheap.pages_in_use.offset, header); !status)
    return std::move(status).error();
  const Slice in_use = slice(header, 0);
  if (in_use.length < 1 || in_use.length > in_use.capacity || in_use.length > kMostRanges)
    return not_found("heap");
  Result<std::vector<uint64_t>> words = remote::read_array<uint64_t>(memory, in_use.data, 2 * in_use.length);
  if (!words) return std::move(words).error();
  std::vector<AddressRange> out;
  for (size_t i = 0; i < words->size(); i += 2) {
    const AddressRange range = {(*words)[i], (*words)[i + 1]};
    const bool rising = out.empty() || out.back().end <= range.start;
    if (range.empty() || !rising || range.end > kHeapEnd || range.start % kChunkBytesGo != 0 ||
        range.end % kChunkBytesGo != 0)
      return not_found("heap");
    out.push_back(range);
  }
  return out;
}

bool in_any(const std::vector<AddressRange>& ranges, uint64_t address) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), address,
                                      [](uint64_t a, const AddressRange& range) { return a < range.start; });
  return after != ranges.begin() && std::prev(after)->contains(address);
}

Status each_part(remote::RemoteMemory& memory, const AddressRange& range,
                 const std::function<void(uint64_t, std::span<const std::byte>)>& visit) {
  Bytes bytes;
  for (uint64_t at = range.start; at < range.end; at += bytes.size()) {
    bytes.resize(std::min(range.end - at, kPartBytes - at % kPartBytes));
    Result<uint64_t> there = memory.read_present(at, bytes);
    if (!there) return std::move(there).error();
    if (*there != 0) visit(at, bytes);
  }
  return {};
}

}  // namespace memwhy::goruntime
