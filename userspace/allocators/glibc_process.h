// SPDX-License-Identifier: Apache-2.0
// GlibcProcess: the C heap of one live process, read from outside: which resident bytes malloc holds for the program, which
// are free, and what would bring those back. Several copies of glibc in one process are one heap here.
//
// What it is not: another allocator's heap. Where one replaces malloc, main_arena stays zero and is not found; then nothing
// is reported. Reading is harmless: no stop, only resident pages, with pauses (ReadPace), within a budget (remote/budget.h).
//
//   when           each pass: arenas, and the join with its pages
//                  what is free: anew when the readings so far took less than 1/200 of a CPU (the first 0.4 s are free), else
//                  the last reading, with its age
//                  sizes of what is in use: with details
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "allocators/glibc.h"
#include "allocators/glibc_lines.h"
#include "allocators/heap_memory.h"
#include "events/event.h"
#include "remote/budget.h"
#include "remote/memory.h"

namespace memwhy::allocators {

struct GlibcReading {
  events::RuntimePages pages;
  std::optional<events::AllocatorHeap> heap;  // nothing: glibc's malloc is not in use, or was not found
};

class GlibcProcess {
 public:
  // `static_program`: no libc is mapped, so the state of malloc may be in any file's data.
  GlibcProcess(std::unique_ptr<remote::RemoteMemory> memory, HeapMemory::Vmas vmas, bool static_program,
               ReadPace pace);

  GlibcReading read(const events::PageScan& scan);
  // The last reading with the sizes of what is in use. nullopt: there is none, the heap is too large to be walked, or it was
  // walked a short time ago.
  std::optional<events::AllocatorHeap> sizes();

  void stop_when(std::function<bool()> stop) { stop_ = std::move(stop); }
  std::vector<std::string> take_notices() { return std::exchange(notices_, {}); }

 private:
  bool find(HeapMemory& memory);
  // nullopt: the arenas do not pass their tests at the moment. Else, and if not `what_is_free`, what is free is taken out of
  // `before`.
  std::optional<Glibc> refreshed(HeapMemory& memory, Glibc& before, bool what_is_free);
  bool read_heap(HeapMemory& heap, const remote::Budget& budget);  // false: they did not at the first reading
  void read_caches(HeapMemory& heap);
  void refresh_arenas(const std::vector<events::Vma>& vmas);  // what is free in them stays as it was
  void tell_once(std::string sentence);
  events::AllocatorHeap describe(events::AllocatorHeap heap) const;

  std::unique_ptr<remote::RemoteMemory> memory_;
  HeapMemory::Vmas vmas_;
  bool static_program_;
  ReadPace pace_;
  std::function<bool()> stop_;
  std::vector<Glibc> libcs_;
  std::vector<uint64_t> threads_;  // control blocks
  std::optional<events::AllocatorHeap> last_;
  int searches_ = 0, cut_in_a_row_ = 0;
  bool rejected_ = false, told_ = false;
  bool whole_ = false;  // what is free was read to its end, at free_read_ns_
  uint64_t cpu_ns_ = 0, first_ns_ = 0, free_read_ns_ = 0, sizes_ns_ = 0;
  std::vector<std::string> notices_;
};

}  // namespace memwhy::allocators
