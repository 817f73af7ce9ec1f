// SPDX-License-Identifier: Apache-2.0
#include "allocators/hotspot_frames.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "allocators/hotspot_parts.h"
#include "allocators/module_data.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kMostHeaps = 16, kMostCode = uint64_t{4} << 30;
constexpr uint64_t kMostField = 160;  // of a header
constexpr int kMostHops = 4096;       // over the map of segments
constexpr uint8_t kFreeSegment = 0xff;
constexpr uint32_t kMostFrame = 128 << 10;  // bytes

template <typename T>
T at(std::span<const std::byte> bytes, uint64_t offset) {
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <typename T>
T number(HotspotVm& vm, std::optional<uint64_t> address) {
  T value{};
  return address && vm.memory().get(*address, value) ? value : T{};
}

AddressRange reserved(HotspotVm& vm, std::optional<uint64_t> space) {
  const auto low = vm.field(space.value_or(0), {"VirtualSpace::_low_boundary"}),
             high = vm.field(space.value_or(0), {"VirtualSpace::_high_boundary"});
  return low && high && *low < *high && *high - *low <= kMostCode && *high <= kMostAddress
             ? AddressRange{*low, *high}
             : AddressRange{};
}

}  // namespace

std::optional<HotspotTables> HotspotFrames::find_tables(HeapMemory& memory, const FileBytes& read_file) {
  for (const ModuleData& module : module_data(memory.vmas())) {
    if (!is_hotspot(module.name)) continue;
    auto tables = HotspotTables::find(memory, module.range, module.name, read_file);
    if (tables && HotspotFrames().read_layout(*tables)) return tables;
  }
  return std::nullopt;
}

std::optional<HotspotFrames> HotspotFrames::find(HeapMemory& memory, const HotspotTables& tables) {
  HotspotFrames found;
  return found.read_layout(tables) && found.read_heaps(memory, tables) ? std::optional(std::move(found))
                                                                       : std::nullopt;
}

bool HotspotFrames::read_layout(const HotspotTables& tables) {
  const auto length = tables.offset({"HeapBlock::Header::_length"}),
             used = tables.offset({"HeapBlock::Header::_used"}),
             complete = tables.offset({"CodeBlob::_frame_complete_offset"}),
             frame = tables.offset({"CodeBlob::_frame_size"});
  const auto begin = tables.offset({"CodeBlob::_code_begin"}), end = tables.offset({"CodeBlob::_code_end"}),
             begin_offset = tables.offset({"CodeBlob::_code_offset"}),
             end_offset = tables.offset({"CodeBlob::_data_offset"});
  const bool by_pointers = begin && end, by_offsets = begin_offset && end_offset;
  if (!length || !used || !complete || !frame || (!by_pointers && !by_offsets)) return false;
  layout_ = {*length, *used, 2 * *used, *complete, *frame, std::nullopt, std::nullopt, 0, 0};
  if (by_pointers) {
    layout_.begin = begin;
    layout_.end = end;
  } else {
    layout_.begin_offset = *begin_offset;
    layout_.end_offset = *end_offset;
  }
  // A length of 8 bytes or of 4, and the flag behind it: the header is twice as long.
  return (*used == 8 || *used == 4) && *length == 0 &&
         std::max({*complete, *frame, layout_.begin.value_or(0), layout_.end.value_or(0),
                   layout_.begin_offset, layout_.end_offset}) <= kMostField;
}

bool HotspotFrames::read_heaps(HeapMemory& memory, const HotspotTables& tables) {
  HotspotVm vm(memory, tables);
  const uint64_t list = vm.variable({"CodeCache::_heaps"}).value_or(0);
  const auto data = vm.field(list, {"GrowableArray<int>::_data"});
  const auto count =
      number<uint32_t>(vm, vm.place(list, {"GrowableArrayBase::_len", "GenericGrowableArray::_len"}));
  for (uint64_t i = 0; data && i < std::min<uint64_t>(count, kMostHeaps); ++i) {
    const uint64_t heap = vm.load(*data + 8 * i).value_or(0);
    CodeHeap one;
    one.code = reserved(vm, vm.place(heap, {"CodeHeap::_memory"}));
    one.segments = reserved(vm, vm.place(heap, {"CodeHeap::_segmap"})).start;
    one.shift = number<uint32_t>(vm, vm.place(heap, {"CodeHeap::_log2_segment_size"}));
    if (one.code.empty() || one.segments == 0 || one.shift < 4 || one.shift > 12) return false;
    heaps_.push_back(one);
  }
  const uint64_t stubs = vm.variable({"AbstractInterpreter::_code"}).value_or(0);
  const uint64_t from = vm.field(stubs, {"StubQueue::_stub_buffer"}).value_or(0);
  const auto bytes = number<uint32_t>(vm, vm.place(stubs, {"StubQueue::_buffer_limit"}));
  if (from != 0 && from < kMostAddress) interpreter_ = {from, from + bytes};
  return !heaps_.empty() && !interpreter_.empty();
}

