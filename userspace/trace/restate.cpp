// SPDX-License-Identifier: Apache-2.0
#include "trace/restate.h"

#include <algorithm>

#include "events/code.h"
#include "trace/kind_class.h"
#include "trace/messages.h"

namespace memwhy::trace {
namespace {

constexpr uint64_t kEntryBytes = 160;  // about what an entry costs beside its message
constexpr size_t kMostCgroups = 4096;  // whose last reading is kept

std::string info_of_part(std::string_view message, uint32_t part) {
  events::Payload payload;
  if (!decode_message(EventKind::kRecordingInfo, message, payload)) return std::string(message);
  auto& info = std::get<events::RecordingInfo>(payload);
  info.part = part;
  std::string out;
  encode_message(info, out);
  return out;
}

}  // namespace

bool Restatement::define(Definition& entry, std::string_view message) {
  const bool known = entry.part == part_ + 1 && entry.message == message;
  if (entry.part == 0) definition_bytes_ += kEntryBytes;
  definition_bytes_ += message.size() - entry.message.size();
  entry.message = message;
  entry.part = part_ + 1;
  return !known;
}

bool Restatement::remember(const events::Event& event, EventKind kind, std::string_view message) {
  const auto& payload = event.payload;
  if (const auto* binary = std::get_if<events::BinaryInfo>(&payload)) {
    make_room();
    return define(binaries_[static_cast<uint32_t>(binary->id)], message);
  }
  if (const auto* symbol = std::get_if<events::SymbolInfo>(&payload)) {
    make_room();
    Definition& entry = symbols_[{symbol->address, static_cast<uint32_t>(symbol->space), symbol->is_return}];
    entry.binary = symbol->binary;
    return define(entry, message);
  }
  if (const auto* stack = std::get_if<events::Stack>(&payload)) {
    make_room();
    return define(stacks_[static_cast<uint32_t>(stack->id)], message);
  }
  if (keep_readings_) remember_reading(event, kind, message);
  return true;
}

void Restatement::remember_reading(const events::Event& event, EventKind kind, std::string_view message) {
  // Half a pass replaces no whole one.
  if (const auto* scan = std::get_if<events::PageScan>(&event.payload); scan != nullptr && !scan->complete)
    return;
  const auto record = [&] { return Record{kind, event.time, std::string(message), 0}; };
  if (const auto* end = std::get_if<events::SpaceEnd>(&event.payload)) spaces_.erase(end->space);
  std::visit(
      [&](const auto& reading) {
        using T = std::decay_t<decltype(reading)>;
        if constexpr (ClassOf<T>::value == KindClass::kRecording) {
          recording_[kind] = record();
        } else if constexpr (ClassOf<T>::value == KindClass::kReading) {
          Readings& readings = spaces_[space_of(reading)];
          if (space_of(reading) == SpaceId::kNone && readings.last.size() > kMostCgroups)
            readings.last
                .clear();  // of a machine where they come and go: those that stay are read again in a second
          Record now = record();
          if constexpr (requires { reading.scan; }) now.scan = reading.scan;
          if constexpr (std::is_same_v<T, events::PageScan>) scan_told(readings, now.scan);
          const bool waits = now.scan != 0 && !std::is_same_v<T, events::PageScan>;
          (waits ? readings.coming : readings.last)[{kind, std::string(reading_of(reading))}] =
              std::move(now);
        }
      },
      event.payload);
  if (const auto* start = std::get_if<events::SpaceStart>(&event.payload))
    spaces_[start->space].exe = start->exe_binary;
  if (kind == EventKind::kClockAnchor && !first_anchor_) first_anchor_ = record();
}

// What belongs to this scan is what the next part opens with; what belongs to earlier ones says nothing any more.
void Restatement::scan_told(Readings& readings, uint64_t scan) {
  std::erase_if(readings.last, [](const auto& each) { return each.second.scan != 0; });
  for (auto& [key, record] : readings.coming)
    if (record.scan == scan) readings.last[key] = std::move(record);
  readings.coming.clear();
}

void Restatement::define_for(const events::Event& event, const Emit& emit) {
  if (part_ == 0) return;  // in the first part they all came by themselves
  events::for_each_stack(event.payload, [&](StackId id) { write_stack(id, emit); });
  if (const auto* symbol = std::get_if<events::SymbolInfo>(&event.payload))
    write_binary(symbol->binary, emit);
  name_all(event.payload, emit);
}

// Of an event that names code by address.
void Restatement::name_all(const events::Payload& payload, const Emit& emit) {
  std::vector<uint64_t> addresses;
  events::for_each_code(payload, [&](std::span<const uint64_t> code, bool /*first_is_exact*/) {
    addresses.insert(addresses.end(), code.begin(), code.end());
  });
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  for (const uint64_t address : addresses) write_symbols(address, emit);
}

void Restatement::write_stack(StackId id, const Emit& emit) {
  const auto found = stacks_.find(static_cast<uint32_t>(id));
  if (found == stacks_.end() || found->second.part == part_ + 1) return;
  found->second.part = part_ + 1;
  emit(EventKind::kStack, found->second.message);
  events::Payload stack;
  if (!decode_message(EventKind::kStack, found->second.message, stack)) return;
  for (const uint64_t address : std::get<events::Stack>(stack).frames) write_symbols(address, emit);
}

// In every space that knows a name for it: a forked child uses its parent's stacks, and names.
void Restatement::write_symbols(uint64_t address, const Emit& emit) {
  for (auto symbol = symbols_.lower_bound({address, 0, false});
       symbol != symbols_.end() && symbol->first.address == address; ++symbol) {
    if (symbol->second.part == part_ + 1) continue;
    symbol->second.part = part_ + 1;
    write_binary(symbol->second.binary, emit);
    emit(EventKind::kSymbolInfo, symbol->second.message);
  }
}

void Restatement::write_binary(BinaryId id, const Emit& emit) {
  const auto found = binaries_.find(static_cast<uint32_t>(id));
  if (found == binaries_.end() || found->second.part == part_ + 1) return;
  found->second.part = part_ + 1;
  emit(EventKind::kBinaryInfo, found->second.message);
}

void Restatement::make_room() {
  if (definition_bytes_ <= max_definition_bytes_) return;
  ++made_room_;
  const auto drop_unused = [this](auto& entries, bool all) {
    std::erase_if(entries, [&](const auto& entry) {
      const bool drop = all || entry.second.part != part_ + 1;
      if (drop) definition_bytes_ -= entry.second.message.size() + kEntryBytes;
      return drop;
    });
  };
  drop_unused(stacks_, false);
  drop_unused(symbols_, false);
  drop_unused(binaries_, false);
  // Everything is in use in this part: forgetting it costs repetition in this part and names in later ones.
  if (definition_bytes_ > max_definition_bytes_ / 2) {
    drop_unused(stacks_, true);
    drop_unused(symbols_, true);
    drop_unused(binaries_, true);
  }
}

std::vector<Record> Restatement::begin_part(uint32_t part, TimeNs now) {
  part_ = part;
  std::vector<Record> readings;
  TimeNs earliest = now;
  for (const auto& [space, reading] : spaces_) {
    for (const auto* records : {&reading.last, &reading.coming}) {
      for (const auto& [key, record] : *records) {
        if (record.kind == EventKind::kSpaceStart || record.time + kOldestReadingNs < now) continue;
        readings.push_back(record);
        earliest = std::min(earliest, record.time);
      }
    }
  }
  // Of one time the scan is the last: what belongs to it comes before it.
  std::stable_sort(readings.begin(), readings.end(), [](const Record& a, const Record& b) {
    return std::pair(a.time, a.kind == EventKind::kPageScan) <
           std::pair(b.time, b.kind == EventKind::kPageScan);
  });

  std::vector<Record> out;
  const auto say = [&](EventKind kind, std::string_view message) {
    out.push_back({kind, earliest, std::string(message), 0});
  };
  for (const auto& [kind, record] : recording_) {  // RecordingInfo is the first of the kinds
    if (kind == EventKind::kRecordingInfo) {
      say(kind, info_of_part(record.message, part));
      continue;
    }
    if (kind == EventKind::kClockAnchor && first_anchor_->message != record.message)
      say(kind, first_anchor_->message);
    say(kind, record.message);
  }
  for (const auto& [space, reading] : spaces_) {
    write_binary(reading.exe, say);
    const auto start = reading.last.find({EventKind::kSpaceStart, ""});
    if (start != reading.last.end()) say(EventKind::kSpaceStart, start->second.message);
  }
  for (const Record& record : readings) {
    events::Payload payload;
    if (decode_message(record.kind, record.message, payload)) name_all(payload, say);
  }
  out.insert(out.end(), readings.begin(), readings.end());
  return out;
}

}  // namespace memwhy::trace
