// SPDX-License-Identifier: Apache-2.0
// The payload of a kEvents chunk: message Events, a second of events in their order.
//
//   kind    1 2 2 17 7 7 0 0 0 …              one number for each event; 0: a call of the mapping family
//   time    +0 +0 +0 +812044 …                of each message, ns since the event before it
//   message RecordingInfo, ClockAnchor, …     for each event that is no call, in the order of `kind`
//   calls   columns, their time among them    one row for each event that is a call
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "events/event.h"
#include "trace/messages.h"

namespace memwhy::trace {

class BatchWriter {
 public:
  // The message of an event that is no call, valid until the next call of encode(); nullopt: above the limits
  // of the format.
  std::optional<std::string_view> encode(const events::Event& event);
  void add_message(EventKind kind, TimeNs time, std::string_view message);
  void add_call(const events::Event& event);

  uint32_t count() const { return count_; }
  size_t bytes() const { return kinds_.size() + times_.size() + messages_.size() + calls_.bytes(); }
  TimeNs time_first() const { return time_first_; }  // of the event that came first
  TimeNs time_min() const { return time_min_; }
  TimeNs time_max() const { return time_max_; }
  // message Events, then empty again.
  void finish(std::string& out);

 private:
  void stamp(TimeNs time);

  std::string kinds_, times_, messages_, scratch_;
  CallWriter calls_;
  uint32_t count_ = 0;
  TimeNs time_first_ = 0, time_last_ = 0, time_min_ = 0, time_max_ = 0;
};

struct BatchTotals {
  uint64_t events = 0, unknown = 0;
  std::array<uint64_t, kLastEventKind + 1> events_of{}, bytes_of{};
  uint64_t call_bytes = 0;
};

// Gives each event to `emit`. The error says what is malformed; the events before it were given.
// `time_min` is of the chunk's header: the base of the first time.
Status read_batch(std::string_view raw, TimeNs time_min, uint32_t count, BatchTotals& totals,
                  const std::function<void(const events::Event&)>& emit);

}  // namespace memwhy::trace
