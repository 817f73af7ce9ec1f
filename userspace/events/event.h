// SPDX-License-Identifier: Apache-2.0
// Everything that memwhy ever learns about a process, as plain values in one variant.
//
// What it is: the one language between the live sources (probe, procfs, goruntime), the trace file and the
// model. Recorded, live and scripted events enter the model the same way (EventSink), so that a recording
// is explained as it was live. What it is not: kernel layouts (include/memwhy/abi) or file
// layouts (userspace/trace).
//
// Raw inputs, not conclusions: "these pages were present in this scan", "this page was faulted by that stack
// at that tick". Only timeline/ reconciles them.
//
//   Event { time 81'200'000'000, VmaList { space 1, … } }
//   Event { time 81'204'100'000, PageScan { space 1, runs {{0x7f12'34605, 512, huge}, …} } }
//   Event { time 81'204'900'000, PageTableRuns { space 1, runs {{0x7f12'34605, 1, stack 9, tick …}, …} } }
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "events/allocation.h"
#include "events/allocator.h"
#include "events/cgroup.h"
#include "events/go_probe.h"
#include "events/go_runtime.h"
#include "events/process.h"
#include "events/recording.h"
#include "events/runtime.h"

namespace memwhy::events {

// One mapping of an address space, as /proc/PID/maps shows it.
struct Vma {
  AddressRange range;
  bool read = false, write = false, exec = false, shared = false;
  uint64_t offset = 0;  // of `range.start` in the file, bytes
  uint64_t device = 0;  // makedev(); 0 with inode 0: anonymous
  uint64_t inode = 0;
  std::string name;      // path, "[heap]", "[stack]", "[anon: Go: heap]"…; " (deleted)" is kept
  bool shmem = false;    // a shared-memory object: memfd, SysV, tmpfs, shared anonymous memory
  bool hugetlb = false;  // on hugetlbfs: not counted in RSS
  bool operator==(const Vma&) const = default;
};

// The whole list at one moment, in order of address, without vsyscall. Replaces the one before.
struct VmaList {
  SpaceId space{};
  std::vector<Vma> vmas;
  bool operator==(const VmaList&) const = default;
};

enum ScanFlags : uint8_t {
  kScanHuge = 1,     // mapped by a PMD: part of a 2 MiB page
  kScanFile = 2,     // a page of the page cache (requested only for private file mappings)
  kScanSwapped = 4,  // not resident: in swap
};

// `count` pages from `page` on with equal flags. Resident unless kScanSwapped.
struct ScanRun {
  PageNumber page = 0;
  uint32_t count = 0;
  uint8_t flags = 0;
  bool operator==(const ScanRun&) const = default;
};

// What others map too, of mappings of 1 MiB and more: an estimate from a sample of their resident pages.
struct SharedPages {
  uint64_t anonymous_bytes = 0;  // since a fork
  uint64_t own_bytes = 0;        // the rest of the same mappings
  uint64_t memory_bytes = 0;     // of shared memory
  uint64_t anonymous_mappers = 0,
           memory_mappers = 0;  // page tables that map such a page, including this process's: the median
  bool operator==(const SharedPages&) const = default;
};

// One pass over an address space: pages present, not the zero page, not hugetlb. In order of page.
struct PageScan {
  SpaceId space{};
  uint64_t scan = 0;     // numbered from 1 in each recording
  TimeNs start{};        // Event::time is the end
  bool complete = true;  // false: the target vanished, or a range was refused, half-way
  std::string method;    // "PAGEMAP_SCAN" | "pagemap"
  std::vector<ScanRun> runs;
  std::optional<Counters> before, after;             // read around the pass
  std::optional<SharedPages> shared = std::nullopt;  // absent: unknown
  uint64_t resident_pages() const;
  bool operator==(const PageScan&) const = default;
};

// How a page-table entry came about (bits of include/memwhy/abi/table.h).
enum FaultFlags : uint8_t { kFaultWrite = 1, kFaultKernel = 2 };

// `count` pages from `page` on that hold the same entry.
struct TableRun {
  PageNumber page = 0;
  uint32_t count = 0;
  StackId stack{};
  uint64_t tick = 0;  // jiffies64; ClockAnchor maps it to time
  uint8_t flags = 0;  // FaultFlags
  bool operator==(const TableRun&) const = default;
};

// Entries of the page fault table that changed since the last such event of this space; `restated`: all of
// them, and what is not in it no longer exists. `as_of_tick`: every fault before it is in here or in an
// earlier event.
struct PageTableRuns {
  SpaceId space{};
  bool restated = false;
  uint64_t as_of_tick = 0;
  std::vector<TableRun> runs;
  bool operator==(const PageTableRuns&) const = default;
};

// How the frames of a stack were found. Further ways get the next numbers; an unknown number means some other way.
enum class Unwind : uint8_t {
  kFramePointers,  // from some frame on by frame pointers, because no unwind rule was known yet or none is used
  kWhole,          // by unwind rules, to the outermost frame: every frame is certain
  kJit,            // to the outermost frame, by frame pointers through code that a run time made
  kGuess,          // by frame pointers through code that the file does not describe
  kStopped,        // certain as far as it goes: rules cannot express the rest
  kRecovered,  // it was incomplete; these are the frames of the copy of a stack that was taken with it, whole
  kSeveral,    // it is incomplete, and copies that were taken of it show different callers
};

// A stack, innermost frame first: the faulting (or calling) instruction, then return addresses. Its id stands for the hash of
// the frames as they were found first and of how; of one that a snapshot completes, also of what the stack held. So the same
// frames have one id in all spaces (`space` says where they were first seen), and a stack that was found in another way is another
// one. It may be emitted again with more that became known of it: the last one counts.
struct Stack {
  StackId id{};
  SpaceId space{};          // in which it was first seen; a forked child may share it
  bool cut = false;         // deeper than the kernel side keeps
  bool unreadable = false;  // it led to memory that could not be read
  std::vector<uint64_t> frames;
  Unwind unwind = Unwind::kFramePointers;
  // Of frames that were found by frame pointers in part: how many come before the first that is not certain. 0: it is not
  // known, or all of them are as certain as `unwind` says.
  uint32_t certain = 0;
  bool operator==(const Stack&) const = default;
};

// The mapping family. `stack` is the caller's.
struct VmaMapped {
  SpaceId space{};
  Pid tid = 0;
  AddressRange range;
  uint32_t prot = 0, flags = 0;
  int32_t fd = -1;
  uint64_t offset = 0;
  StackId stack{};
  uint64_t tick = 0;
  bool operator==(const VmaMapped&) const = default;
};

enum class UnmapWhy : uint8_t { kMunmap = 1, kFixed = 2, kBrk = 3, kMadvise = 4 };

// Pages of the range leave (they may be gone a moment later than `time`: logged when the call is entered).
struct VmaUnmapped {
  SpaceId space{};
  Pid tid = 0;
  AddressRange range;
  UnmapWhy why{};
  uint32_t advice = 0;  // MADV_* for kMadvise: the mapping stays, its pages go
  StackId stack{};
  uint64_t tick = 0;
  bool operator==(const VmaUnmapped&) const = default;
};

// madvise whose pages stay: MADV_FREE 8, MADV_HUGEPAGE 14, MADV_COLLAPSE 25 …
struct VmaAdvised {
  SpaceId space{};
  Pid tid = 0;
  AddressRange range;
  uint32_t advice = 0;
  StackId stack{};
  uint64_t tick = 0;
  bool operator==(const VmaAdvised&) const = default;
};

struct VmaMoved {
  SpaceId space{};
  Pid tid = 0;
  AddressRange from, to;  // lengths differ when it grew or shrank; from.start == to.start: in place
  StackId stack{};
  uint64_t tick = 0;
  bool operator==(const VmaMoved&) const = default;
};

struct HeapGrown {  // brk moved up
  SpaceId space{};
  Pid tid = 0;
  AddressRange range;
  StackId stack{};
  uint64_t tick = 0;
  bool operator==(const HeapGrown&) const = default;
};

using Payload = std::variant<RecordingInfo, ClockAnchor, HookReport, Coverage, RecordingEnd, BinaryInfo,
                             SymbolInfo, SpaceStart, SpaceEnd, ProcessExit, OomVictim, ThreadList, Counters,
                             VmaList, PageScan, PageTableRuns, Stack, VmaMapped, VmaUnmapped, VmaAdvised,
                             VmaMoved, HeapGrown, Loss, GoStatistics, GoReading, GoProfile, GoGoroutines,
                             GoCall, RuntimePages, AllocatorHeap, CgroupMemory, AllocationCall>;

struct Event {
  TimeNs time = 0;
  Payload payload;
  bool operator==(const Event&) const = default;
};

// Where every event goes. One thread owns a sink. Events arrive in order of time, within one second of their
// occurrence when live; a sink must accept any event for a space that it has not seen start.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_event(const Event& event) = 0;
};

// One line for a person ("+1.204s space 1 scan 3: 40,961 pages in 812 runs"); the text form of trace_dump.
std::string describe(const Event& event, TimeNs origin);

}  // namespace memwhy::events
