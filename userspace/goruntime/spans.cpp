// SPDX-License-Identifier: Apache-2.0
#include "goruntime/spans.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "goruntime/geometry.h"
#include "goruntime/words.h"
#include "remote/page_reader.h"

namespace memwhy::goruntime {

namespace {

using Bytes = std::vector<std::byte>;
using remote::PageReader;

constexpr uint32_t kWorkBufferPages = 4;  // mgcwork.go workbufAlloc
constexpr uint64_t kInlineMarkBytes =
    128;  // mgcmark_greenteagc.go spanInlineMarkBits, at the end of the span
constexpr uint64_t kInlineMarksOffset = 64;  // of its marks
constexpr uint64_t kInlineMarkSlots = 63 * 8;
constexpr int kHeapBitsSince = 22;
constexpr uint64_t kHeapBitsBytes =
    kGoPageBytes / 64;  // mbitmap.go spanHeapBitsRange: before the inline marks
constexpr uint64_t kMostElements = kGoPageBytes * 8;
constexpr size_t kPart = 8192;  // spans whose structures are read together

bool marks_inline(const Globals& globals, const Span& span) {
  return globals.green_tea && !span.large && span.element_bytes >= 16 &&
         span.element_bytes <= kMostHeapBitsBytes && span.pages == 1 && span.elements <= kInlineMarkSlots;
}

uint64_t count(std::span<const uint64_t> bits) {
  uint64_t n = 0;
  for (const uint64_t word : bits) n += static_cast<uint64_t>(std::popcount(word));
  return n;
}

class SpanReader {
 public:
  SpanReader(remote::RemoteMemory& memory, const Globals& globals)
      : memory_(memory),
        layout_(*globals.layout),
        globals_(globals),
        reader_(memory),
        struct_(used_bytes(globals.layout->mspan)) {}

  Result<SpanTable> read(const HeapPages& pages) {
    Result<uint32_t> generation =
        remote::read_value<uint32_t>(memory_, globals_.mheap + layout_.mheap.sweepgen.offset);
    if (!generation) return std::move(generation).error();
    sweep_generation_ = *generation;
    SpanTable table;
    read_structs(pages, table);
    read_bits(table);
    for (const Span& span : table.spans) table.in_motion += span.kind == SpanKind::kInMotion ? 1 : 0;
    return table;
  }

 private:
  struct BitAddresses {
    uint64_t allocated = 0, marks = 0;
  };
  struct Bits {
    std::vector<uint64_t> words;
    bool there = true;  // false: a page of them is not resident; zeros
  };

  // Up to the last field that is read here, all written when a span is made. What follows may lie in the next page,
  // and that may not be there yet.
  static size_t used_bytes(const decltype(Layout::mspan)& m) {
    size_t end = 0;
    for (const Field field : {m.start_addr, m.npages, m.freeindex, m.nelems, m.alloc_bits, m.gcmark_bits,
                              m.sweepgen, m.alloc_count, m.spanclass, m.state, m.elemsize, m.specials})
      end = std::max<size_t>(end, field.offset + field.bytes);
    return end;
  }

  // Indexes of all, in order of what each says of one: so parts of them are read one after the other, and no page twice.
  template <typename AddressOf>
  static std::vector<uint32_t> in_order(size_t n, const AddressOf& address_of) {
    std::vector<uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return address_of(a) < address_of(b); });
    return order;
  }
  template <typename Part>
  static void by_parts(std::span<const uint32_t> order, const Part& part) {
    for (; !order.empty(); order = order.subspan(std::min(order.size(), kPart)))
      part(order.first(std::min(order.size(), kPart)));
  }

  void read_structs(const HeapPages& pages, SpanTable& table) {
    std::vector<const PageRun*> runs;
    for (const PageRun& run : pages.runs)
      if (run.span != 0) runs.push_back(&run);
    table.spans.resize(runs.size());
    addresses_.resize(runs.size());
    by_parts(in_order(runs.size(), [&](uint32_t i) { return runs[i]->span; }),
             [&](std::span<const uint32_t> part) {
               std::vector<uint64_t> wanted;
               for (const uint32_t i : part) PageReader::add(wanted, runs[i]->span, struct_.size());
               reader_.clear();
               reader_.prefetch(std::move(wanted));
               for (const uint32_t i : part) table.spans[i] = read_one(*runs[i], addresses_[i]);
             });
  }

