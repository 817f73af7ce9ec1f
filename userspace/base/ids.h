// SPDX-License-Identifier: Apache-2.0
// The vocabulary types. Each is its own type so that a page number is never added to an address by accident,
// and each name carries its unit.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace memwhy {

using TimeNs = uint64_t;  // CLOCK_MONOTONIC nanoseconds, the clock of bpf_ktime_get_ns()
using Pid = int32_t;      // a thread-group id of the host's pid namespace, unless a name says tid

constexpr uint64_t kPageShift = 12;  // memwhy uses 4 KiB pages; other page sizes are refused at start
constexpr uint64_t kPageBytes = uint64_t{1} << kPageShift;
constexpr uint64_t kChunkPages = 512;  // a chunk is the 2 MiB of address space that one PMD entry maps

// Recordings that run at the same time in one program share the numbers of spaces and stacks: a number means the same in
// all of them, and those of one recording have gaps and may start anywhere. Between programs no number means anything.

// An address space: one for each mm. Threads and CLONE_VM children share it; fork and exec get a new one.
enum class SpaceId : uint32_t { kNone = 0 };

// A distinct user stack. kNone: no stack is known. kLost: the kernel side saw the stack, but its table had no room.
enum class StackId : uint32_t { kNone = 0, kLost = 0xffffffff };

// A distinct binary (ELF file) of the recording, by device, inode and build id. Numbers start at 1 in each recording.
enum class BinaryId : uint32_t { kNone = 0 };

// A page of an address space: virtual address >> 12.
using PageNumber = uint64_t;

// Half-open [start, end) in bytes, or in pages for PageRange.
struct AddressRange {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t bytes() const { return end - start; }
  bool empty() const { return end <= start; }
  bool contains(uint64_t address) const { return address >= start && address < end; }
  auto operator<=>(const AddressRange&) const = default;
};

struct PageRange {
  PageNumber start = 0;
  PageNumber end = 0;
  uint64_t pages() const { return end - start; }
  bool empty() const { return end <= start; }
  auto operator<=>(const PageRange&) const = default;
};

constexpr PageRange pages_touched(AddressRange range) {
  return {range.start >> kPageShift, (range.end + kPageBytes - 1) >> kPageShift};
}

}  // namespace memwhy
