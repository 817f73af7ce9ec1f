// SPDX-License-Identifier: Apache-2.0
// Which words of a parked goroutine's stack are live pointers, by the compiler's own stack maps: what the
// collector would follow. They are in the program's read-only data, so stripping does not remove them.
// Nothing here knows the heap.
//
//   sp 0xc000'05e000 ┐ runtime.gopark   pc ─► _func: frame 56 bytes, map 2 of its locals: no bit set
//      0xc000'05e040 │ return address, next frame
//      0xc000'05e0a8 ┐ main.run.func1   frame 96 bytes, map 3: 0 0 1 0 …  the third word from below is live
//      …             │ objects: [-40, 24 bytes) counts only when a live word points at it
//      0xc000'05e7c8 ┘ runtime.goexit   the last frame
//
// A stack that can't be read so (a preempted register frame, a panic, a frame without a map of its arguments,
// a table page that is not resident) is refused as a whole: the caller then takes every word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "goruntime/globals.h"
#include "goruntime/goroutines.h"
#include "remote/memory.h"
#include "remote/page_reader.h"

namespace memwhy::goruntime {

class StackMaps {
 public:
  StackMaps(remote::RemoteMemory& memory, const Globals& globals);

  // Reads what live_words() of these will need, in blocks: the first ones that are small enough together.
  // Returns how many; the others are for the next call.
  size_t prefetch(const std::vector<Goroutine>& goroutines, std::span<const uint32_t> which);
  // The live words of a goroutine that does not run; nullopt: they are unknown, or it has run since.
  std::optional<std::vector<uint64_t>> live_words(const Goroutine& goroutine);

 private:
  using Bytes = std::vector<std::byte>;
  using Page = std::vector<std::byte>;  // empty: not resident

  struct StackObject {
    int64_t offset = 0;  // negative: from the end of the locals; else from the arguments
    uint64_t pointer_bytes = 0;
  };
  // What holds at one pc.
  struct FrameMap {
    bool top = false;
    uint64_t frame_bytes = 0;             // from sp to the return address
    uint64_t argument_bytes = 0;          // above the return address
    bool every_local = false;             // no map: every word counts
    std::vector<bool> locals, arguments;  // a bit for each word, lowest first
    std::vector<StackObject> objects;
  };
  struct Function {
    uint64_t entry = 0, record = 0, pcdata = 0, funcdata = 0;
    uint32_t name = 0, argument_bytes = 0, pcsp = 0;
    uint32_t pcdata_count = 0, funcdata_count = 0;
    uint8_t flags = 0;
  };
  class Stack;

  const FrameMap* at(uint64_t pc);
  std::optional<FrameMap> read_map(uint64_t pc);
  std::optional<Function> function(uint64_t pc);
  bool is_opaque(const Function& function);
  std::optional<int32_t> value_at(uint32_t sequence, uint64_t entry, uint64_t pc);
  std::optional<uint64_t> funcdata(const Function& function, uint32_t which);
  std::optional<std::vector<bool>> bitmap(uint64_t address, int32_t index);
  bool read_objects(const Function& function, FrameMap& into);

  const std::byte* bytes_at(uint64_t address, size_t bytes);  // nullptr: not there
  bool read(remote::PageReader& block, uint64_t address, std::span<std::byte> into);
  template <typename T>
  std::optional<T> load(uint64_t address);
  bool copy(uint64_t address, std::byte* into, size_t bytes);

  remote::RemoteMemory& memory_;
  const Globals& globals_;
  remote::PageReader before_, stacks_, after_;  // of the goroutines at hand: g, stack, g again
  bool usable_ = false;
  uint64_t text_ = 0, gofunc_ = 0;
  AddressRange names_, pctab_, records_;
  uint64_t functions_ = 0;  // number of them; the table is at records_.start
  std::unordered_map<uint64_t, Page> pages_;
  std::unordered_map<uint64_t, std::optional<FrameMap>> maps_;
};

}  // namespace memwhy::goruntime
