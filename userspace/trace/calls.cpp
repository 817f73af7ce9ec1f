// SPDX-License-Identifier: Apache-2.0
#include "trace/calls.h"

#include <xxhash.h>

#include <array>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "trace/kinds.h"

namespace memwhy::trace {
namespace {

// Which part of each call is in which half: the one list for both directions.
void halves(auto&& copy, auto& call, auto& shape, auto& row) {
  copy(call.space, shape.space);
  copy(call.tid, shape.tid);
  copy(call.stack, shape.stack);
  copy(call.tick, row.tick);
  if constexpr (requires { call.range; }) copy(call.range, row.range);
  if constexpr (requires { call.from; }) copy(call.from, row.range);
  if constexpr (requires { call.to; }) copy(call.to, row.to);
  if constexpr (requires { call.prot; }) copy(call.prot, shape.prot);
  if constexpr (requires { call.flags; }) copy(call.flags, shape.flags);
  if constexpr (requires { call.fd; }) copy(call.fd, shape.fd);
  if constexpr (requires { call.offset; }) copy(call.offset, row.offset);
  if constexpr (requires { call.why; }) copy(call.why, shape.why);
  if constexpr (requires { call.advice; }) copy(call.advice, shape.advice);
}

template <typename T>
bool join(const CallShape& shape, const CallRow& row, events::Payload& payload) {
  if constexpr (Call<T>)
    halves([](auto& field, const auto& half) { field = half; }, payload.emplace<T>(), shape, row);
  return Call<T>;
}

template <size_t... I>
bool join_kind(const CallShape& shape, const CallRow& row, events::Payload& payload,
               std::index_sequence<I...>) {
  const size_t index = static_cast<size_t>(shape.kind) - 1;
  return ((index == I && join<std::tuple_element_t<I, Kinds>>(shape, row, payload)) || ...);
}

// Where the next mapping may end.
uint64_t top_of(EventKind kind, AddressRange range) {
  return kind == EventKind::kVmaMapped ? range.start : range.end;
}

size_t slot_of(uint64_t address) { return (address >> kPageShift) * 0x9e3779b97f4a7c15 >> 52; }

}  // namespace

const PastCalls::Row* PastCalls::row(uint64_t number) const {
  if (number == 0 || number > count_ || count_ - number >= kMost) return nullptr;
  return &rows_[(number - 1) % kMost];
}

uint64_t PastCalls::find(EventKind kind, AddressRange range) const {
  const bool mapped = kind == EventKind::kVmaMapped;
  const uint64_t number = mapped ? tops_[slot_of(range.end)] : starts_[slot_of(range.start)];
  const Row* found = row(number);
  if (found == nullptr) return 0;
  const bool same = mapped ? top_of(found->kind, found->range) == range.end : found->range == range;
  return same ? count_ - number + 1 : 0;
}

bool PastCalls::place(EventKind kind, uint64_t back, AddressRange& range) const {
  const Row* found = back > count_ ? nullptr : row(count_ - back + 1);
  if (found == nullptr) return false;
  const uint64_t top = top_of(found->kind, found->range);
  range = kind == EventKind::kVmaMapped ? AddressRange{top - (range.end - range.start), top} : found->range;
  return true;
}

void PastCalls::add(EventKind kind, AddressRange range) {
  if (rows_.size() < kMost)
    rows_.push_back({kind, range});
  else
    rows_[count_ % kMost] = {kind, range};
  ++count_;
  if (!refers(kind)) return;
  tops_[slot_of(top_of(kind, range))] = count_;
  if (kind == EventKind::kVmaMapped) starts_[slot_of(range.start)] = count_;
}

void PastCalls::clear() {
  rows_.clear();
  count_ = 0;
  tops_ = {};
  starts_ = {};
}

size_t CallHash::operator()(const CallShape& s) const {
  const std::array<uint32_t, 9> words = {static_cast<uint32_t>(s.kind),
                                         static_cast<uint32_t>(s.space),
                                         static_cast<uint32_t>(s.tid),
                                         static_cast<uint32_t>(s.stack),
                                         s.prot,
                                         s.flags,
                                         static_cast<uint32_t>(s.fd),
                                         static_cast<uint32_t>(s.why),
                                         s.advice};
  return XXH3_64bits(words.data(), sizeof words);
}

void split_call(const events::Payload& payload, CallShape& shape, CallRow& row) {
  shape = {};
  row = {};
  std::visit(
      [&](const auto& call) {
        using T = std::remove_cvref_t<decltype(call)>;
        if constexpr (Call<T>) {
          shape.kind = kind_number<T>();
          halves([](const auto& field, auto& half) { half = field; }, call, shape, row);
        }
      },
      payload);
}

bool join_call(const CallShape& shape, const CallRow& row, events::Payload& payload) {
  return join_kind(shape, row, payload, std::make_index_sequence<std::tuple_size_v<Kinds>>());
}

}  // namespace memwhy::trace
