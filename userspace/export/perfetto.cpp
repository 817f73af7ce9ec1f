// SPDX-License-Identifier: Apache-2.0
#include "export/perfetto.h"

#include <algorithm>
#include <array>
#include <set>

#include "export/perfetto_fields.h"
#include "report/names.h"

namespace memwhy::exports {
namespace {

namespace p = perfetto;

constexpr uint32_t kOurSequence = 1;
// Tracks of process n: n << 16 is its own, and these are added to it. Counters follow the last.
constexpr uint64_t kTracksOfProcess = uint64_t{1} << 16;
constexpr uint64_t kOwnersTrack = 1, kCollectionsTrack = 2, kEventsTrack = 3, kFirstCounter = 16;

using PbfWriter = protozero::pbf_writer;

std::string event_of(uint32_t type, uint64_t track) {
  std::string out;
  PbfWriter pbf(out);
  pbf.add_enum(p::kEventType, static_cast<int32_t>(type));
  pbf.add_uint64(p::kEventTrack, track);
  return out;
}

void annotate(std::string& event, std::string_view name, uint64_t value) {
  std::string out;
  PbfWriter pbf(out);
  pbf.add_string(p::kAnnotationName, name.data(), name.size());
  pbf.add_uint64(p::kAnnotationUint, value);
  PbfWriter(event).add_message(p::kAnnotation, out);
}

void annotate(std::string& event, std::string_view name, const std::string& value) {
  std::string out;
  PbfWriter pbf(out);
  pbf.add_string(p::kAnnotationName, name.data(), name.size());
  pbf.add_string(p::kAnnotationString, value);
  PbfWriter(event).add_message(p::kAnnotation, out);
}

}  // namespace

void PerfettoWriter::packet(uint32_t tag, const std::string& message, TimeNs time) {
  std::string out;
  Pbf pbf(out);
  if (time != 0) pbf.add_uint64(p::kTimestamp, time);
  pbf.add_uint32(p::kSequenceId, kOurSequence);
  pbf.add_uint32(p::kSequenceFlags, first_ ? p::kStateCleared : p::kStateNeeded);
  if (first_) {
    Pbf defaults(pbf, p::kPacketDefaults);
    defaults.add_uint32(p::kDefaultClock, p::kMonotonic);
  }
  first_ = false;
  pbf.add_message(tag, message);
  std::string framed;
  Pbf(framed).add_message(p::kPacket, out);
  out_.put(framed);
}

void PerfettoWriter::write() {
  clocks();
  uint64_t number = 1;
  for (const explain::ProcessExplanation* process : present(material_.explanation)) add(*process, number++);
}

void PerfettoWriter::clocks() {
  const TimeNs start = material_.explanation.start;
  // Without an anchor there is one clock.
  const events::ClockAnchor anchor =
      material_.explanation.clock.last().value_or(events::ClockAnchor{start, start, start, 0});
  const std::array<std::pair<uint32_t, uint64_t>, 4> readings = {{{p::kMonotonic, anchor.monotonic_ns},
                                                                  {p::kMonotonicCoarse, anchor.monotonic_ns},
                                                                  {p::kBoottime, anchor.boottime_ns},
                                                                  {p::kRealtime, anchor.realtime_ns}}};
  std::string out;
  Pbf pbf(out);
  for (const auto& [clock, time] : readings) {
    Pbf reading(pbf, p::kClocks);
    reading.add_uint32(p::kClockId, clock);
    reading.add_uint64(p::kClockTime, time);
  }
  pbf.add_enum(p::kPrimaryClock, p::kMonotonic);
  packet(p::kClockSnapshot, out);
}

void PerfettoWriter::add(const explain::ProcessExplanation& process, uint64_t number) {
  process_tree(process);
  const uint64_t own = number * kTracksOfProcess;
  std::string out;
  Pbf pbf(out);
  pbf.add_uint64(p::kTrackUuid, own);
  {
    Pbf in_process(pbf, p::kTrackProcess);
    in_process.add_int32(p::kTrackPid, process.pid);
    in_process.add_string(p::kTrackProcessName, clean(process.comm));
  }
  packet(p::kTrackDescriptor, out);
  counters(process, own);
  rss(process);
  if (process.go) {
    track(own + kCollectionsTrack, own, "GC", false);
    collections(process, own + kCollectionsTrack);
  }
  track(own + kEventsTrack, own, "Events", false);
  instants(process, own + kEventsTrack);
  if (process.scan_time) heap_profiles(process);
  smaps(process);
}

void PerfettoWriter::process_tree(const explain::ProcessExplanation& process) {
  std::string out;
  Pbf pbf(out);
  {
    Pbf one(pbf, p::kProcesses);
    one.add_int32(p::kTreePid, process.pid);
    one.add_string(p::kTreeCommandLine, clean(process.comm));
    one.add_bool(p::kCommandLineIsComm, true);
  }
  packet(p::kProcessTree, out, material_.explanation.start);
}

// A track with a process as its parent would be drawn beside it, except counters in a group.
void PerfettoWriter::track(uint64_t uuid, uint64_t parent, std::string_view name, bool counter,
                           uint64_t rank) {
  std::string out;
  Pbf pbf(out);
  pbf.add_uint64(p::kTrackUuid, uuid);
  pbf.add_uint64(p::kTrackParent, parent);
  pbf.add_string(p::kTrackName, name.data(), name.size());
  if (counter) {
    pbf.add_int32(p::kTrackRank, static_cast<int32_t>(rank));
    Pbf unit(pbf, p::kTrackCounter);
    unit.add_enum(p::kUnit, p::kUnitBytes);
    unit.add_string(p::kSharedAxis, "bytes");
  } else {
    pbf.add_enum(p::kTrackOrdering, p::kOrderExplicit);
  }
  packet(p::kTrackDescriptor, out);
}

void PerfettoWriter::counters(const explain::ProcessExplanation& process, uint64_t own) {
  track(own + kOwnersTrack, own, "Memory by owner", false);
  std::map<explain::Owner, uint64_t> tracks;
  const auto track_of = [&](explain::Owner owner) {
    const auto [found, added] = tracks.try_emplace(owner, own + kFirstCounter + tracks.size());
    if (added)
      track(found->second, own + kOwnersTrack, process.attribution.owner_id(owner), true, tracks.size());
    return found->second;
  };
  // In the order of the ledger; owners that only the past had come last.
  for (const explain::LedgerLine& line : process.ledger) track_of(line.owner);
  for (const explain::TimelinePoint& point : process.timeline) {
    if (point.ledger.empty()) continue;
    for (const explain::OwnerAmount& amount : point.ledger) track_of(amount.owner);
    for (const auto& [owner, uuid] : tracks) {
      uint64_t bytes = 0;  // owners without bytes are left out there, and a counter keeps its value
      for (const explain::OwnerAmount& amount : point.ledger)
        if (amount.owner == owner) bytes = amount.bytes;
      std::string event = event_of(p::kCounter, uuid);
      Pbf(event).add_int64(p::kCounterValue, static_cast<int64_t>(bytes));
      packet(p::kTrackEvent, event, point.time);
    }
  }
}

void PerfettoWriter::rss(const explain::ProcessExplanation& process) {
  for (const explain::TimelinePoint& point : process.timeline) {
    std::string out;
    Pbf pbf(out);
    {
      Pbf one(pbf, p::kProcesses);
      one.add_int32(p::kStatsPid, process.pid);
      one.add_uint64(p::kRssKb, point.rss_bytes >> 10);
      if (process.scan_time == point.time) {
        one.add_uint64(p::kAnonKb, process.rss.anon >> 10);
        one.add_uint64(p::kFileKb, process.rss.file >> 10);
        one.add_uint64(p::kShmemKb, process.rss.shmem >> 10);
      }
    }
    packet(p::kProcessStats, out, point.time);
  }
}

// From what was seen of a collection: when it ended, and for how long it marked, else how long it stopped the world.
void PerfettoWriter::collections(const explain::ProcessExplanation& process, uint64_t uuid) {
  TimeNs free_from = 0;  // slices of a track may not overlap
  for (const explain::TimelineEvent& event : process.events) {
    if (!event.gc) continue;
    const uint64_t took = std::max(event.gc->mark_ns.value_or(0), event.gc->pause_ns);
    const TimeNs begin = std::max(free_from, event.time > took ? event.time - took : 0);
    if (begin > event.time) continue;
    std::string slice = event_of(p::kBegin, uuid);
    Pbf pbf(slice);
    pbf.add_string(p::kEventCategory, "gc");
    pbf.add_string(p::kEventName, "GC");
    annotate(slice, "collection", uint64_t{event.gc->collection});
    annotate(slice, "pause_ns", event.gc->pause_ns);
    packet(p::kTrackEvent, slice, begin);
    packet(p::kTrackEvent, event_of(p::kEnd, uuid), event.time);
    free_from = event.time;
  }
}

void PerfettoWriter::instants(const explain::ProcessExplanation& process, uint64_t uuid) {
  for (const explain::TimelineEvent& event : process.events) {
    if (event.gc) continue;
    std::string instant = event_of(p::kInstant, uuid);
    Pbf pbf(instant);
    const std::string_view what = report::word(event.what);
    pbf.add_string(p::kEventCategory, "memory");
    pbf.add_string(p::kEventName, what.data(), what.size());
    annotate(instant, "text", clean(event.text, kMostSentence));
    if (event.bytes) annotate(instant, "bytes", *event.bytes);
    packet(p::kTrackEvent, instant, event.time);
  }
}

void write_perfetto(const Material& material, Output& out) { PerfettoWriter(material, out).write(); }

}  // namespace memwhy::exports
