// SPDX-License-Identifier: Apache-2.0
// Which column of each list has which number in the file, and how it is predicted: the one list that the
// encoder and the decoder both walk. A column is called as c.column(number, field), as c.difference(number, field,
// predicted), as c.pages(number, field, base) where the field is an address, as c.listed(number, values, field) where
// few values come again and again, as c.run(counts, pages, page, count, predicted) where a run mostly follows the one
// before, or as c.clock(…) where three things are mostly as before. Numbers are never reused; a column that is missing in a file
// is all 0, so that columns can be added.
#pragma once

#include <optional>

#include "events/event.h"
#include "trace/calls.h"
#include "trace/fields.h"

namespace memwhy::trace {

template <typename Row>
constexpr uint32_t kColumns = 0;
template <>
inline constexpr uint32_t kColumns<events::ScanRun> = 3;
template <>
inline constexpr uint32_t kColumns<events::TableRun> = 7;
template <>
inline constexpr uint32_t kColumns<events::Vma> = 7;
template <>
inline constexpr uint32_t kColumns<events::Thread> = 3;
template <>
inline constexpr uint32_t kColumns<uint64_t> = 1;
template <>
inline constexpr uint32_t kColumns<events::RuntimeRun> = 6;
template <>
inline constexpr uint32_t kColumns<events::GoSizeClass> = 2;
template <>
inline constexpr uint32_t kColumns<events::AllocatorSize> = 2;

// `before` is the row before; {} for the first.
void row(auto&& c, Is<events::ScanRun> auto& r, const events::ScanRun& before) {
  c.difference(1, r.page, before.page + before.count);
  c.column(2, r.count);
  c.column(3, r.flags);
}
void row(auto&& c, Is<events::TableRun> auto& r, const events::TableRun& before) {
  c.run(1, 2, r.page, r.count, before.page + before.count);
  c.listed(3, 6, r.stack);
  c.listed(4, 7, r.tick);
  c.column(5, r.flags);
}
void row(auto&& c, Is<events::Thread> auto& r, const events::Thread& before) {
  c.difference(1, r.tid, static_cast<uint64_t>(static_cast<int64_t>(before.tid)));
  c.difference(2, r.stack_pointer, before.stack_pointer);
  c.difference(3, r.tls, before.tls);
}
void row(auto&& c, Is<uint64_t> auto& frame, const uint64_t& before) { c.difference(1, frame, before); }
void row(auto&& c, Is<events::RuntimeRun> auto& r, const events::RuntimeRun& before) {
  c.difference(1, r.page, before.page + before.count);
  c.column(2, r.count);
  c.column(3, r.use);
  c.column(4, r.live_bytes);
  c.column(5, r.dead_bytes);
  c.column(6, r.free_bytes);
}
void row(auto&& c, Is<events::GoSizeClass> auto& r, const events::GoSizeClass& before) {
  c.difference(1, r.object_bytes, before.object_bytes);
  c.column(2, r.objects);
}
void row(auto&& c, Is<events::AllocatorSize> auto& r, const events::AllocatorSize& before) {
  c.difference(1, r.chunk_bytes, before.chunk_bytes);
  c.column(2, r.bytes);
}
void row(auto&& c, Is<events::Vma> auto& r, const events::Vma& before) {
  c.pages(1, r.range.start, before.range.end);
  c.pages(2, r.range.end, r.range.start);
  c.bits(3, r.read, r.write, r.exec, r.shared, r.shmem, r.hugetlb);
  c.pages(4, r.offset, 0);
  c.column(5, r.device);
  c.column(6, r.inode);
  c.name(7, r.name);  // index into the list's names
}

// Calls of the mapping family share their columns: one stream over all five kinds, in the order of the events.
constexpr uint32_t kCallColumns = 19;

void shape(auto&& c, Is<CallShape> auto& s) {
  c.column(11, s.kind);
  c.column(12, s.space);
  c.column(13, s.tid);
  c.column(14, s.stack);
  c.column(15, s.prot);
  c.column(16, s.flags);
  c.column(17, s.fd);
  c.column(18, s.why);
  c.column(19, s.advice);
}
// What the next row is predicted from.
struct CallBefore {
  uint64_t tick = 0;
  PastCalls past;
  std::optional<uint64_t> near;  // the page of the first row without its low byte, where most others are near
};
// Column 1 has the shape: trace/calls.h. Columns 7 to 10 have rows of their kinds only.
void call(auto&& c, EventKind kind, Is<CallRow> auto& r, CallBefore& before) {
  const uint64_t back = c.clock(2, 6, 10, kind, r, before.tick, before.past);
  if (back == 0) c.near(3, 4, r.range.start, before.near);
  if (back == 0 || kind == EventKind::kVmaMapped) c.pages(5, r.range.end, r.range.start);
  if (back != 0) c.place(kind, back, r.range, before.past);
  if (kind == EventKind::kVmaMapped) c.column(7, r.offset);
  if (kind == EventKind::kVmaMoved) {
    c.pages(8, r.to.start, 0);
    c.pages(9, r.to.end, r.to.start);
  }
  before.tick = r.tick;
  before.past.add(kind, r.range);
}

}  // namespace memwhy::trace