  // One that there is no share for stays in motion.
  Span read_one(const PageRun& run, BitAddresses& bits) {
    const auto& m = layout_.mspan;
    Span span;
    span.address = run.address;
    span.pages = run.pages;
    if (!memory_.keep(sizeof(Span) + sizeof(BitAddresses))) return span;
    if (!reader_.copy(run.span, struct_)) return span;
    const std::span<const std::byte> bytes = struct_;
    const uint64_t state = field(bytes, m.state), elements = field(bytes, m.nelems);
    const uint64_t element_bytes = field(bytes, m.elemsize), spanclass = field(bytes, m.spanclass);
    const bool objects = run.page_class == PageClass::kHeapSpan;
    if (field(bytes, m.start_addr) != run.address || field(bytes, m.npages) != run.pages ||
        state != (objects ? 1 : 2))
      return span;
    span.element_bytes = element_bytes;
    span.specials = field(bytes, m.specials);
    if (!objects) {
      const bool stack = element_bytes != 0;
      span.kind = stack                           ? SpanKind::kStack
                  : run.pages == kWorkBufferPages ? SpanKind::kWorkBuffer
                                                  : SpanKind::kOther;
      return span;
    }
    const uint64_t allocated = field(bytes, m.alloc_count), free_index = field(bytes, m.freeindex);
    // The quotient: the product of two numbers of the target may wrap.
    if (element_bytes == 0 || elements == 0 || elements > kMostElements ||
        element_bytes > span.bytes() / elements || allocated > elements || free_index > elements)
      return span;
    span.kind = SpanKind::kObjects;
    span.noscan = (spanclass & 1) != 0;
    span.large = spanclass >> 1 == 0;
    span.elements = static_cast<uint32_t>(elements);
    span.allocated = static_cast<uint32_t>(allocated);
    span.free_index = static_cast<uint32_t>(free_index);
    // Unswept: generation h-2, being swept h-1, or cached over the collection h+1.
    const auto behind =
        static_cast<int32_t>(static_cast<uint32_t>(field(bytes, m.sweepgen)) - sweep_generation_);
    span.swept = behind == 0 || behind == 3;
    bits = {field(bytes, m.alloc_bits), field(bytes, m.gcmark_bits)};
    return span;
  }

  // Where the marks of the last complete collection are: allocBits once swept (the sweep made them so).
  uint64_t marks_of(const Span& span, const BitAddresses& at) const {
    if (span.swept) return at.allocated;
    return marks_inline(globals_, span) ? span.address + span.bytes() - kInlineMarkBytes + kInlineMarksOffset
                                        : at.marks;
  }

  void read_bits(SpanTable& table) {
    by_parts(in_order(table.spans.size(), [&](uint32_t i) { return addresses_[i].allocated; }),
             [&](std::span<const uint32_t> part) { read_bits(table, part); });
  }

  void read_bits(SpanTable& table, std::span<const uint32_t> part) {
    std::vector<uint64_t> wanted;
    for (const uint32_t i : part) {
      Span& span = table.spans[i];
      if (span.kind != SpanKind::kObjects) continue;
      const uint64_t bytes = (span.elements + 7) / 8;
      if (!memory_.keep(2 * bytes)) {
        span.kind = SpanKind::kInMotion;
        continue;
      }
      PageReader::add(wanted, addresses_[i].allocated, bytes);
      if (!span.swept) PageReader::add(wanted, marks_of(span, addresses_[i]), bytes);
    }
    reader_.clear();
    reader_.prefetch(std::move(wanted));
    for (const uint32_t i : part) {
      Span& span = table.spans[i];
      if (span.kind != SpanKind::kObjects) continue;
      Bits taken = bitmap(addresses_[i].allocated, span.elements);
      Bits marks = span.swept ? taken : bitmap(marks_of(span, addresses_[i]), span.elements);
      // Taken: every slot below freeindex, and above it by the bits.
      std::fill_n(taken.words.begin(), span.free_index / 64, ~uint64_t{0});
      if (span.free_index % 64 != 0)
        taken.words[span.free_index / 64] |= (uint64_t{1} << (span.free_index % 64)) - 1;
      // A page of bits that was never written is not resident and means zeros. One that was swapped out looks the
      // same: the span's own count of what is taken decides. Marks have no such count.
      if ((!taken.there && count(taken.words) != span.allocated) || (!span.swept && !marks.there)) {
        span.kind = SpanKind::kInMotion;
        continue;
      }
      for (size_t k = 0; k < marks.words.size(); ++k) marks.words[k] &= taken.words[k];
      span.bits.reserve(2 * taken.words.size());
      span.bits.insert(span.bits.end(), taken.words.begin(), taken.words.end());
      span.bits.insert(span.bits.end(), marks.words.begin(), marks.words.end());
    }
  }

