// SPDX-License-Identifier: Apache-2.0
#include "goruntime/heap_walk.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "base/ids.h"
#include "goruntime/buckets.h"
#include "goruntime/words.h"

namespace memwhy::goruntime {
namespace {

constexpr uint64_t kBlockBytes = 1 << 20,
                   kPieceBytes = 64 << 10;      // of an object, before the next
constexpr uint64_t kMostStackBytes = 1 << 30;   // the runtime's own limit; more is damage
constexpr uint64_t kMostRootBytes = 256 << 20;  // as Globals::roots
constexpr size_t kMostBitmapBytes = kMostHeapBitsBytes / 8 / 8 + 1;  // it may begin within a byte
constexpr size_t kCachedPages = 2048;                                // 8 MiB
constexpr int kSwissMapsSince = 24;
constexpr size_t kMostAhead = 256;  // objects of the queue

}  // namespace

HeapWalk::HeapWalk(remote::RemoteMemory& memory, const Globals& globals, SpanTable& spans,
                   const GoroutineList& list, const ReachBudget& budget)
    : memory_(memory),
      globals_(globals),
      spans_(spans.spans),
      list_(list),
      budget_(budget),
      cache_(kCachedPages),
      maps_(memory, globals),
      most_objects_(budget.objects),
      most_bytes_(budget.read_bytes) {
  take_out_scheduler(spans);
}

const Span* HeapWalk::any_span_of(uint64_t address) const {
  const auto after = std::upper_bound(spans_.begin(), spans_.end(), address,
                                      [](uint64_t value, const Span& span) { return value < span.address; });
  if (after == spans_.begin()) return nullptr;
  const Span& span = *std::prev(after);
  return address - span.address < span.bytes() ? &span : nullptr;
}

const Span* HeapWalk::span_of(uint64_t address) const {
  const Span* span = any_span_of(address);
  const bool object = span != nullptr && span->kind == SpanKind::kObjects &&
                      address - span->address < span->elements * span->element_bytes;
  return object ? span : nullptr;
}

bool HeapWalk::object_of(uint64_t address, Object& out) const {
  const Span* span = span_of(address);
  if (span == nullptr) return false;
  const uint64_t slot = (address - span->address) / span->element_bytes;
  if ((span->allocated_bits()[slot / 64] >> (slot % 64) & 1) == 0) return false;
  out = {span->address + slot * span->element_bytes, span};
  return true;
}

// They reach everything.
void HeapWalk::take_out_scheduler(SpanTable& spans) {
  take_out(spans, list_.all);
  take_out(spans, list_.threads);
  take_out(spans, std::span(&list_.list, 1));
  if (Bytes header(24); globals_.allp && memory_.read(*globals_.allp, header)) {
    const Slice all = slice(header, 0);
    if (const Result<std::vector<uint64_t>> every =
            remote::read_array<uint64_t>(memory_, all.data, std::min<uint64_t>(all.length, 4096)))
      take_out(spans, *every);
  }
}

// Of one reading of moduledata, ranges and masks: gcdatamask and gcbssmask are {n int32; bits pointer}, known by their
// lengths, one right after the other. Empty: not found, or not resident.
std::vector<HeapWalk::Root> HeapWalk::masked_roots() {
  const auto& m = globals_.layout->moduledata;
  Bytes bytes(m.size);
  if (!memory_.read(globals_.moduledata, bytes)) return {};
  std::vector<Root> roots(2);
  roots[0].range = {field(bytes, m.data), field(bytes, m.edata)};
  roots[1].range = {field(bytes, m.bss), field(bytes, m.ebss)};
  for (const Root& root : roots) {
    if (root.range.bytes() > kMostRootBytes) finished_ = false;
    if (root.range.bytes() < 8 || root.range.bytes() > kMostRootBytes) return {};
  }
  const uint64_t data = roots[0].range.bytes() / 8, bss = roots[1].range.bytes() / 8;
  for (uint32_t at = 0; at + 32 <= m.size; at += 8) {
    if (field(bytes, {at, 4}) != data || field(bytes, {at + 16, 4}) != bss) continue;
    for (const uint32_t i : {0, 1}) {
      auto bits = remote::read_array<uint8_t>(memory_, word(bytes, at + 16 * i + 8),
                                              (roots[i].range.bytes() / 8 + 7) / 8);
      if (!bits) return {};
      roots[i].mask = std::move(*bits);
    }
    return roots;
  }
  return {};
}

// In blocks, each with the words next to it that beside() looks at.
void HeapWalk::each_masked_word(const Root& root, const TakeWord& take) {
  constexpr size_t kBlock = kBlockBytes / 8, kBefore = 2, kAfter = 1;
  const size_t words = root.range.bytes() / 8, masked = std::min(words, root.mask.size() * 8);
  bool any = false;
  for (size_t first = 0; first < masked && !exhausted(); first += kBlock) {
    const size_t from = first - std::min(first, kBefore), end = std::min(masked, first + kBlock);
    block_.resize(8 * (std::min(words, end + kAfter) - from));
    if (!read_block(root.range.start + 8 * from, block_)) continue;
    any = true;
    for (size_t i = first; i < end; ++i)
      if ((root.mask[i / 8] >> (i % 8) & 1) != 0) take(root.range.start + 8 * i, 8 * (i - from));
  }
  if (!any) finished_ = false;  // what they keep is unknown
}

void HeapWalk::each_root_word(const TakeWord& take) {
  const std::vector<Root> roots = masked_roots();
  for (const Root& root : roots) each_masked_word(root, take);
  if (!roots.empty()) return;
  // By word. The heap's own variable contains addresses, such as where the heap begins, but no objects.
  const AddressRange heap = {globals_.mheap, globals_.mheap + globals_.layout->mheap.size};
  for (const AddressRange& range : globals_.roots) {
    const bool inside = range.contains(heap.start) && heap.end <= range.end;
    each_word({range.start, inside ? heap.start : range.end}, take);
    if (inside) each_word({heap.end, range.end}, take);
  }
}

void HeapWalk::scan_variables(const std::function<Color(uint64_t)>& color_of) {
  each_root_word([&](uint64_t address, size_t at) {
    const uint64_t value = word(block_, at);
    if (in_heap(value)) refer(value, color_of(address), beside(at));
  });
}

void HeapWalk::each_variable_word(const std::function<void(uint64_t, uint64_t)>& take) {
  each_root_word([&](uint64_t address, size_t at) { take(address, word(block_, at)); });
}

void HeapWalk::scan_goroutines(Members which, Color color) {
  while (!which.empty() && !exhausted()) {
    const size_t n = maps_.prefetch(list_.goroutines, which);
    for (const uint32_t i : which.first(n)) scan_goroutine(list_.goroutines[i], color);
    which = which.subspan(n);
  }
}

void HeapWalk::scan_goroutine(const Goroutine& goroutine, Color color) {
  if (goroutine.stack().empty() || goroutine.stack().bytes() > kMostStackBytes) return;
  const bool known =
      list_.kind_of(goroutine).status != GoroutineStatus::kRunning && goroutine.used_bytes != 0;
  if (known) {
    if (const std::optional<std::vector<uint64_t>> live = maps_.live_words(goroutine)) {
      bytes_read_ += goroutine.used_bytes;
      ++stacks_by_map_;
      for (const uint64_t value : *live) visit(value, color);
      return;
    }
  }
  ++stacks_by_word_;
  const AddressRange live = {known ? goroutine.stack_pointer() & ~uint64_t{7} : goroutine.stack().start,
                             goroutine.stack().end};
  each_word(live, [&](uint64_t, size_t at) { refer(word(block_, at), color, beside(at)); });
}

// Whether an object begins with the bounds of a stack: a goroutine's g, also one that is in no list (those of
// threads). The upper bound is the address of what happens to follow the stack, and no pointer.
bool HeapWalk::is_goroutine(const Bytes& object) const {
  const uint64_t low = word(object, 0), high = word(object, 8);
  if (object.size() < globals_.layout->g.size || high <= low || !std::has_single_bit(high - low))
    return false;
  const Span* span = any_span_of(low);
  return span != nullptr && span->kind == SpanKind::kStack && high <= span->address + span->bytes();
}

// false: nothing of it is resident.
bool HeapWalk::read_block(uint64_t address, std::span<std::byte> into) {
  Result<uint64_t> there = memory_.read_present(address, into);
  if (!there) return false;
  bytes_read_ += *there;
  bytes_absent_ += into.size() - *there;
  return *there != 0;
}

// Small objects that point at each other are often neighbours: their pages are kept for a while.
bool HeapWalk::copy_small(uint64_t address, std::span<std::byte> into) {
  bool any = false;
  for (size_t done = 0; done < into.size();) {
    const uint64_t at = address + done, number = at >> kPageShift, inside = at % kPageBytes;
    CachedPage& page = cached(number);
    if (page.number != number) {
      page.number = number;
      page.bytes.resize(kPageBytes);
      page.any = read_block(number << kPageShift, page.bytes);
    }
    const size_t n = std::min<size_t>(into.size() - done, kPageBytes - inside);
    std::memcpy(into.data() + done, page.bytes.data() + inside, n);
    any = any || page.any;
    done += n;
  }
  return any;
}

// Another process reads for us (files/memory_reader.h): to ask it for each page alone takes longer than all else, above all where
// the CPUs have other work. So the small objects that are looked through next are asked for together, and their bitmaps.
void HeapWalk::read_ahead() {
  ++aheads_;
  std::vector<remote::Piece> pieces;
  std::vector<CachedPage*> pages;
  const auto want = [&](uint64_t address, uint64_t bytes) {
    for (uint64_t number = address >> kPageShift; number <= (address + bytes - 1) >> kPageShift; ++number) {
      CachedPage& page = cached(number);
      if (page.number == number || page.ahead == aheads_) continue;
      page.number = number;
      page.ahead = aheads_;
      page.bytes.resize(kPageBytes);
      pages.push_back(&page);
      pieces.push_back({number << kPageShift, page.bytes, false, false});
    }
  };
  for (size_t i = 0; i < std::min(work_.size(), kMostAhead); ++i) {
    const Object object = object_of(work_[i]);
    if (object.bytes() > kPageBytes) continue;
    want(object.address, object.bytes());
    if (const uint64_t bitmap = pointer_bitmap(globals_, *object.span); bitmap != 0)
      want(bitmap, object.span->address + object.span->bytes() - bitmap);
  }
  static_cast<void>(memory_.read_each(pieces));
  for (size_t i = 0; i < pages.size(); ++i) {
    CachedPage& page = *pages[i];
    page.any = pieces[i].there;
    (page.any ? bytes_read_ : bytes_absent_) += kPageBytes;
    if (!page.any) page.bytes.assign(kPageBytes, std::byte{0});
  }
}

// Every word of a range, in blocks.
void HeapWalk::each_word(AddressRange range, const TakeWord& take) {
  for (uint64_t at = range.start; at < range.end && !exhausted(); at += block_.size()) {
    block_.resize(std::min(range.end - at, kBlockBytes));
    if (!read_block(at, block_)) continue;
    for (size_t i = 0; i + 8 <= block_.size(); i += 8) take(at + i, i);
  }
}

HeapWalk::Object HeapWalk::object_of(const Work& work) const {
  const Span& span = spans_[work.span];
  return {span.address + work.slot * span.element_bytes, &span};
}

void HeapWalk::step() {
  Work work = work_.front();
  const Object object = object_of(work);
  const uint64_t page = object.address >> kPageShift;
  if (object.bytes() <= kPageBytes && cached(page).number != page) read_ahead();
  work_.pop_front();
  const uint64_t bytes = object.span->element_bytes, done = work.pieces * kPieceBytes,
                 at = object.address + done;
  block_.resize(std::min(bytes - done, kPieceBytes));
  const bool any = bytes <= kPageBytes ? copy_small(at, block_) : read_block(at, block_);
  if (any && done == 0 && is_goroutine(block_)) return;
  ++work.pieces;
  if (bytes - done > kPieceBytes) work_.push_back(work);
  if (any && !visit_pointers(object, work.color)) visit_block(work.color);
}

// Of a small object: the words that the collector reads. The rest of a slot after its object is left over from others.
// false: there is no bitmap of these.
bool HeapWalk::visit_pointers(const Object& object, Color color) {
  const uint64_t bitmap = pointer_bitmap(globals_, *object.span);
  if (bitmap == 0) return false;
  const uint64_t first = (object.address - object.span->address) / 8;
  std::array<std::byte, kMostBitmapBytes> bits;
  const std::span<std::byte> used(bits.data(), (first % 8 + block_.size() / 8 + 7) / 8);
  if (!copy_small(bitmap + first / 8, used)) return false;
  for (size_t i = 0; i + 8 <= block_.size(); i += 8) {
    const size_t bit = first % 8 + i / 8;
    if ((used[bit / 8] >> (bit % 8) & std::byte{1}) != std::byte{0}) refer(word(block_, i), color, beside(i));
  }
  return true;
}

void HeapWalk::visit_block(Color color) {
  for (size_t i = 0; i + 8 <= block_.size(); i += 8) refer(word(block_, i), color, beside(i));
}

// What follows the word at `at` of the block; nullptr: nothing, or it is not needed. A table of a map looks like a slice, with a
// mask for a length; but it has twice its number of slots.
//
//   {used 16 bits, capacity 16 bits, …} {index} {groups} {capacity / 8 - 1}
const HeapWalk::Beside* HeapWalk::beside(size_t at) {
  if (least_pin_bytes_ == 0 || at + 16 > block_.size()) return nullptr;
  beside_ = {word(block_, at + 8), {}};
  if (globals_.layout->minor < kSwissMapsSince || at < 16) return &beside_;
  const uint64_t head = word(block_, at - 16), used = head & 0xffff, capacity = head >> 16 & 0xffff;
  if (std::has_single_bit(capacity) && used <= capacity && capacity == 8 * (beside_.length + 1))
    beside_.groups = {static_cast<uint32_t>(used), static_cast<uint32_t>(capacity)};
  return &beside_;
}

void HeapWalk::refer(uint64_t value, Color color, const Beside* beside) {
  if (!in_heap(value)) return;
  Object object;
  if (!object_of(value, object)) return;
  if (beside != nullptr && beside->groups.slots != 0 && value == object.address)
    map_groups_[object.address] = beside->groups;
  if (least_pin_bytes_ != 0 && object.span->noscan && object.bytes() >= least_pin_bytes_)
    note_pin(object, value, beside);
  const ColorTable::Meeting meeting = seen_.meet(object.address, color);
  if (meeting == ColorTable::Meeting::kKnown || object.span->noscan) return;
  if (meeting == ColorTable::Meeting::kNowShared) color = kShared;  // and so is what it reaches
  const uint64_t slot = (object.address - object.span->address) / object.span->element_bytes;
  work_.push_back({static_cast<uint32_t>(object.span - spans_.data()), static_cast<uint32_t>(slot), color});
}

// If the next word is no length within the rest of the object, the pointer counts as one to all of that.
void HeapWalk::note_pin(const Object& object, uint64_t value, const Beside* beside) {
  Pin& pin = pins_[object.address];
  const uint64_t left = object.bytes() - (value - object.address);
  if (beside == nullptr || beside->length == 0 || beside->length > left || beside->groups.slots != 0)
    pin.whole = true;
  else
    pin.used += beside->length;
}

void HeapWalk::drain() {
  while (!work_.empty() && !exhausted()) step();
  work_.clear();
}

bool HeapWalk::exhausted() {
  if (seen_.size() < most_objects_ && bytes_read_ < most_bytes_ && bytes_absent_ < budget_.absent_bytes &&
      memory_.step(1))
    return false;
  finished_ = false;
  return true;
}

void HeapWalk::allow_more(uint64_t objects, uint64_t bytes) {
  most_objects_ = std::max<uint64_t>(most_objects_, seen_.size()) + objects;
  most_bytes_ = std::max(most_bytes_, bytes_read_) + bytes;
}

std::vector<uint64_t> HeapWalk::allocated_at(uint64_t object) const {
  return allocation_stack(memory_, *globals_.layout, *span_of(object), object);
}

}  // namespace memwhy::goruntime
