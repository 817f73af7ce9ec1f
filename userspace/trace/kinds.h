// SPDX-License-Identifier: Apache-2.0
// The C++ type of each EventKind, and what the encoder and the decoder share about types.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <tuple>
#include <variant>

#include "trace/messages.h"
#include "trace/rows.h"

namespace memwhy::trace {

// Kinds, in the order of EventKind from 1.
using Kinds =
    std::tuple<events::RecordingInfo, events::ClockAnchor, events::HookReport, events::Coverage,
               events::RecordingEnd, events::BinaryInfo, events::SymbolInfo, events::SpaceStart,
               events::SpaceEnd, events::ProcessExit, events::OomVictim, events::ThreadList, events::Counters,
               events::VmaList, events::PageScan, events::PageTableRuns, events::Stack, events::VmaMapped,
               events::VmaUnmapped, events::VmaAdvised, events::VmaMoved, events::HeapGrown, events::Loss,
               events::GoStatistics, events::GoReading, events::GoProfile, events::GoGoroutines,
               events::GoCall, events::RuntimePages, events::AllocatorHeap, events::CgroupMemory,
               events::AllocationCall>;
static_assert(std::tuple_size_v<Kinds> == kLastEventKind);
static_assert(std::variant_size_v<events::Payload> == kLastEventKind,
              "a new alternative of events::Payload needs an EventKind, its fields and a line in FORMAT.md");

template <typename T, size_t I = 0>
constexpr EventKind kind_number() {
  if constexpr (std::same_as<std::tuple_element_t<I, Kinds>, T>) {
    return static_cast<EventKind>(I + 1);
  } else {
    return kind_number<T, I + 1>();
  }
}

template <typename T>
concept Call = is_call(kind_number<T>());
template <typename T>
concept Number = std::integral<T> || std::is_enum_v<T>;
template <typename T>
concept Row = kColumns<T> != 0;

template <typename T>
uint64_t as_u64(T value) {
  if constexpr (std::signed_integral<T>) return static_cast<uint64_t>(static_cast<int64_t>(value));
  return static_cast<uint64_t>(value);
}
template <typename T>
bool from_u64(uint64_t value, T& out) {
  if constexpr (std::signed_integral<T>) return from_wire(zigzag(value), out);
  return from_wire(value, out);
}

constexpr uint32_t kNames = 15;  // field of a list of rows that holds its distinct names
constexpr size_t kMostListColumns = 7;

}  // namespace memwhy::trace
