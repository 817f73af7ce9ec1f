// SPDX-License-Identifier: Apache-2.0
// Events to bytes: the visitors that write fields and columns.
#include <algorithm>
#include <functional>
#include <optional>
#include <protozero/pbf_writer.hpp>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "trace/kinds.h"

namespace memwhy::trace {
namespace {

constexpr std::array<std::string_view, kLastEventKind + 1> kKindNames = {"",
                                                                         "RecordingInfo",
                                                                         "ClockAnchor",
                                                                         "HookReport",
                                                                         "Coverage",
                                                                         "RecordingEnd",
                                                                         "BinaryInfo",
                                                                         "SymbolInfo",
                                                                         "SpaceStart",
                                                                         "SpaceEnd",
                                                                         "ProcessExit",
                                                                         "OomVictim",
                                                                         "ThreadList",
                                                                         "Counters",
                                                                         "VmaList",
                                                                         "PageScan",
                                                                         "PageTableRuns",
                                                                         "Stack",
                                                                         "VmaMapped",
                                                                         "VmaUnmapped",
                                                                         "VmaAdvised",
                                                                         "VmaMoved",
                                                                         "HeapGrown",
                                                                         "Loss",
                                                                         "GoStatistics",
                                                                         "GoReading",
                                                                         "GoProfile",
                                                                         "GoGoroutines",
                                                                         "GoCall",
                                                                         "RuntimePages",
                                                                         "AllocatorHeap",
                                                                         "CgroupMemory",
                                                                         "AllocationCall"};

// Values that come again: gathered from all rows, then listed, then encoded.
class ListOut {
 public:
  void gather(uint64_t value) {
    if (value == std::exchange(last_, value)) return;
    if (recent_.empty()) recent_.resize(kSlots);
    Recent& recent = recent_[slot_of(value)];
    if (recent.code != 0 && recent.value == value) return;
    recent = {value, kListed};
    values_.push_back(value);
  }
  void list(std::string& column) {
    std::sort(values_.begin(), values_.end(), std::greater());
    values_.erase(std::unique(values_.begin(), values_.end()), values_.end());
    for (size_t i = 0; i < values_.size(); ++i)
      append_varint(column, i == 0 ? values_[i] : values_[i - 1] - values_[i]);
    last_ = 0;
    recent_.assign(kSlots, {});
  }
  uint64_t code(uint64_t value) {
    if (value == std::exchange(last_, value)) return kSame;
    Recent& recent = recent_[slot_of(value)];
    if (recent.code == 0 || recent.value != value) {
      const auto found = std::lower_bound(values_.begin(), values_.end(), value, std::greater());
      recent = {value, kListed + static_cast<uint64_t>(found - values_.begin())};
    }
    return recent.code;
  }

 private:
  // Few values are most of a column: what was met last in each slot, so that they are sorted and searched for once.
  struct Recent {
    uint64_t value = 0, code = 0;  // 0: nothing was met
  };
  static constexpr size_t kSlots = 256;
  static size_t slot_of(uint64_t value) { return value * 0x9e3779b97f4a7c15 >> 56; }

  std::vector<Recent> recent_;
  std::vector<uint64_t> values_;
  uint64_t last_ = 0;
};
using Lists = std::array<ListOut, kMostListColumns>;

// The walk before the rows are written.
struct Gather {
  Lists& lists;
  std::span<std::string> columns;
  bool then_list;

  void listed(uint32_t number, uint32_t values, const auto& field) const {
    if (then_list)
      lists[number - 1].list(columns[values - 1]);
    else
      lists[number - 1].gather(as_u64(field));
  }
  void column(auto&&... /*other*/) const {}
  void run(auto&&... /*other*/) const {}
};

struct ColumnsOut {
  std::span<std::string> columns;
  std::unordered_map<std::string_view, uint64_t>* names = nullptr;
  std::vector<std::string_view>* names_in_order = nullptr;
  Lists* lists = nullptr;

  template <typename T>
  void column(uint32_t number, const T& field) const {
    append_varint(columns[number - 1], to_wire(field));
  }
  template <typename T>
  void difference(uint32_t number, const T& field, uint64_t predicted) const {
    append_varint(columns[number - 1], zigzag(as_u64(field) - predicted));
  }
  void pages(uint32_t number, uint64_t field, uint64_t base) const {
    append_varint(columns[number - 1], in_pages(field - base));
  }
  void near(uint32_t low, uint32_t high, uint64_t field, std::optional<uint64_t>& near) const {
    const uint64_t page = in_pages(field);
    columns[low - 1].push_back(static_cast<char>(page & 0x7f));
    append_varint(columns[high - 1], zigzag((page >> 7) - near.value_or(0)));
    if (!near) near = page >> 7;
  }
  template <typename T>
  void listed(uint32_t number, uint32_t /*values*/, const T& field) const {
    append_varint(columns[number - 1], (*lists)[number - 1].code(as_u64(field)));
  }
  void run(uint32_t counts, uint32_t pages, uint64_t page, uint32_t count, uint64_t predicted) const {
    const bool apart = page != predicted;
    append_varint(columns[counts - 1], uint64_t{count} << 1 | static_cast<uint64_t>(apart));
    if (apart) append_varint(columns[pages - 1], zigzag(page - predicted));
  }
  void place(auto&&... /*known*/) const {}
  // How many rows back the one is that the range follows from.
  uint64_t clock(uint32_t times, uint32_t ticks, uint32_t backs, EventKind kind, const CallRow& row,
                 uint64_t tick, const PastCalls& past) const {
    const uint64_t back = PastCalls::refers(kind) ? past.find(kind, row.range) : 0;
    const auto other = static_cast<uint64_t>(row.tick != tick), follows = static_cast<uint64_t>(back != 0);
    append_varint(columns[times - 1], to_wire(row.later) << 2 | follows << 1 | other);
    if (other != 0) append_varint(columns[ticks - 1], zigzag(row.tick - tick));
    if (back != 0) append_varint(columns[backs - 1], back);
    return back;
  }
  void bits(uint32_t number, auto... field) const {
    uint64_t word = 0;
    unsigned bit = 0;
    ((word |= static_cast<uint64_t>(field) << bit++), ...);
    append_varint(columns[number - 1], word);
  }
  void name(uint32_t number, const std::string& field) const {
    const auto [entry, added] = names->try_emplace(field, names->size());
    if (added) names_in_order->push_back(field);
    append_varint(columns[number - 1], entry->second);
  }
};

// Columns that are all 0 are left out; the first one says how many rows there are.
void add_columns(protozero::pbf_writer& out, std::span<const std::string> columns) {
  for (uint32_t i = 0; i < columns.size(); ++i) {
    if (columns[i].empty() || (i > 0 && columns[i].find_first_not_of('\0') == std::string::npos)) continue;
    out.add_bytes(i + 1, columns[i]);
  }
}

struct FieldWriter {
  protozero::pbf_writer& out;

