// SPDX-License-Identifier: Apache-2.0
// Events to bytes: the visitors that write fields and columns.
#include <protozero/pbf_writer.hpp>
#include <string_view>
#include <unordered_map>
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

struct ColumnsOut {
  std::array<std::string, kMostColumns>& columns;
  std::unordered_map<std::string_view, uint64_t>* names = nullptr;
  std::vector<std::string_view>* names_in_order = nullptr;

  template <typename T>
  void column(uint32_t number, const T& field) const {
    append_varint(columns[number - 1], to_wire(field));
  }
  template <typename T>
  void difference(uint32_t number, const T& field, uint64_t predicted) const {
    append_varint(columns[number - 1], zigzag(as_u64(field) - predicted));
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
void add_columns(protozero::pbf_writer& out, const std::array<std::string, kMostColumns>& columns) {
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
    std::array<std::string, kMostColumns> columns;
    std::unordered_map<std::string_view, uint64_t> names;
    std::vector<std::string_view> names_in_order;
    const ColumnsOut sink{columns, &names, &names_in_order};
    const T none{};
    const T* before = &none;
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

void CallWriter::add(const events::Payload& payload) {
  std::visit(
      [&](const auto& event) {
        if constexpr (Call<std::remove_cvref_t<decltype(event)>>) {
          call(ColumnsOut{columns_}, event, before_);
          bytes_ += 12;
        }
      },
      payload);
}

void CallWriter::finish(std::string& out) {
  protozero::pbf_writer writer(out);
  for (uint32_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].empty()) writer.add_bytes(i + 1, columns_[i]);
    columns_[i].clear();
  }
  before_ = {};
  bytes_ = 0;
}

}  // namespace memwhy::trace
