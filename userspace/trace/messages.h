// SPDX-License-Identifier: Apache-2.0
// One event as bytes and back. Two shapes: a call of the mapping family is a row of shared columns (there may
// be 100,000 a second), everything else is a protobuf message of its own.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "events/event.h"
#include "trace/calls.h"
#include "trace/format.h"
#include "trace/rows.h"

namespace memwhy::trace {

// Frames of one stack, and of a sample or goroutine of a Go program; a list that claims more is damage.
constexpr size_t kMostStackFrames = 128, kMostFrames = 1024;
// What one event may take in memory when decoded; an event above it is neither written nor read.
constexpr uint64_t kMaxDecodedBytes = uint64_t{1} << 30;

EventKind kind_of(const events::Payload& payload);
std::string_view kind_name(EventKind kind);  // "PageTableRuns"; "kind 77" is the caller's
constexpr bool is_call(EventKind kind) {
  return kind >= EventKind::kVmaMapped && kind <= EventKind::kHeapGrown;
}

// Precondition: not a call. Appends to `out`.
void encode_message(const events::Payload& payload, std::string& out);
// false: malformed, or `kind` is a call or unknown.
bool decode_message(EventKind kind, std::string_view bytes, events::Payload& payload);

void encode_end(const End& end, std::string& out);
bool decode_end(std::string_view bytes, End& end);

// Message Calls: rows, and the shapes that they have.
class CallWriter {
 public:
  // Precondition: a call. `later`: in steps of kCallTimeStep, than the event before.
  void add(const events::Payload& payload, int64_t later);
  bool empty() const { return columns_[0].empty(); }
  size_t bytes() const { return bytes_; }
  void finish(std::string& out);  // the message, then empty again

 private:
  std::array<std::string, kCallColumns> columns_;
  struct Known {
    CallShape shape;
    uint32_t next;  // which one came after it the last time: calls come in turn
  };
  uint64_t code_of(const CallShape& now);

  std::vector<Known> shapes_;
  std::unordered_map<CallShape, uint32_t, CallHash> numbers_;
  uint32_t last_ = 0;
  CallBefore before_;
  size_t bytes_ = 0;
};

class CallReader {
 public:
  // false: not a message Calls.
  bool open(std::string_view message);
  bool next(events::Payload& payload, int64_t& later);
  bool at_end() const;  // every column is used up

 private:
  std::array<ColumnReader, kCallColumns> columns_;
  std::array<bool, kCallColumns> present_{};
  std::vector<CallShape> shapes_;
  CallShape last_;
  CallBefore before_;
};

}  // namespace memwhy::trace
