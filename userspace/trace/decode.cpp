// SPDX-License-Identifier: Apache-2.0
// Bytes that anybody may have made to events: the visitors that read fields and columns. Every count is held
// against a budget of memory and against the bytes that are there.
#include <algorithm>
#include <optional>
#include <protozero/pbf_reader.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "trace/kinds.h"

namespace memwhy::trace {
namespace {

// Values that come again, decoded.
struct ListIn {
  std::vector<uint64_t> values;
  uint64_t last = 0;
};

struct ColumnsIn {
  std::span<ColumnReader> columns;
  std::span<const bool> present;
  const std::vector<std::string_view>& names;
  uint64_t& budget;
  bool& failed;
  std::array<ListIn, kMostListColumns>* lists = nullptr;

  uint64_t next(uint32_t number) const { return present[number - 1] ? columns[number - 1].next() : 0; }
  template <typename T>
  void column(uint32_t number, T& field) const {
    if (!from_wire(next(number), field)) failed = true;
  }
  template <typename T>
  void difference(uint32_t number, T& field, uint64_t predicted) const {
    if (!from_u64(predicted + unzigzag(next(number)), field)) failed = true;
  }
  void pages(uint32_t number, uint64_t& field, uint64_t base) const {
    field = base + from_pages(next(number));
  }
  void near(uint32_t low, uint32_t high, uint64_t& field, std::optional<uint64_t>& near) const {
    const uint64_t low_bits = next(low), page = unzigzag(next(high)) + near.value_or(0);
    if (low_bits > 0x7f) failed = true;
    field = from_pages(page << 7 | low_bits);
    if (!near) near = page;
  }
  template <typename T>
  void listed(uint32_t number, uint32_t values, T& field) const {
    ListIn& list = (*lists)[number - 1];
    const uint64_t code = next(number);
    while (list.values.size() < code && !columns[values - 1].at_end() && budget >= sizeof(uint64_t)) {
      budget -= sizeof(uint64_t);
      const uint64_t step = next(values);
      list.values.push_back(list.values.empty() ? step : list.values.back() - step);
    }
    if (code > list.values.size()) {
      failed = true;
      return;
    }
    if (code >= kListed) list.last = list.values[code - kListed];
    if (!from_u64(list.last, field)) failed = true;
  }
  void run(uint32_t counts, uint32_t pages, uint64_t& page, uint32_t& count, uint64_t predicted) const {
    const uint64_t word = next(counts);
    page = predicted + ((word & 1) != 0 ? unzigzag(next(pages)) : 0);
    if (!from_wire(word >> 1, count)) failed = true;
  }
  void place(EventKind kind, uint64_t back, AddressRange& range, const PastCalls& past) const {
    if (!past.place(kind, back, range)) failed = true;
  }
  uint64_t clock(uint32_t times, uint32_t ticks, uint32_t backs, EventKind kind, CallRow& row, uint64_t tick,
                 const PastCalls& /*past*/) const {
    const uint64_t word = next(times);
    const bool follows = (word & 2) != 0;
    if (!from_wire(word >> 2, row.later) || (follows && !PastCalls::refers(kind))) failed = true;
    row.tick = tick + ((word & 1) != 0 ? unzigzag(next(ticks)) : 0);
    return follows ? next(backs) : 0;
  }
  void bits(uint32_t number, auto&... field) const {
    uint64_t word = next(number);
    ((field = (word & 1) != 0, word >>= 1), ...);
    if (word != 0) failed = true;
  }
  void name(uint32_t number, std::string& field) const {
    const uint64_t index = next(number);
    if (index >= names.size() || names[index].size() > budget) {
      failed = true;
      return;
    }
    budget -= names[index].size();
    field = names[index];
  }
};

struct Zero {
  void operator()(uint32_t /*number*/, auto& field) const { field = {}; }
};

struct FieldReader {
  protozero::pbf_reader& in;
  uint64_t& budget;  // bytes that this event may still take
  bool& handled;
  bool& failed;

  void operator()(uint32_t number, auto& field) const {
    if (handled || in.tag() != number) return;
    handled = true;
    read(field);
  }

  template <typename T>
  static bool message(std::string_view bytes, T& out, uint64_t& budget) {
    fields(Zero{}, out);
    bool failed = false;
    protozero::pbf_reader in(bytes.data(), bytes.size());
    while (!failed && in.next()) {
      bool handled = false;
      fields(FieldReader{in, budget, handled, failed}, out);
      if (!handled) in.skip();
    }
    return !failed;
  }

 private:
  std::string_view bytes() const {
    if (in.wire_type() != protozero::pbf_wire_type::length_delimited) {
      failed = true;
      in.skip();
      return {};
    }
    const protozero::data_view view = in.get_view();
    return {view.data(), view.size()};
  }
  bool take(uint64_t wanted) const {
    if (wanted > budget) {
      failed = true;
      return false;
    }
    budget -= wanted;
    return true;
  }