  template <Number T>
  void operator()(uint32_t number, const T& field) const {
    if (const uint64_t wire = to_wire(field); wire != 0) out.add_uint64(number, wire);
  }
  void operator()(uint32_t number, const std::string& field) const {
    if (!field.empty()) out.add_bytes(number, field);
  }
  void operator()(uint32_t number, const std::vector<std::string>& field) const {
    for (const std::string& text : field) out.add_bytes(number, text);
  }
  void operator()(uint32_t number, const std::optional<uint64_t>& field) const {
    if (field) out.add_uint64(number, *field);
  }
  template <typename T>
  void operator()(uint32_t number, const std::optional<T>& field) const {
    if (field) message(number, *field);
  }
  void operator()(uint32_t number, const events::GoCounters& field) const { message(number, field); }
  template <typename T>
  void operator()(uint32_t number, const std::vector<T>& field) const {
    for (const T& element : field) message(number, element);
  }
  template <Row T>
  void operator()(uint32_t number, const std::vector<T>& rows) const {
    if (rows.empty()) return;
    std::array<std::string, kMostListColumns> columns;
    std::unordered_map<std::string_view, uint64_t> names;
    std::vector<std::string_view> names_in_order;
    Lists lists;
    const ColumnsOut sink{columns, &names, &names_in_order, &lists};
    const T none{};
    const T* before = &none;
    if constexpr (std::same_as<T, events::TableRun>) {
      for (const T& r : rows) row(Gather{lists, columns, false}, r, none);
      row(Gather{lists, columns, true}, none, none);
    }
    for (const T& r : rows) {
      row(sink, r, *before);
      before = &r;
    }
    protozero::pbf_writer sub(out, number);
    add_columns(sub, columns);
    for (const std::string_view name : names_in_order) sub.add_bytes(kNames, name.data(), name.size());
  }

 private:
  // Not a pbf_writer of the outer one: that drops a message without fields, which is an element all the same.
  template <typename T>
  void message(uint32_t number, const T& element) const {
    std::string bytes;
    protozero::pbf_writer sub(bytes);
    fields(FieldWriter{sub}, element);
    out.add_bytes(number, bytes);
  }
};

}  // namespace

EventKind kind_of(const events::Payload& payload) {
  return std::visit([](const auto& event) { return kind_number<std::remove_cvref_t<decltype(event)>>(); },
                    payload);
}

std::string_view kind_name(EventKind kind) {
  const auto number = static_cast<uint8_t>(kind);
  return number <= kLastEventKind ? kKindNames[number] : "";
}

void encode_message(const events::Payload& payload, std::string& out) {
  std::visit(
      [&](const auto& event) {
        if constexpr (!Call<std::remove_cvref_t<decltype(event)>>) {
          protozero::pbf_writer writer(out);
          fields(FieldWriter{writer}, event);
        }
      },
      payload);
}

void encode_end(const End& end, std::string& out) {
  protozero::pbf_writer writer(out);
  fields(FieldWriter{writer}, end);
}

uint64_t CallWriter::code_of(const CallShape& now) {
  if (!shapes_.empty()) {
    Known& last = shapes_[last_];
    if (last.shape == now) return kSame;
    if (shapes_[last.next].shape == now) return kKnown + (last_ = last.next);
  }
  const auto [entry, added] = numbers_.try_emplace(now, static_cast<uint32_t>(shapes_.size()));
  if (!shapes_.empty()) shapes_[last_].next = entry->second;
  last_ = entry->second;
  if (!added) return kKnown + last_;
  shapes_.push_back({now, 0});
  return kNew;
}

void CallWriter::add(const events::Payload& payload, int64_t later) {
  CallShape now;
  CallRow row;
  split_call(payload, now, row);
  row.later = later;
  const ColumnsOut sink{columns_};
  const uint64_t code = code_of(now);
  append_varint(columns_[0], code);
  if (code == kNew) shape(sink, now);
  call(sink, now.kind, row, before_);
  bytes_ += 12;
}

void CallWriter::finish(std::string& out) {
  protozero::pbf_writer writer(out);
  add_columns(writer, columns_);
  for (std::string& column : columns_) column.clear();
  numbers_.clear();
  shapes_.clear();
  before_.tick = 0;
  before_.near.reset();
  before_.past.clear();
  bytes_ = 0;
}

}  // namespace memwhy::trace
