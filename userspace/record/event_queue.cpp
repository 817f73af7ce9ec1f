// SPDX-License-Identifier: Apache-2.0
#include "record/event_queue.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <type_traits>
#include <utility>

namespace memwhy::record {
namespace {

constexpr size_t kTakenAtOnce = 4096;

template <typename T>
size_t heap_bytes(const std::vector<T>& values) {
  return values.capacity() * sizeof(T);
}

}  // namespace

size_t bytes_of(const events::Event& event) {
  const size_t tail = std::visit(
      [](const auto& payload) -> size_t {
        using T = std::decay_t<decltype(payload)>;
        if constexpr (std::is_same_v<T, events::PageScan> || std::is_same_v<T, events::PageTableRuns>) {
          return heap_bytes(payload.runs);
        } else if constexpr (std::is_same_v<T, events::VmaList>) {
          size_t bytes = heap_bytes(payload.vmas);
          for (const events::Vma& vma : payload.vmas) bytes += vma.name.size();
          return bytes;
        } else if constexpr (std::is_same_v<T, events::GoHeap>) {
          return heap_bytes(payload.runs);
        } else if constexpr (std::is_same_v<T, events::GoProfile>) {
          size_t bytes = heap_bytes(payload.buckets);
          for (const events::GoBucket& bucket : payload.buckets) bytes += heap_bytes(bucket.stack);
          return bytes;
        } else if constexpr (std::is_same_v<T, events::GoGoroutines>) {
          size_t bytes = heap_bytes(payload.groups);
          for (const events::GoGroup& group : payload.groups)
            bytes += heap_bytes(group.frames) + heap_bytes(group.large);
          return bytes;
        } else if constexpr (std::is_same_v<T, events::Stack>) {
          return heap_bytes(payload.frames);
        } else if constexpr (std::is_same_v<T, events::ThreadList>) {
          return heap_bytes(payload.threads);
        } else if constexpr (std::is_same_v<T, events::SymbolInfo>) {
          size_t bytes = heap_bytes(payload.frames);
          for (const auto& frame : payload.frames) bytes += frame.function.size() + frame.file.size();
          return bytes;
        } else {
          return 0;
        }
      },
      event.payload);
  return sizeof(events::Event) + sizeof(uint64_t) * 4 + tail;
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