  Bits bitmap(uint64_t address, uint32_t elements) {
    Bits bits{std::vector<uint64_t>((elements + 63) / 64)};
    bits.there =
        reader_.copy(address, std::as_writable_bytes(std::span(bits.words)).first((elements + 7) / 8));
    if (elements % 64 != 0) bits.words.back() &= (uint64_t{1} << (elements % 64)) - 1;
    return bits;
  }

  remote::RemoteMemory& memory_;
  const Layout& layout_;
  const Globals& globals_;
  PageReader reader_;  // of the part at hand
  Bytes struct_;       // the mspan at hand
  uint32_t sweep_generation_ = 0;
  std::vector<BitAddresses> addresses_;  // of each span of the table
};

bool bit(std::span<const uint64_t> bits, uint64_t i) { return (bits[i / 64] >> (i % 64) & 1) != 0; }

}  // namespace

Result<SpanTable> read_spans(remote::RemoteMemory& memory, const Globals& globals, const HeapPages& pages) {
  return SpanReader(memory, globals).read(pages);
}

void take_out(SpanTable& spans, std::span<const uint64_t> addresses) {
  auto span = spans.spans.begin();
  for (const uint64_t address : addresses) {
    const auto holds = [&] { return address - span->address < span->bytes(); };
    if (span == spans.spans.end() || !holds()) {  // most often the next one is in the same span
      span = std::upper_bound(spans.spans.begin(), spans.spans.end(), address,
                              [](uint64_t value, const Span& each) { return value < each.address; });
      if (span == spans.spans.begin() || (--span, !holds())) continue;
    }
    if (span->kind != SpanKind::kObjects) continue;
    const uint64_t slot = (address - span->address) / span->element_bytes;
    if (slot < span->elements) span->allocated_bits()[slot / 64] &= ~(uint64_t{1} << slot % 64);
  }
}

uint64_t pointer_bitmap(const Globals& globals, const Span& span) {
  if (globals.layout->minor < kHeapBitsSince || span.kind != SpanKind::kObjects || span.noscan ||
      span.large || span.pages != 1 || span.element_bytes == 0 || span.element_bytes > kMostHeapBitsBytes)
    return 0;
  const uint64_t reserved = kHeapBitsBytes + (marks_inline(globals, span) ? kInlineMarkBytes : 0);
  return span.elements == (span.bytes() - reserved) / span.element_bytes
             ? span.address + span.bytes() - reserved
             : 0;
}

Occupancy occupancy(const Span& span, uint64_t from, uint64_t to) {
  Occupancy out;
  if (from <= span.address && to >= span.address + span.bytes()) {  // whole: no slot is cut
    out.live_bytes = count(span.marks()) * span.element_bytes;
    out.unmarked_bytes = count(span.allocated_bits()) * span.element_bytes - out.live_bytes;
    out.free_bytes = span.bytes() - out.live_bytes - out.unmarked_bytes;
    return out;
  }
  const uint64_t objects_end = span.address + span.elements * span.element_bytes;
  uint64_t slot = (from - span.address) / span.element_bytes;
  for (uint64_t at = from; at < to && at < objects_end; ++slot) {
    const uint64_t end = std::min(to, span.address + (slot + 1) * span.element_bytes);
    if (bit(span.marks(), slot))
      out.live_bytes += end - at;
    else if (bit(span.allocated_bits(), slot))
      out.unmarked_bytes += end - at;
    at = end;
  }
  out.free_bytes = to - from - out.live_bytes - out.unmarked_bytes;
  return out;
}

}  // namespace memwhy::goruntime