// Where the block begins that an address is in. A byte of the map says how many segments to go back; 0 is a beginning.
std::optional<uint64_t> HotspotFrames::block_of(HeapMemory& memory, const CodeHeap& heap,
                                                uint64_t address) const {
  uint64_t segment = (address - heap.code.start) >> heap.shift;
  for (int hop = 0; hop < kMostHops; ++hop) {
    uint8_t back = 0;
    if (!memory.get(heap.segments + segment, back) || back == kFreeSegment || back > segment)
      return std::nullopt;
    if (back == 0) return heap.code.start + (segment << heap.shift);
    segment -= back;
  }
  return std::nullopt;
}

std::optional<HotspotFrames::Blob> HotspotFrames::blob(uint64_t block,
                                                       std::span<const std::byte> head) const {
  const auto heap =
      std::ranges::find_if(heaps_, [&](const CodeHeap& one) { return one.code.contains(block); });
  if (heap == heaps_.end() || at<uint8_t>(head, layout_.used) != 1) return std::nullopt;
  const uint64_t length =
      layout_.used == 8 ? at<uint64_t>(head, layout_.length) : at<uint32_t>(head, layout_.length);
  if (length == 0 || length > heap->code.bytes() >> heap->shift) return std::nullopt;
  Blob made{{block, std::min(heap->code.end, block + (length << heap->shift))}, {}, 0};
  const uint64_t start = block + layout_.header;
  const std::span<const std::byte> body = head.subspan(layout_.header);
  const uint64_t begin = layout_.begin ? at<uint64_t>(body, *layout_.begin)
                                       : start + at<uint32_t>(body, layout_.begin_offset),
                 end = layout_.end ? at<uint64_t>(body, *layout_.end)
                                   : start + at<uint32_t>(body, layout_.end_offset);
  // Later releases have two bytes for it, and not at a multiple of four.
  const int64_t complete =
      layout_.complete % 4 == 0 ? at<int32_t>(body, layout_.complete) : at<int16_t>(body, layout_.complete);
  const int64_t words = at<int32_t>(body, layout_.frame);
  if (begin < start || begin >= end || end > made.block.end) return std::nullopt;
  // Stubs have a frame that is never complete: what they push is not said, and they keep frame pointers.
  if (words < 2 || words * 8 > kMostFrame || complete < 0 || begin + static_cast<uint64_t>(complete) >= end)
    return made;
  made.code = {begin + static_cast<uint64_t>(complete), end};
  made.frame_bytes = static_cast<uint32_t>(words * 8);
  return made;
}

std::optional<HotspotFrames::Frame> HotspotFrames::frame(HeapMemory& memory, uint64_t address) {
  if (interpreter_.contains(address)) return Frame{Kind::kInterpreted, 0};
  auto found = blobs_.upper_bound(address);
  if (found == blobs_.end() || !found->second.block.contains(address)) {
    const auto heap =
        std::ranges::find_if(heaps_, [&](const CodeHeap& one) { return one.code.contains(address); });
    if (heap == heaps_.end()) return std::nullopt;
    const std::optional<uint64_t> block = block_of(memory, *heap, address);
    std::array<std::byte, kHead> head{};
    if (!block || !memory.read(*block, head)) return std::nullopt;
    const std::optional<Blob> read = blob(*block, head);
    if (!read || !read->block.contains(address)) return std::nullopt;
    if (blobs_.size() >= kMostBlobs) {
      blobs_.clear();
      forgot_ = true;
    }
    found = blobs_.insert_or_assign(read->block.end, *read).first;
  }
  const Blob& made = found->second;
  if (made.frame_bytes == 0) return Frame{};
  if (!made.code.contains(address)) return std::nullopt;
  return Frame{Kind::kCompiled, made.frame_bytes};
}

std::optional<std::vector<AddressRange>> HotspotFrames::gone(HeapMemory& memory) {
  std::vector<AddressRange> out;
  if (std::exchange(forgot_, false))
    for (const CodeHeap& heap : heaps_) out.push_back(heap.code);
  std::vector<std::array<std::byte, kHead>> heads(blobs_.size());
  std::vector<remote::Piece> pieces;
  for (const auto& [end, known] : blobs_)
    pieces.push_back({known.block.start, heads[pieces.size()], false, false});
  if (!memory.read_each(pieces)) return std::nullopt;
  size_t i = 0;
  std::erase_if(blobs_, [&](const auto& entry) {
    const Blob& known = entry.second;
    const size_t mine = i++;
    if (pieces[mine].there && blob(known.block.start, heads[mine]) == known) return false;
    out.push_back(known.block);
    return true;
  });
  return out;
}

}  // namespace memwhy::allocators
