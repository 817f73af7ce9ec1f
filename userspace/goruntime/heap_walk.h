// SPDX-License-Identifier: Apache-2.0
// HeapWalk: the heap of a live Go program, followed from its roots in colors. The callers choose the color of each root, and
// evaluate the colors afterwards (reach.h, holders.h).
//
//   main.sessions  color 7 ──► map ──► table {64 MiB}        7, 7
//   main.config    color 8 ──► conf ─┐
//   goroutine 12   color 9 ──► job ──┴► log buffer            8, 9, shared (first met from 8)
//
// An object has the color in which it is first reached; if reached in another one too, it is shared, and so is what it refers
// to. So each is visited twice at most. The runtime's own structures (g, m, p) are no objects here: they are taken out of the
// table of spans.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "goruntime/color_table.h"
#include "goruntime/globals.h"
#include "goruntime/goroutine_groups.h"
#include "goruntime/goroutines.h"
#include "goruntime/reach.h"
#include "goruntime/spans.h"
#include "goruntime/stack_maps.h"

namespace memwhy::goruntime {

class HeapWalk {
 public:
  using Color = ColorTable::Color;
  static constexpr Color kShared = 0;  // reached in two colors
  static constexpr Color kFirst = 1;

  struct Object {
    uint64_t address = 0;
    const Span* span = nullptr;
    uint64_t bytes() const { return span->large ? span->bytes() : span->element_bytes; }
  };
  struct Work {                   // an object to look through; there may be a million at once
    uint32_t span = 0, slot = 0;  // indexes
    Color color = 0;
    uint32_t pieces = 0;  // of kPieceBytes, done
  };
  using Queue = std::deque<Work>;
  // What refers to an object without pointers: `whole`, or as many bytes of it as the lengths next to the pointers.
  struct Pin {
    uint64_t used = 0;
    bool whole = false;
  };
  // The groups of slots that one table of a map refers to (Go 1.24 and later).
  struct MapGroups {
    uint32_t entries = 0, slots = 0;
  };

  HeapWalk(remote::RemoteMemory& memory, const Globals& globals, SpanTable& spans, const GoroutineList& list,
           const ReachBudget& budget);

  // Roots. What they refer to waits in the queue. `color_of`: of the word of a variable, asked for if it may refer to something.
  void scan_variables(const std::function<Color(uint64_t address)>& color_of);
  // What the words of variables contain; nothing is visited.
  void each_variable_word(const std::function<void(uint64_t address, uint64_t value)>& take);
  void scan_goroutines(Members which, Color color);
  void visit(uint64_t value, Color color) { refer(value, color, nullptr); }

  // Nearest first: what a budget cuts off is what is far from the roots.
  void drain();
  void step();  // the next piece of the first object in the queue
  Queue& queue() { return work_; }
  bool exhausted();
  void allow_more(uint64_t objects, uint64_t bytes);  // on top of what was allowed, or is used

  // From here on references to objects of so many bytes and without pointers are noted.
  void note_pins(uint64_t least_bytes) { least_pin_bytes_ = least_bytes; }
  const std::unordered_map<uint64_t, Pin>& pins() const { return pins_; }
  const std::unordered_map<uint64_t, MapGroups>& map_groups() const { return map_groups_; }

  const ColorTable& seen() const { return seen_; }
  const Span* span_of(uint64_t address) const;  // of an object
  bool object_of(uint64_t address, Object& out) const;
  std::vector<uint64_t> allocated_at(uint64_t object) const;

  bool finished() const { return finished_; }
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t stacks_by_map() const { return stacks_by_map_; }
  uint64_t stacks_by_word() const { return stacks_by_word_; }

 private:
  using Bytes = std::vector<std::byte>;
  struct CachedPage {
    uint64_t number = ~uint64_t{0};
    bool any = false;    // something of it is resident
    uint64_t ahead = 0;  // with which pages it was read
    Bytes bytes;
  };
  // A variable's range, and the mask of its pointers: a bit for each of its words.
  struct Root {
    AddressRange range;
    std::vector<uint8_t> mask;
  };

  const Span* any_span_of(uint64_t address) const;
  void take_out_scheduler(SpanTable& spans);
  std::vector<Root> masked_roots();
  void scan_goroutine(const Goroutine& goroutine, Color color);
  bool is_goroutine(const Bytes& object) const;
  bool read_block(uint64_t address, std::span<std::byte> into);
  bool copy_small(uint64_t address, std::span<std::byte> into);
  void read_ahead();
  CachedPage& cached(uint64_t page) { return cache_[page % cache_.size()]; }
  Object object_of(const Work& work) const;
  // `at`: its place in block_.
  using TakeWord = std::function<void(uint64_t address, size_t at)>;
  void each_root_word(const TakeWord& take);
  void each_masked_word(const Root& root, const TakeWord& take);
  void each_word(AddressRange range, const TakeWord& take);
  bool visit_pointers(const Object& object, Color color);
  void visit_block(Color color);
  // The word after a pointer; and of the table of a map, what it has of its groups.
  struct Beside {
    uint64_t length = 0;
    MapGroups groups;
  };
  const Beside* beside(size_t at);
  void refer(uint64_t value, Color color, const Beside* beside);
  void note_pin(const Object& object, uint64_t value, const Beside* beside);
  uint64_t lowest() const { return spans_.empty() ? ~uint64_t{0} : spans_.front().address; }
  uint64_t highest() const { return spans_.empty() ? 0 : spans_.back().address + spans_.back().bytes(); }

  bool in_heap(uint64_t address) const { return address >= lowest() && address < highest(); }

  remote::RemoteMemory& memory_;
  const Globals& globals_;
  const std::vector<Span>& spans_;
  const GoroutineList& list_;
  const ReachBudget& budget_;
  ColorTable seen_;
  std::unordered_map<uint64_t, Pin> pins_;
  std::unordered_map<uint64_t, MapGroups> map_groups_;
  Queue work_;
  std::vector<CachedPage> cache_;
  uint64_t aheads_ = 0;
  Bytes block_;  // the object being visited
  Beside beside_;
  StackMaps maps_;
  uint64_t least_pin_bytes_ = 0;  // 0: none are noted
  uint64_t bytes_read_ = 0, bytes_absent_ = 0, stacks_by_map_ = 0, stacks_by_word_ = 0;
  uint64_t most_objects_, most_bytes_;  // until now
  bool finished_ = true;
};

}  // namespace memwhy::goruntime
