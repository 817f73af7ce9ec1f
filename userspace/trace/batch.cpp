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

enum Field : uint32_t { kKind = 1, kTime = 2, kMessage = 3, kCalls = 4 };

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
  stamp(kind, time);
}

void BatchWriter::add_call(const events::Event& event) {
  calls_.add(event.payload);
  stamp(kind_of(event.payload), event.time);
}

void BatchWriter::stamp(EventKind kind, TimeNs time) {
  append_varint(kinds_, static_cast<uint64_t>(kind));
  if (count_ == 0) {
    time_first_ = time_min_ = time_max_ = time;
  } else {
    append_varint(times_, zigzag(time - time_last_));
    time_min_ = std::min(time_min_, time);
    time_max_ = std::max(time_max_, time);
  }
  time_last_ = time;
  ++count_;
}

void BatchWriter::finish(std::string& out) {
  out.clear();
  protozero::pbf_writer writer(out);
  writer.add_bytes(kKind, kinds_);
  std::string first_time;
  append_varint(first_time, zigzag(time_first_ - time_min_));
  writer.add_bytes(kTime, first_time + times_);
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
    ColumnReader kinds, times;
    CallReader calls;
    protozero::pbf_reader outer(raw.data(), raw.size());
    while (outer.next()) {
      if (outer.wire_type() != protozero::pbf_wire_type::length_delimited) {
        outer.skip();
        continue;
      }
      const uint32_t field = outer.tag();
      const std::string_view bytes = view_of(outer);
      if (field == kKind) kinds = ColumnReader(bytes);
      if (field == kTime) times = ColumnReader(bytes);
      if (field == kCalls) {
        if (!calls.open(bytes)) return malformed("its calls are not readable");
        totals.call_bytes += bytes.size();
      }
    }
    protozero::pbf_reader messages(raw.data(), raw.size());
    events::Event event;
    event.time = time_min;
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t number = kinds.next();
      event.time += times.next_difference();
      if (kinds.failed() || times.failed() || number == 0)
        return malformed("fewer events than its header says");
      const auto kind = static_cast<EventKind>(number);
      if (number <= kLastEventKind && is_call(kind)) {
        if (!calls.next(kind, event.payload)) return malformed("a call is not readable");
      } else {
        if (!messages.next(kMessage, protozero::pbf_wire_type::length_delimited)) {
          return malformed("fewer messages than its kinds say");
        }
        const std::string_view bytes = view_of(messages);
        if (number > kLastEventKind) {
          ++totals.unknown;
          continue;
        }
        if (!decode_message(kind, bytes, event.payload)) {
          return Error(ErrorCode::kBadInput, fmt::format("a {} is not readable", kind_name(kind)));
        }
        totals.bytes_of[number] += bytes.size();
      }
      ++totals.events;
      ++totals.events_of[number];
      emit(event);
    }
    if (!kinds.at_end()) return malformed("more events than its header says");
    return {};
  } catch (const protozero::exception&) {
    return malformed("its message is not readable");
  }
}

}  // namespace memwhy::trace
