// SPDX-License-Identifier: Apache-2.0
// Which column of each list has which number in the file, and how it is predicted: the one list that the
// encoder and the decoder both walk. A column is called as c.column(number, field), or as
// c.difference(number, field, predicted). Numbers are never reused; a column that is missing in a file is all
// 0, so that columns can be added.
#pragma once

#include "events/event.h"
#include "trace/fields.h"

namespace memwhy::trace {

template <typename Row>
constexpr uint32_t kColumns = 0;
template <>
inline constexpr uint32_t kColumns<events::ScanRun> = 3;
template <>
inline constexpr uint32_t kColumns<events::TableRun> = 5;
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
  c.difference(1, r.page, before.page + before.count);
  c.column(2, r.count);
  c.difference(3, r.stack, static_cast<uint64_t>(before.stack));
  c.difference(4, r.tick, before.tick);
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
  c.difference(1, r.range.start, before.range.end);
  c.difference(2, r.range.end, r.range.start);
  c.bits(3, r.read, r.write, r.exec, r.shared, r.shmem, r.hugetlb);
  c.column(4, r.offset);
  c.column(5, r.device);
  c.column(6, r.inode);
  c.name(7, r.name);  // index into the list's names
}

// Calls of the mapping family share their columns: one stream over all five kinds, in the order of the
// events.
struct CallBefore {
  uint64_t start = 0, stack = 0, tick = 0;
};
constexpr uint32_t kCallColumns = 14;

void call_common(auto&& c, auto& r, auto& range, CallBefore& before) {
  c.column(1, r.space);
  c.column(2, r.tid);
  c.difference(3, range.start, before.start);
  c.difference(4, range.end, range.start);
  c.difference(5, r.stack, before.stack);
  c.difference(6, r.tick, before.tick);
  before = {range.start, static_cast<uint64_t>(r.stack), r.tick};
}
void call(auto&& c, Is<events::VmaMapped> auto& r, CallBefore& before) {
  call_common(c, r, r.range, before);
  c.column(7, r.prot);
  c.column(8, r.flags);
  c.column(9, r.fd);
  c.column(10, r.offset);
}
void call(auto&& c, Is<events::VmaUnmapped> auto& r, CallBefore& before) {
  call_common(c, r, r.range, before);
  c.column(11, r.why);
  c.column(12, r.advice);
}
void call(auto&& c, Is<events::VmaAdvised> auto& r, CallBefore& before) {
  call_common(c, r, r.range, before);
  c.column(12, r.advice);
}
void call(auto&& c, Is<events::VmaMoved> auto& r, CallBefore& before) {
  call_common(c, r, r.from, before);
  c.difference(13, r.to.start, r.from.start);
  c.difference(14, r.to.end, r.to.start);
}
void call(auto&& c, Is<events::HeapGrown> auto& r, CallBefore& before) { call_common(c, r, r.range, before); }

}  // namespace memwhy::trace
