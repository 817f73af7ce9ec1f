// SPDX-License-Identifier: Apache-2.0
#include "trace/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <type_traits>
#include <variant>
#include <vector>

#include "trace/kinds.h"

namespace memwhy::trace {
namespace {

enum Field : uint32_t { kKind = 1, kTime = 2, kMessage = 3, kCalls = 4, kFirst = 5 };

constexpr uint64_t kCall = 0;  // in the column of kinds: the next row of calls

// Room for the columns beside the messages, and for the tags.
constexpr size_t kMostMessageBytes = kMaxRawBytes - (8u << 20);

// What the lists of an event take in memory when it is read again: all of its fields are walked, so that none is forgotten.
struct DecodedBytes {
  uint64_t& sum;

  void operator()(uint32_t /*number*/, const Number auto& /*field*/) const {}
  void operator()(uint32_t /*number*/, const std::string& text) const { sum += text.size(); }
  void operator()(uint32_t /*number*/, const std::vector<std::string>& texts) const {
    for (const std::string& text : texts) sum += sizeof text + text.size();
  }
  void operator()(uint32_t /*number*/, const std::optional<uint64_t>& /*field*/) const {}
  template <typename T>
  void operator()(uint32_t /*number*/, const std::optional<T>& field) const {
    if (field) fields(*this, *field);
  }
  void operator()(uint32_t /*number*/, const events::GoCounters& /*field*/) const {}
  template <typename T>
  void operator()(uint32_t /*number*/, const std::vector<T>& list) const {
    sum += list.size() * sizeof(T);
    if constexpr (std::same_as<T, events::Vma>) {
      for (const events::Vma& vma : list) sum += vma.name.size() + sizeof(std::string_view);
    } else if constexpr (!Row<T>) {
      for (const T& element : list) fields(*this, element);
    }
  }
};
uint64_t decoded_bytes(const events::Payload& payload) {
  uint64_t sum = 0;
  std::visit(
      [&](const auto& event) {
        if constexpr (!Call<std::remove_cvref_t<decltype(event)>>) fields(DecodedBytes{sum}, event);
      },
      payload);
  return sum;
}

std::string_view view_of(protozero::pbf_reader& in) {
  const protozero::data_view view = in.get_view();
  return {view.data(), view.size()};
}

// What stands beside the messages.
struct Columns {
  ColumnReader kinds, times;
  CallReader calls;
  uint64_t first = 0;

  bool open(std::string_view raw, BatchTotals& totals) {
    protozero::pbf_reader in(raw.data(), raw.size());
    while (in.next()) {
      const uint32_t field = in.tag();
      if (field == kFirst && in.wire_type() == protozero::pbf_wire_type::varint) {
        first = in.get_uint64();
        continue;
      }
      if (in.wire_type() != protozero::pbf_wire_type::length_delimited) {
        in.skip();
        continue;
      }
      const std::string_view bytes = view_of(in);
      if (field == kKind) kinds = ColumnReader(bytes);
      if (field == kTime) times = ColumnReader(bytes);
      if (field == kCalls) {
        if (!calls.open(bytes)) return false;
        totals.call_bytes += bytes.size();
      }
    }
    return true;
  }
};

Error malformed(const char* what) { return {ErrorCode::kBadInput, what}; }

}  // namespace

std::optional<std::string_view> BatchWriter::encode(const events::Event& event) {
  if (decoded_bytes(event.payload) > kMaxDecodedBytes) return std::nullopt;
  scratch_.clear();
  encode_message(event.payload, scratch_);
  if (scratch_.size() > kMostMessageBytes) return std::nullopt;
  return scratch_;
}

void BatchWriter::add_message(EventKind kind, TimeNs time, std::string_view message) {
  protozero::pbf_writer(messages_).add_bytes(kMessage, message.data(), message.size());
  append_varint(kinds_, static_cast<uint64_t>(kind));
  append_varint(times_, zigzag(count_ == 0 ? 0 : time - time_last_));
  stamp(time);
}

void BatchWriter::add_call(const events::Event& event) {
  constexpr auto kStep = static_cast<int64_t>(kCallTimeStep);
  const int64_t later = count_ == 0 ? 0 : static_cast<int64_t>(event.time - time_last_) / kStep;
  calls_.add(event.payload, later);
  append_varint(kinds_, kCall);
  stamp(count_ == 0 ? event.time : time_last_ + static_cast<uint64_t>(later * kStep));
}

// `time`: as it is stored.
void BatchWriter::stamp(TimeNs time) {
  if (count_ == 0) time_first_ = time_min_ = time_max_ = time;
  time_min_ = std::min(time_min_, time);
  time_max_ = std::max(time_max_, time);
  time_last_ = time;
  ++count_;
}

void BatchWriter::finish(std::string& out) {
  out.clear();
  protozero::pbf_writer writer(out);
  writer.add_bytes(kKind, kinds_);
  if (!times_.empty()) writer.add_bytes(kTime, times_);
  if (time_first_ != time_min_) writer.add_uint64(kFirst, time_first_ - time_min_);
  out += messages_;
  if (!calls_.empty()) {
    std::string calls;
    calls_.finish(calls);
    writer.add_bytes(kCalls, calls);
  }
  kinds_.clear();
  times_.clear();
  messages_.clear();
  count_ = 0;
}

Status read_batch(std::string_view raw, TimeNs time_min, uint32_t count, BatchTotals& totals,
                  const std::function<void(const events::Event&)>& emit) {
  try {  // protozero says by exceptions that bytes are not protobuf
    Columns columns;
    if (!columns.open(raw, totals)) return malformed("its calls are not readable");
    protozero::pbf_reader messages(raw.data(), raw.size());
    events::Event event;
    event.time = time_min + columns.first;
    for (uint32_t i = 0; i < count; ++i) {
      uint64_t number = columns.kinds.next();
      if (columns.kinds.failed()) return malformed("fewer events than its header says");
      if (number == kCall) {
        int64_t later = 0;
        if (!columns.calls.next(event.payload, later)) return malformed("a call is not readable");
        event.time += static_cast<uint64_t>(later) * kCallTimeStep;
        number = static_cast<uint64_t>(kind_of(event.payload));
      } else {
        event.time += columns.times.next_difference();
        if (columns.times.failed() || !messages.next(kMessage, protozero::pbf_wire_type::length_delimited)) {
          return malformed("fewer messages than its kinds say");
        }
        const std::string_view bytes = view_of(messages);
        if (number > kLastEventKind) {
          ++totals.unknown;
          continue;
        }
        const auto kind = static_cast<EventKind>(number);
        if (!decode_message(kind, bytes, event.payload)) {
          return Error(ErrorCode::kBadInput, fmt::format("a {} is not readable", kind_name(kind)));
        }
        totals.bytes_of[number] += bytes.size();
      }
      ++totals.events;
      ++totals.events_of[number];
      emit(event);
    }
    if (!columns.kinds.at_end()) return malformed("more events than its header says");
    return {};
  } catch (const protozero::exception&) {
    return malformed("its message is not readable");
  }
}

}  // namespace memwhy::trace