  template <Number T>
  void read(T& field) const {
    if (in.wire_type() != protozero::pbf_wire_type::varint) {
      failed = true;
      in.skip();
    } else if (!from_wire(in.get_uint64(), field)) {
      failed = true;
    }
  }
  void read(std::string& field) const { field = bytes(); }
  void read(std::vector<std::string>& field) const {
    const std::string_view text = bytes();
    if (take(sizeof(std::string) + text.size())) field.emplace_back(text);
  }
  void read(std::optional<uint64_t>& field) const { read(field.emplace()); }
  template <typename T>
  void read(std::optional<T>& field) const {
    if (!message(bytes(), field.emplace(), budget)) failed = true;
  }
  void read(events::GoCounters& field) const {
    if (!message(bytes(), field, budget)) failed = true;
  }
  template <typename T>
  void read(std::vector<T>& field) const {
    const std::string_view element = bytes();
    if (take(sizeof(T)) && !message(element, field.emplace_back(), budget)) failed = true;
  }
  template <Row T>
  void read(std::vector<T>& rows) const {
    const std::string_view message_bytes = bytes();
    std::array<ColumnReader, kMostListColumns> columns;
    std::array<bool, kMostListColumns> present{};
    std::vector<std::string_view> names;
    protozero::pbf_reader sub(message_bytes.data(), message_bytes.size());
    while (sub.next()) {
      const uint32_t number = sub.tag();
      const bool known = number <= kColumns<T> || number == kNames;
      if (!known || sub.wire_type() != protozero::pbf_wire_type::length_delimited) {
        sub.skip();
        continue;
      }
      const protozero::data_view view = sub.get_view();
      if (number == kNames) {
        if (take(sizeof(std::string_view))) names.emplace_back(view.data(), view.size());
      } else {
        columns[number - 1] = ColumnReader({view.data(), view.size()});
        present[number - 1] = true;
      }
      if (failed) return;
    }
    const size_t count = columns[0].count_left();
    if (count > budget / sizeof(T) || (std::same_as<T, uint64_t> && count > kMostFrames)) {
      failed = true;
      return;
    }
    budget -= count * sizeof(T);
    rows.clear();
    rows.reserve(count);
    std::array<ListIn, kMostListColumns> lists;
    const ColumnsIn source{columns, present, names, budget, failed, &lists};
    const T none{};
    for (size_t i = 0; i < count && !failed; ++i) {
      T& r = rows.emplace_back();
      row(source, r, i == 0 ? none : rows[i - 1]);
    }
    for (uint32_t i = 0; i < kColumns<T>; ++i) failed |= columns[i].failed() || !columns[i].at_end();
  }
};

// What no recorder writes, although it fits the fields.
bool plausible(const auto& /*message*/) { return true; }
bool plausible(const events::Stack& stack) { return stack.frames.size() <= kMostStackFrames; }
bool plausible(const events::RuntimePages& pages) {
  return pages.uses.size() <= events::kMostUses &&
         std::all_of(pages.runs.begin(), pages.runs.end(),
                     [&](const events::RuntimeRun& run) { return run.use < pages.uses.size(); });
}

template <size_t... I>
bool decode_kind(size_t index, std::string_view bytes, events::Payload& payload, std::index_sequence<I...>) {
  bool decoded = false;
  const auto attempt = [&]<typename T>(T&& message) {
    if constexpr (!Call<std::remove_reference_t<T>>) {
      uint64_t budget = kMaxDecodedBytes;
      decoded = FieldReader::message(bytes, message, budget) && plausible(message);
      payload = std::forward<T>(message);
    }
  };
  ((index == I ? attempt(std::tuple_element_t<I, Kinds>{}) : void()), ...);
  return decoded;
}

constexpr auto kAllKinds = std::make_index_sequence<kLastEventKind>{};

}  // namespace

bool decode_message(EventKind kind, std::string_view bytes, events::Payload& payload) {
  try {  // protozero says by exceptions that bytes are not protobuf
    return decode_kind(static_cast<size_t>(kind) - 1, bytes, payload, kAllKinds);
  } catch (const protozero::exception&) {
    return false;
  }
}

bool decode_end(std::string_view bytes, End& end) {
  try {
    uint64_t budget = kMaxDecodedBytes;
    return FieldReader::message(bytes, end, budget);
  } catch (const protozero::exception&) {
    return false;
  }
}

bool CallReader::open(std::string_view message) {
  try {
    protozero::pbf_reader in(message.data(), message.size());
    while (in.next()) {
      const uint32_t number = in.tag();  // before the view: reading a field ends it
      if (number > kCallColumns || in.wire_type() != protozero::pbf_wire_type::length_delimited) {
        in.skip();
        continue;
      }
      const protozero::data_view view = in.get_view();
      columns_[number - 1] = ColumnReader({view.data(), view.size()});
      present_[number - 1] = true;
    }
    return true;
  } catch (const protozero::exception&) {
    return false;
  }
}

bool CallReader::next(events::Payload& payload, int64_t& later) {
  static const std::vector<std::string_view> kNoNames;
  uint64_t budget = 0;
  bool failed = false;
  const ColumnsIn source{columns_, present_, kNoNames, budget, failed};
  const uint64_t code = source.next(1);
  if (code == kNew) {
    if (shapes_.size() >= kMostShapes) return false;
    shape(source, last_);
    shapes_.push_back(last_);
  } else if (code >= kKnown) {
    if (code - kKnown >= shapes_.size()) return false;
    last_ = shapes_[code - kKnown];
  }
  CallRow row;
  call(source, last_.kind, row, before_);
  for (const ColumnReader& column : columns_) failed |= column.failed();
  later = row.later;
  return !failed && join_call(last_, row, payload);
}

bool CallReader::at_end() const {
  bool end = true;
  for (const ColumnReader& column : columns_) end &= column.at_end();
  return end;
}

}  // namespace memwhy::trace
