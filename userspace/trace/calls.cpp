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

}  // namespace

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
