// SPDX-License-Identifier: Apache-2.0
// Where the Go runtime of a live process keeps its tables, found by what they contain: no symbols, no DWARF.
// Each global has an invariant strong enough to be found by a scan of the program's data; what is found is
// only believed after the self-test of pages.h.
//
//   pclntab 0x55'c040 ─► moduledata: the word that points at it ─► .data .bss .noptrdata .noptrbss
//     mheap_         capacities 2^14 2^17 2^20 2^23 2^26 of five slices, 24 bytes apart
//     memstats       three pointers of mheap_ into it agree
//     gcController   heapMinimum == 4 MiB * GOGC / 100, sizes are whole pages, heapInUse == its pages * 8 KiB
//     allgs          a slice of goroutines, the first of them main's     allp   a slice of Ps, p.id == index
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "goruntime/layout.h"
#include "remote/memory.h"

namespace memwhy::goruntime {

// Facts from the program's file, as addresses of the process.
struct Image {
  uint64_t pclntab = 0;                // header of the line table
  uint64_t names_offset = 0;           // of the function names after it
  std::vector<AddressRange> writable;  // the program's writable segments, zero part included
  std::string version = {};  // as built: "go1.26.8-X:nogreenteagc"; experiments decide where some things are
  // Its read-only parts as the file has them, at addresses of the process; nullptr: memory only.
  std::shared_ptr<remote::RemoteMemory> file = nullptr;
};

struct Globals {
  const Layout* layout = nullptr;
  uint64_t moduledata = 0;
  uint64_t min_pc = 0, max_pc = 0;
  AddressRange image;               // the program's text and variables
  std::vector<AddressRange> data;   // where the runtime's variables are
  std::vector<AddressRange> roots;  // the part of it that holds pointers into the heap
  uint64_t mheap = 0, memstats = 0, gc_controller = 0;
  std::optional<uint64_t> allgs, allp;         // addresses of the slices
  std::shared_ptr<remote::RemoteMemory> file;  // as in Image
  bool green_tea = false;                      // marks of small objects are in their spans
};

// kAbsent: not found, with the name of what was missing. The caller then has the OS view only.
Result<Globals> find_globals(remote::RemoteMemory& memory, const Layout& layout, const Image& image);

// What the page allocator of this mheap ever took from the system (mheap.pages.inUse), in order. kAbsent: it can't be
// read, or is none.
Result<std::vector<AddressRange>> heap_ranges(remote::RemoteMemory& memory, const Layout& layout,
                                              uint64_t mheap);
// `ranges` in order and not overlapping.
bool in_any(const std::vector<AddressRange>& ranges, uint64_t address);

// visit(address, bytes) of the resident parts of a range, max 64 KiB each; pages in them that are not resident read as zero.
Status each_part(remote::RemoteMemory& memory, const AddressRange& range,
                 const std::function<void(uint64_t, std::span<const std::byte>)>& visit);

}  // namespace memwhy::goruntime
