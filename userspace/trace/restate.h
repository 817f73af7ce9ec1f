// SPDX-License-Identifier: Apache-2.0
// Restatement: what each further part of a rotated recording must repeat so that it can be explained alone.
//
// What it is: the encoded messages of the last readings of each live space, and of every definition, with a
// mark of the part in which it was last written. Which kinds are which is kind_class.h's. What it is not: a model; it never
// looks into a scan or a table.
//
//   readings     space 1: SpaceStart · VmaList t=3601.2 · RuntimePages go t=3598.0 · PageScan t=3598.0 ... -> prologue
//   definitions  stack 9 {part 2}  symbols of its frames {part 2}  binary 1 {part 1} -> before first use
//
// Memory: readings of ended spaces are dropped at once. Definitions beyond a limit make room by
// dropping those that the current part did not use; an event may then name a stack that its part does not
// define, and the reader says so.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "events/event.h"
#include "trace/format.h"

namespace memwhy::trace {

constexpr uint64_t kMaxDefinitionBytes = 64u << 20;
constexpr TimeNs kOldestReadingNs = 300'000'000'000;  // older ones say nothing about the new part

struct Record {
  EventKind kind{};
  TimeNs time = 0;
  std::string message;  // encoded
  uint64_t scan = 0;    // of a reading that belongs to a page scan: its number
};

class Restatement {
 public:
  // Without rotation only definitions are kept, to write each once.
  explicit Restatement(bool keep_readings, uint64_t max_definition_bytes = kMaxDefinitionBytes)
      : keep_readings_(keep_readings), max_definition_bytes_(max_definition_bytes) {}

  using Emit = std::function<void(EventKind, std::string_view message)>;

  // false: this very definition is already in this part and need not be written again.
  bool remember(const events::Event& event, EventKind kind, std::string_view message);
  // Gives the definitions that `event` needs and that this part does not have yet.
  void define_for(const events::Event& event, const Emit& emit);

  uint64_t definition_bytes() const { return definition_bytes_; }
  uint64_t made_room() const { return made_room_; }  // how often

  // From now on nothing counts as written; the first events of the new part, in order of time.
  std::vector<Record> begin_part(uint32_t part, TimeNs now);

 private:
  struct Definition {
    std::string message;
    uint32_t part = 0;  // in which it was last written, from 1; 0: not yet
    BinaryId binary{};  // of a symbol
  };
  struct SymbolKey {
    uint64_t address = 0;
    uint32_t space = 0;
    bool is_return = false;
    auto operator<=>(const SymbolKey&) const = default;
  };
  struct Readings {
    // By kind and reading_of(). What belongs to a scan waits in `coming` until that scan has passed, so that a part which is
    // begun between them has both: the last scan with what belongs to it, and what belongs to the next one.
    using Records = std::map<std::pair<EventKind, std::string>, Record>;
    Records last, coming;
    BinaryId exe{};
  };

  void remember_reading(const events::Event& event, EventKind kind, std::string_view message);
  static void scan_told(Readings& readings, uint64_t scan);
  bool define(Definition& entry, std::string_view message);
  void name_all(const events::Payload& payload, const Emit& emit);
  void write_stack(StackId id, const Emit& emit);
  void write_symbols(uint64_t address, const Emit& emit);
  void write_binary(BinaryId id, const Emit& emit);
  void make_room();

  bool keep_readings_;
  const uint64_t max_definition_bytes_;
  uint32_t part_ = 0;
  std::map<EventKind, Record> recording_;  // the last of each
  std::optional<Record> first_anchor_;     // recording_ has the last
  std::map<SpaceId, Readings> spaces_;
  std::unordered_map<uint32_t, Definition> stacks_, binaries_;
  std::map<SymbolKey, Definition> symbols_;
  uint64_t definition_bytes_ = 0, made_room_ = 0;
};

}  // namespace memwhy::trace
