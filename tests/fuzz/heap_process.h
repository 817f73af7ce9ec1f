// SPDX-License-Identifier: Apache-2.0
// A process of a shape (heap_shapes.h), with what an input changes of it: words, pages, mappings. Of what the kernel says it
// changes only what a process can bring about: mappings are in order, do not overlap, and end at pages.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "allocators/heap_memory.h"
#include "events/event.h"
#include "fuzz/support/patched.h"
#include "heap_shapes.h"

namespace memwhy::fuzz {

class HeapProcess {
 public:
  // Kinds of patches beside words, as their `until`. A page that is not resident from its n-th reading on; a change of the
  // mappings from the n-th time on that they are read.
  static constexpr uint8_t kAbsent = 254, kMapping = 253;

  HeapProcess(const HeapShape& shape, const std::vector<Patch>& patches);

  const HeapShape& shape() const { return shape_; }
  std::unique_ptr<remote::RemoteMemory> memory();  // outlived by this
  allocators::HeapMemory::Vmas vmas();
  allocators::FileBytes file();

  events::PageScan scan();                                     // of the mappings as they are now
  uint64_t resident_bytes() const { return resident_bytes_; }  // of the last scan
  bool was_mapped(const PageRange& pages) const;               // at some time, all of it
  uint64_t reads() const { return reads_; }
  std::vector<std::pair<uint64_t, uint64_t>> words_read() const;

 private:
  friend class HostileMemory;
  std::vector<events::Vma> mappings(uint8_t time) const;

  const HeapShape& shape_;
  PatchedMemory memory_, file_;
  std::vector<Patch> absent_, changes_;  // changes_: of mappings
  std::map<uint64_t, uint32_t> looked_;  // reads of a page
  uint64_t reads_ = 0, resident_bytes_ = 0;
  uint8_t time_ = 0;                  // how often the mappings were read
  std::vector<AddressRange> mapped_;  // at any time, joined
};

}  // namespace memwhy::fuzz
