// SPDX-License-Identifier: Apache-2.0
// What the readers of C heaps share: which process has one that they can read, and the pause between two pieces of a reading.
#pragma once

#include <time.h>

#include <algorithm>
#include <memory>

#include "allocators/glibc_find.h"
#include "allocators/hotspot_tables.h"
#include "app/runtimes.h"
#include "files/children.h"
#include "remote/memory.h"

namespace memwhy::app {

// Between 64 KiB and the next: as measured, the target's own mmap then waits no longer than 0.1 ms in 99 of 100 calls.
inline void pause_reading() {
  const timespec pause{0, 300'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
}

inline bool is_64_bit(const TargetProcess& target) {
  constexpr uint64_t kFirst64Bit = uint64_t{1} << 32;
  return !target.vmas.empty() && target.vmas.back().range.end > kFirst64Bit;
}

template <typename Which>
bool has_mapping(const TargetProcess& target, const Which& which) {
  return std::any_of(target.vmas.begin(), target.vmas.end(), which);
}
inline bool has_libc(const TargetProcess& target) {
  return has_mapping(target,
                     [](const events::Vma& vma) { return vma.inode != 0 && allocators::is_libc(vma.name); });
}
inline bool has_brk(const TargetProcess& target) {
  return has_mapping(target, [](const events::Vma& vma) { return vma.name == "[heap]"; });
}
// A Go program without C has neither.
inline bool has_c_heap(const TargetProcess& target) {
  return is_64_bit(target) && (has_libc(target) || has_brk(target));
}

// nullptr: it can't be read.
inline std::unique_ptr<remote::RemoteMemory> heap_memory_of(const TargetProcess& target) {
  Result<std::unique_ptr<remote::RemoteMemory>> memory =
      target.files.open_memory(target.process.directory(), target.process.pid(), target.memory);
  return memory ? *std::move(memory) : nullptr;
}

// Read by the child that parses files of targets. `files` outlives what is opened.
inline allocators::FileBytes file_bytes_of(files::Children& files, Pid tgid) {
  return [&files, tgid](const events::Vma& vma, uint64_t address, size_t bytes) {
    const Result<symbols::OpenedBinary> opened = files.open_mapping(tgid, vma);
    if (!opened || opened->handle == symbols::BinaryHandle::kNone) return std::vector<std::byte>{};
    Result<std::vector<std::byte>> read =
        files.read(opened->handle, vma.offset + (address - vma.range.start), bytes);
    return read ? *std::move(read) : std::vector<std::byte>{};
  };
}

}  // namespace memwhy::app
