// SPDX-License-Identifier: Apache-2.0
// What happens to an event of each kind when a recording continues in another part, so that each part can be explained alone.
// Not how it is written: kinds.h and fields.h. There is no default: a new kind without its line does not compile.
//
//   part 1   info  hooks  SpaceStart 1  SymbolInfo 0x401e00  Stack 9  RuntimePages 7  PageScan 7  VmaMapped stack 9 ...
//   part 2   info  hooks  SpaceStart 1  RuntimePages 7  PageScan 7    Stack 9  SymbolInfo 0x401e00  VmaMapped stack 9 ...
//            └ kRecording ┘└ kReading ───────────────────────────┘    └ kDefinition, before what names it  └ kLog: once
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "events/event.h"

namespace memwhy::trace {

enum class KindClass : uint8_t {
  kDefinition,  // stated again before the first event of a part that names it
  kRecording,   // about the recording: the last one opens a part
  kReading,     // of a space, or of a cgroup: the last one opens a part
  kLog,         // what happened: stated once
};

template <typename Event>
struct ClassOf;

// Readings of one kind and space that stand side by side: each replaces the last one with the same name.
inline std::string_view reading_of(const auto& /*event*/) { return ""; }
inline std::string_view reading_of(const events::RuntimePages& pages) { return pages.runtime; }
inline std::string_view reading_of(const events::AllocatorHeap& heap) { return heap.allocator; }
inline std::string_view reading_of(const events::CgroupMemory& cgroup) { return cgroup.path; }
// Whose reading it is; kNone: of no space.
inline SpaceId space_of(const auto& event) { return event.space; }
inline SpaceId space_of(const events::CgroupMemory& /*cgroup*/) { return SpaceId::kNone; }

template <KindClass C>
using Known = std::integral_constant<KindClass, C>;

// clang-format off
template <> struct ClassOf<events::BinaryInfo> : Known<KindClass::kDefinition> {};
template <> struct ClassOf<events::SymbolInfo> : Known<KindClass::kDefinition> {};
template <> struct ClassOf<events::Stack> : Known<KindClass::kDefinition> {};
template <> struct ClassOf<events::RecordingInfo> : Known<KindClass::kRecording> {};
template <> struct ClassOf<events::ClockAnchor> : Known<KindClass::kRecording> {};  // the first, too
template <> struct ClassOf<events::HookReport> : Known<KindClass::kRecording> {};
template <> struct ClassOf<events::Coverage> : Known<KindClass::kRecording> {};
template <> struct ClassOf<events::SpaceStart> : Known<KindClass::kReading> {};
template <> struct ClassOf<events::ThreadList> : Known<KindClass::kReading> {};
template <> struct ClassOf<events::Counters> : Known<KindClass::kReading> {};
template <> struct ClassOf<events::VmaList> : Known<KindClass::kReading> {};
template <> struct ClassOf<events::PageScan> : Known<KindClass::kReading> {};
template <> struct ClassOf<events::GoStatistics> : Known<KindClass::kReading> {};
template <> struct ClassOf<events::GoReading> : Known<KindClass::kReading> {};
template <> struct ClassOf<events::GoProfile> : Known<KindClass::kReading> {};
template <> struct ClassOf<events::GoGoroutines> : Known<KindClass::kReading> {};
template <> struct ClassOf<events::RuntimePages> : Known<KindClass::kReading> {};  // of each runtime
template <> struct ClassOf<events::AllocatorHeap> : Known<KindClass::kReading> {};  // of each allocator
template <> struct ClassOf<events::CgroupMemory> : Known<KindClass::kReading> {};  // of each cgroup
template <> struct ClassOf<events::PageTableRuns> : Known<KindClass::kLog> {};  // the recorder restates it: Writer::wants_restate()
template <> struct ClassOf<events::SpaceEnd> : Known<KindClass::kLog> {};  // and the readings of its space are dropped
template <> struct ClassOf<events::ProcessExit> : Known<KindClass::kLog> {};
template <> struct ClassOf<events::OomVictim> : Known<KindClass::kLog> {};
template <> struct ClassOf<events::Loss> : Known<KindClass::kLog> {};
template <> struct ClassOf<events::RecordingEnd> : Known<KindClass::kLog> {};
template <> struct ClassOf<events::VmaMapped> : Known<KindClass::kLog> {};
template <> struct ClassOf<events::VmaUnmapped> : Known<KindClass::kLog> {};
template <> struct ClassOf<events::VmaAdvised> : Known<KindClass::kLog> {};
template <> struct ClassOf<events::VmaMoved> : Known<KindClass::kLog> {};
template <> struct ClassOf<events::HeapGrown> : Known<KindClass::kLog> {};
template <> struct ClassOf<events::GoCall> : Known<KindClass::kLog> {};
template <> struct ClassOf<events::AllocationCall> : Known<KindClass::kLog> {};
// clang-format on

}  // namespace memwhy::trace
