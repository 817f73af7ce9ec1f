// SPDX-License-Identifier: Apache-2.0
#include "support/event_script_allocator.h"

#include <fmt/format.h>

#include <utility>

namespace memwhy::testing {
namespace {

using events::AllocatorHeap;

constexpr std::pair<const char*, uint64_t AllocatorHeap::*> kNumbers[] = {
    {"age", &AllocatorHeap::age_ns},
    {"arenas", &AllocatorHeap::arenas},
    {"unread", &AllocatorHeap::unread_arenas},
    {"system", &AllocatorHeap::system_bytes},
    {"used", &AllocatorHeap::used_bytes},
    {"trimmable", &AllocatorHeap::trimmable_bytes},
    {"huge", &AllocatorHeap::trimmable_huge_bytes},
    {"pinned", &AllocatorHeap::pinned_bytes},
    {"top", &AllocatorHeap::top_bytes},
    {"cached", &AllocatorHeap::cached_bytes},
    {"beside_main", &AllocatorHeap::free_beside_main_bytes},
    {"large_free", &AllocatorHeap::large_free_bytes},
    {"mapped", &AllocatorHeap::mapped_bytes},
    {"chunks", &AllocatorHeap::mapped_chunks},
    {"caches", &AllocatorHeap::caches},
    {"unknown", &AllocatorHeap::unknown_bytes},
    {"arena_max", &AllocatorHeap::arena_max},
    {"mmap_threshold", &AllocatorHeap::mmap_threshold},
    {"trim_threshold", &AllocatorHeap::trim_threshold},
    {"collections", &AllocatorHeap::collections},
    {"collection_interval_ms", &AllocatorHeap::collection_interval_ms}};

}  // namespace

AllocatorHeap parse_allocator_heap(Words& w, uint64_t scan) {
  AllocatorHeap heap;
  heap.space = w.space();
  heap.scan = w.number("n", scan);
  heap.problem = w.text("problem");
  heap.collector = w.text("collector");
  heap.thresholds_fixed = w.flag("fixed");
  heap.pretouched = w.flag("pretouched");
  for (const auto& [name, member] : kNumbers) heap.*member = w.number(name);
  while (auto size = w.named("size")) {
    const auto parts = split(*size, ':');
    if (parts.size() != 2) w.fail("a size is CHUNK_BYTES:BYTES");
    heap.sizes.push_back({w.to_number(parts[0]), w.to_number(parts[1])});
  }
  heap.allocator = w.next("allocator");
  return heap;
}

std::string format_allocator_heap(const AllocatorHeap& e) {
  std::string text =
      fmt::format("allocator-heap {} {} n={}", static_cast<uint32_t>(e.space), e.allocator, e.scan);
  if (!e.problem.empty()) text += " problem=\"" + e.problem + "\"";
  if (!e.collector.empty()) text += " collector=\"" + e.collector + "\"";
  if (e.thresholds_fixed) text += " fixed";
  if (e.pretouched) text += " pretouched";
  for (const auto& [name, member] : kNumbers)
    if (e.*member != 0) text += fmt::format(" {}={}", name, e.*member);
  for (const events::AllocatorSize& size : e.sizes)
    text += fmt::format(" size={}:{}", size.chunk_bytes, size.bytes);
  return text;
}

}  // namespace memwhy::testing
