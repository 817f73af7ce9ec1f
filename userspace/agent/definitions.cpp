// SPDX-License-Identifier: Apache-2.0
#include "agent/definitions.h"

#include "events/code.h"

namespace memwhy::agent {
namespace {

constexpr uint64_t kEntryBytes = 200;  // about what an entry costs beside its text

uint64_t bytes_of(const events::Stack& stack) { return kEntryBytes + stack.frames.size() * sizeof(uint64_t); }
uint64_t bytes_of(const events::BinaryInfo& binary) {
  uint64_t bytes = kEntryBytes + binary.path.size() + binary.code.size() * sizeof(events::CodeSegment);
  for (const events::ProgramVariable& variable : binary.variables)
    bytes += kEntryBytes + variable.name.size();
  if (binary.go)
    for (const std::string& module : binary.go->modules) bytes += kEntryBytes / 4 + module.size();
  return bytes;
}
uint64_t bytes_of(const events::SymbolInfo& symbol) {
  uint64_t bytes = kEntryBytes;
  for (const events::SourceFrame& frame : symbol.frames)
    bytes += kEntryBytes / 2 + frame.function.size() + frame.file.size();
  return bytes;
}

template <typename Map, typename Key, typename Value>
void keep(Map& map, const Key& key, const Value& value, uint64_t& bytes) {
  auto [at, added] = map.try_emplace(key);
  if (!added) bytes -= bytes_of(at->second);
  at->second = value;
  bytes += bytes_of(value);
}

}  // namespace

bool Definitions::is_definition(const events::Event& event) {
  return std::holds_alternative<events::Stack>(event.payload) ||
         std::holds_alternative<events::SymbolInfo>(event.payload) ||
         std::holds_alternative<events::BinaryInfo>(event.payload);
}

void Definitions::remember(const events::Event& event) {
  if (bytes_ > kMostBytes) {
    stacks_.clear();
    binaries_.clear();
    symbols_.clear();
    bytes_ = 0;
    ++epoch_;
  }
  if (const auto* stack = std::get_if<events::Stack>(&event.payload))
    keep(stacks_, stack->id, *stack, bytes_);
  else if (const auto* binary = std::get_if<events::BinaryInfo>(&event.payload))
    keep(binaries_, binary->id, *binary, bytes_);
  else if (const auto* symbol = std::get_if<events::SymbolInfo>(&event.payload))
    keep(symbols_, std::pair(symbol->address, symbol->space), *symbol, bytes_);
}

// What it was given of what is forgotten by now does not count: the same id may come again with more.
void Definitions::renew(Given& given) const {
  if (given.epoch == epoch_) return;
  given = {};
  given.epoch = epoch_;
}

bool Definitions::wanted(const events::Event& definition, const Given& given, bool own_space) const {
  if (const auto* stack = std::get_if<events::Stack>(&definition.payload))
    return own_space || given.stacks.contains(stack->id);
  if (const auto* symbol = std::get_if<events::SymbolInfo>(&definition.payload))
    return own_space || given.symbols.contains({symbol->address, symbol->space});
  const auto* binary = std::get_if<events::BinaryInfo>(&definition.payload);
  return binary != nullptr && given.binaries.contains(binary->id);
}

void Definitions::give_for(const events::Event& event, Given& given, events::EventSink& to) const {
  renew(given);
  events::for_each_stack(event.payload, [&](StackId id) { give_stack(id, event.time, given, to); });
  events::for_each_code(event.payload, [&](std::span<const uint64_t> code, bool /*first_is_exact*/) {
    for (const uint64_t address : code) give_symbols(address, event.time, given, to);
  });
  if (const auto* start = std::get_if<events::SpaceStart>(&event.payload))
    give_binary(start->exe_binary, event.time, given, to);
}

void Definitions::give(const events::Event& definition, Given& given, events::EventSink& to) const {
  renew(given);
  if (const auto* stack = std::get_if<events::Stack>(&definition.payload)) {
    given.stacks.erase(stack->id);
    give_stack(stack->id, definition.time, given, to);
  } else if (const auto* symbol = std::get_if<events::SymbolInfo>(&definition.payload)) {
    given.symbols.insert({symbol->address, symbol->space});
    give_binary(symbol->binary, definition.time, given, to);
    to.on_event(definition);
  } else if (const auto* binary = std::get_if<events::BinaryInfo>(&definition.payload)) {
    given.binaries.insert(binary->id);
    to.on_event(definition);
  }
}

void Definitions::give_stack(StackId id, TimeNs now, Given& given, events::EventSink& to) const {
  const auto found = stacks_.find(id);
  if (found == stacks_.end() || !given.stacks.insert(id).second) return;
  for (const uint64_t address : found->second.frames) give_symbols(address, now, given, to);
  to.on_event({now, found->second});
}

// In every space that knows a name for it: programs that are started twice have the same code at the same place.
void Definitions::give_symbols(uint64_t address, TimeNs now, Given& given, events::EventSink& to) const {
  for (auto at = symbols_.lower_bound({address, SpaceId::kNone});
       at != symbols_.end() && at->first.first == address; ++at) {
    if (!given.symbols.insert(at->first).second) continue;
    give_binary(at->second.binary, now, given, to);
    to.on_event({now, at->second});
  }
}

void Definitions::give_binary(BinaryId id, TimeNs now, Given& given, events::EventSink& to) const {
  const auto found = binaries_.find(id);
  if (found == binaries_.end() || !given.binaries.insert(id).second) return;
  to.on_event({now, found->second});
}

}  // namespace memwhy::agent
