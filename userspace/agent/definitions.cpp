// SPDX-License-Identifier: Apache-2.0
#include "agent/definitions.h"

#include <algorithm>
#include <vector>

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

SpaceId space_of(const auto& definition) {
  if constexpr (requires { definition.space; })
    return definition.space;
  else
    return SpaceId::kNone;
}

}  // namespace

template <typename Map, typename Key, typename Value>
void Definitions::keep(Map& map, const Key& key, const Value& value, TimeNs now) {
  auto [at, added] = map.try_emplace(key);
  Value& known = at->second.value;
  if (!added) count(space_of(known), -static_cast<int64_t>(bytes_of(known)));
  known = value;
  at->second.used = now;
  count(space_of(known), static_cast<int64_t>(bytes_of(known)));
}

void Definitions::count(SpaceId space, int64_t bytes) {
  const auto more = static_cast<uint64_t>(bytes);  // or less: modulo 2^64 it is the same
  bytes_ += more;
  of_space_[space] += more;
  if (ended_.contains(space)) ended_bytes_ += more;
}

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
    of_space_.clear();
    ended_.clear();
    bytes_ = ended_bytes_ = 0;
    ++epoch_;
  }
  if (const auto* stack = std::get_if<events::Stack>(&event.payload))
    keep(stacks_, stack->id, *stack, event.time);
  else if (const auto* binary = std::get_if<events::BinaryInfo>(&event.payload))
    keep(binaries_, binary->id, *binary, event.time);
  else if (const auto* symbol = std::get_if<events::SymbolInfo>(&event.payload))
    keep(symbols_, std::pair(symbol->address, symbol->space), *symbol, event.time);
}

void Definitions::end(SpaceId space) {
  const auto known = of_space_.find(space);
  if (known == of_space_.end() || !ended_.insert(space).second) return;
  ended_bytes_ += known->second;
  if (ended_bytes_ > kMostOfEnded) forget_ended();
}

// The half that was used longest ago, but for names of stacks that stay.
void Definitions::forget_ended() {
  std::vector<TimeNs> times;
  const auto ended = [this](const auto& each) { return ended_.contains(space_of(each.second.value)); };
  for (const auto& each : stacks_)
    if (ended(each)) times.push_back(each.second.used);
  for (const auto& each : symbols_)
    if (ended(each)) times.push_back(each.second.used);
  if (times.empty()) return;
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());

  std::unordered_set<uint64_t> named;
  const auto forget = [&](const auto& each) {
    if (!ended(each) || each.second.used > *middle) return false;
    count(space_of(each.second.value), -static_cast<int64_t>(bytes_of(each.second.value)));
    return true;
  };
  std::erase_if(stacks_, forget);
  for (const auto& [id, stack] : stacks_) named.insert(stack.value.frames.begin(), stack.value.frames.end());
  std::erase_if(symbols_,
                [&](const auto& each) { return !named.contains(each.first.first) && forget(each); });
  std::erase_if(of_space_,
                [this](const auto& each) { return each.second == 0 && ended_.erase(each.first) != 0; });
  ++epoch_;
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
  if (found == stacks_.end()) return;
  found->second.used = now;
  if (!given.stacks.insert(id).second) return;
  for (const uint64_t address : found->second.value.frames) give_symbols(address, now, given, to);
  to.on_event({now, found->second.value});
}

// In every space that knows a name for it: programs that are started twice have the same code at the same place.
void Definitions::give_symbols(uint64_t address, TimeNs now, Given& given, events::EventSink& to) const {
  for (auto at = symbols_.lower_bound({address, SpaceId::kNone});
       at != symbols_.end() && at->first.first == address; ++at) {
    at->second.used = now;
    if (!given.symbols.insert(at->first).second) continue;
    give_binary(at->second.value.binary, now, given, to);
    to.on_event({now, at->second.value});
  }
}

void Definitions::give_binary(BinaryId id, TimeNs now, Given& given, events::EventSink& to) const {
  const auto found = binaries_.find(id);
  if (found == binaries_.end() || !given.binaries.insert(id).second) return;
  to.on_event({now, found->second.value});
}

}  // namespace memwhy::agent
