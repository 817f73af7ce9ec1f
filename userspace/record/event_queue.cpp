// SPDX-License-Identifier: Apache-2.0
#include "record/event_queue.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>
#include <variant>

#include "events/visit.h"

namespace memwhy::record {
namespace {

constexpr size_t kTakenAtOnce = 4096;

template <typename T>
size_t heap_bytes(const std::vector<T>& values) {
  return values.capacity() * sizeof(T);
}

}  // namespace

size_t bytes_of(const events::Event& event) {
  using namespace events;
  const auto with_text = [](const auto& values, auto bytes_of_one) {
    size_t bytes = heap_bytes(values);
    for (const auto& value : values) bytes += bytes_of_one(value);
    return bytes;
  };
  size_t tail = 0;  // a list that can be long, and what hangs on its elements
  std::visit(
      Overloaded{
          [&](const PageScan& e) { tail = heap_bytes(e.runs); },
          [&](const PageTableRuns& e) { tail = heap_bytes(e.runs); },
          [&](const VmaList& e) { tail = with_text(e.vmas, [](const Vma& vma) { return vma.name.size(); }); },
          [&](const RuntimePages& e) { tail = heap_bytes(e.runs) + heap_bytes(e.tables); },
          [&](const GoProfile& e) {
            tail = with_text(e.buckets, [](const GoBucket& bucket) { return heap_bytes(bucket.stack); });
          },
          [&](const GoGoroutines& e) {
            tail = with_text(e.groups, [](const GoGroup& group) {
              return heap_bytes(group.frames) + heap_bytes(group.large);
            });
          },
          [&](const AllocatorHeap& e) { tail = heap_bytes(e.sizes); },
          [&](const Stack& e) { tail = heap_bytes(e.frames); },
          [&](const ThreadList& e) { tail = heap_bytes(e.threads); },
          [&](const SymbolInfo& e) {
            tail = with_text(
                e.frames, [](const SourceFrame& frame) { return frame.function.size() + frame.file.size(); });
          },
          LeaveAlone<RecordingInfo, ClockAnchor, HookReport, Coverage, RecordingEnd, BinaryInfo, SpaceStart,
                     SpaceEnd, ProcessExit, OomVictim, Counters, VmaMapped, VmaUnmapped, VmaAdvised, VmaMoved,
                     HeapGrown, Loss, GoStatistics, GoReading, GoCall, CgroupMemory, AllocationCall>{}},
      event.payload);
  return sizeof(Event) + sizeof(uint64_t) * 4 + tail;
}

void EventQueue::insert(events::Event event, size_t size) {
  uint32_t slot = 0;
  const TimeNs time = event.time;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.push_back(std::move(event));
    sizes_.push_back(size);
  } else {
    slot = free_.back();
    free_.pop_back();
    slots_[slot] = std::move(event);
    sizes_[slot] = size;
  }
  used_ += size;
  heap_.push_back({time, sequence_++, slot});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  // The sink sleeps until the front is old enough; only a new front or pressure changes that.
  if (heap_.front().slot == slot || used_ * 2 > limit_) arrived_.notify_one();
}

bool EventQueue::try_push(events::Event event) {
  const size_t size = bytes_of(event);
  const std::lock_guard lock(mutex_);
  if (closed_ || used_ + size > limit_) return false;
  insert(std::move(event), size);
  return true;
}

void EventQueue::push(events::Event event) {
  const size_t size = bytes_of(event);
  std::unique_lock lock(mutex_);
  room_.wait(lock, [&] { return closed_ || used_ == 0 || used_ + size <= limit_ / 4 * 3; });
  if (!closed_) insert(std::move(event), size);
}

bool EventQueue::ready(TimeNs now) const {
  if (heap_.empty()) return false;
  return closed_ || used_ * 2 > limit_ || heap_.front().time + window_ <= now;
}

bool EventQueue::take_locked(TimeNs now, std::vector<events::Event>& out) {
  out.clear();
  size_t left = used_;
  while (!heap_.empty() && out.size() < kTakenAtOnce) {
    if (!closed_ && left * 2 <= limit_ && heap_.front().time + window_ > now) break;
    const uint32_t slot = heap_.front().slot;
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    out.push_back(std::move(slots_[slot]));
    slots_[slot] = {};
    free_.push_back(slot);
    taken_ += sizes_[slot];
    left -= sizes_[slot];
  }
  return !out.empty() || !closed_;
}

bool EventQueue::take(TimeNs now, std::vector<events::Event>& out) {
  const std::lock_guard lock(mutex_);
  return take_locked(now, out);
}

bool EventQueue::wait_and_take(Clock& clock, std::vector<events::Event>& out) {
  std::unique_lock lock(mutex_);
  while (!closed_ && !woken_ && !ready(clock.now())) {
    const TimeNs deadline = heap_.empty() ? clock.now() + 10 * window_ : heap_.front().time + window_;
    clock.wait(lock, arrived_, deadline);
  }
  woken_ = false;
  return take_locked(clock.now(), out);
}

void EventQueue::wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  arrived_.notify_all();
}

void EventQueue::done() {
  const std::lock_guard lock(mutex_);
  used_ -= taken_;
  taken_ = 0;
  room_.notify_all();
}

void EventQueue::close(events::Event last) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) insert(std::move(last), 0);
  }
  close();
}

void EventQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  room_.notify_all();
  arrived_.notify_all();
}

size_t EventQueue::bytes() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

}  // namespace memwhy::record
