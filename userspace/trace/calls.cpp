// SPDX-License-Identifier: Apache-2.0
#include "trace/calls.h"

#include <xxhash.h>

#include <array>
#include <type_traits>
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
void join(const CallShape& shape, const CallRow& row, events::Payload& payload) {
  halves([](auto& field, const auto& half) { field = half; }, payload.emplace<T>(), shape, row);
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
  switch (shape.kind) {
    case EventKind::kVmaMapped:
      join<events::VmaMapped>(shape, row, payload);
      return true;
    case EventKind::kVmaUnmapped:
      join<events::VmaUnmapped>(shape, row, payload);
      return true;
    case EventKind::kVmaAdvised:
      join<events::VmaAdvised>(shape, row, payload);
      return true;
    case EventKind::kVmaMoved:
      join<events::VmaMoved>(shape, row, payload);
      return true;
    case EventKind::kHeapGrown:
      join<events::HeapGrown>(shape, row, payload);
      return true;
    default:
      return false;
  }
}

}  // namespace memwhy::trace
