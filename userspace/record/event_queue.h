// SPDX-License-Identifier: Apache-2.0
// EventQueue: where the events of several threads become one sequence in order of their own time.
//
// Bounded by bytes. An event stays for `window` after its time, because another thread may still bring an
// older one; when half of the room is taken, the oldest leave early. The sampler waits for room (and leaves a
// quarter of it free), intake never waits: its caller counts what had no room.
//
//   pushed    intake {81.204 mmap}  sampler {81.199 VMA list} {81.210 scan}  intake {81.207 munmap}
//   taken     at 82.199: VMA list, at 82.204: mmap, at 82.207: munmap, at 82.210: scan
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "events/event.h"
#include "record/clock.h"

namespace memwhy::record {

// About what an event takes in memory.
size_t bytes_of(const events::Event& event);

class EventQueue {
 public:
  EventQueue(size_t bytes, TimeNs window) : limit_(bytes), window_(window) {}

  // false: no room, and the event was not taken.
  bool try_push(events::Event event);
  // Waits until a quarter of the room would still be free, or until nothing is in it.
  void push(events::Event event);

  // Moves to `out` what may leave at `now`, in order; false: nothing will come any more.
  bool take(TimeNs now, std::vector<events::Event>& out);
  // As take, but waits for at least one event, the end, or a wake().
  bool wait_and_take(Clock& clock, std::vector<events::Event>& out);
  // Wakes the thread that waits for events, once.
  void wake();
  // The events taken last were handed on: their room is free again.
  void done();

  // No more pushes; what is in it leaves at once, then `last`, for which there is always room.
  void close(events::Event last);
  // The same without a last event: the reader is gone.
  void close();

  size_t bytes() const;

 private:
  struct Key {
    TimeNs time;
    uint64_t sequence;  // equal times keep the order in which they came
    uint32_t slot;
    bool operator>(const Key& other) const {
      return time != other.time ? time > other.time : sequence > other.sequence;
    }
  };
  bool ready(TimeNs now) const;
  bool take_locked(TimeNs now, std::vector<events::Event>& out);
  void insert(events::Event event, size_t size);

  mutable std::mutex mutex_;
  std::condition_variable room_, arrived_;
  std::vector<Key> heap_;
  std::vector<events::Event> slots_;
  std::vector<size_t> sizes_;  // of slots_
  std::vector<uint32_t> free_;
  const size_t limit_;
  const TimeNs window_;
  size_t used_ = 0;   // in the heap and taken but not done
  size_t taken_ = 0;  // of used_, taken and not done
  uint64_t sequence_ = 0;
  bool closed_ = false, woken_ = false;
};

}  // namespace memwhy::record
