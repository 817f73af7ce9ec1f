// SPDX-License-Identifier: Apache-2.0
// The parts of a Perfetto trace that have names and stacks: heap profiles, and mappings at each scan. Names, frames and
// stacks are interned: written once, in the packet that needs them first, and meant by number from then on.
#include <algorithm>
#include <map>
#include <vector>

#include "export/perfetto.h"
#include "export/perfetto_fields.h"

namespace memwhy::exports {
namespace {

namespace p = perfetto;

struct Amount {
  uint64_t bytes = 0, count = 0;
};

// One heap, which is an owner. A stack is in it once: trace_processor takes a second value for a later one.
struct HeapDump {
  std::string name;
  std::map<uint64_t, Amount> stacks;  // by number
};

std::string message_of(const HeapDump& dump, Pid pid, TimeNs time) {
  std::string out;
  protozero::pbf_writer heap(out);
  heap.add_uint64(p::kHeapPid, static_cast<uint64_t>(pid));
  heap.add_uint64(p::kHeapTime, time);
  heap.add_string(p::kHeapName, dump.name);
  heap.add_uint64(p::kHeapInterval, 1);  // nothing is sampled: every page is counted
  for (const auto& [stack, amount] : dump.stacks) {
    protozero::pbf_writer sample(heap, p::kHeapSample);
    sample.add_uint64(p::kSampleStack, stack);
    sample.add_uint64(p::kSampleBytes, amount.bytes);
    sample.add_uint64(p::kSampleCount, amount.count);
  }
  return out;
}

}  // namespace

uint64_t PerfettoWriter::string(uint32_t kind, std::string_view text, std::string& interned) {
  const auto [found, added] = strings_.try_emplace({kind, std::string(text)}, strings_.size() + 1);
  if (added) {
    Pbf pbf(interned);
    Pbf entry(pbf, kind);
    entry.add_uint64(p::kIid, found->second);
    entry.add_bytes(p::kString, text.data(), text.size());
  }
  return found->second;
}

// The number of each place of the table.
std::vector<uint64_t> PerfettoWriter::frames(const SampleTable& table, const CodeFiles& code,
                                             std::string& interned) {
  const uint64_t first_mapping = mappings_ + 1;
  for (const CodeFile& file : code.files()) {
    const uint64_t name = string(p::kMappingPaths, clean(file.module), interned);
    const uint64_t build = file.build_id.empty() ? 0 : string(p::kBuildIds, clean(file.build_id), interned);
    Pbf pbf(interned);
    Pbf entry(pbf, p::kMappings);
    entry.add_uint64(p::kIid, ++mappings_);
    if (build != 0) entry.add_uint64(p::kMappingBuildId, build);
    entry.add_uint64(p::kMappingStart, file.range.start);
    entry.add_uint64(p::kMappingEnd, file.range.end);
    entry.add_uint64(p::kMappingOffset, file.offset);
    entry.add_uint64(p::kMappingPath, name);
  }
  const uint64_t stand_ins = ++mappings_;  // a frame needs a mapping
  {
    const uint64_t name = string(p::kMappingPaths, "[memwhy]", interned);
    Pbf pbf(interned);
    Pbf entry(pbf, p::kMappings);
    entry.add_uint64(p::kIid, stand_ins);
    entry.add_uint64(p::kMappingPath, name);
  }
  std::vector<uint64_t> numbers;
  for (const Place& place : table.places()) {
    const uint64_t name = string(p::kFunctionNames, place.name, interned);
    const uint64_t source = place.file.empty() ? 0 : string(p::kSourcePaths, place.file, interned);
    const bool in_code = place.frame != nullptr && place.frame->address != 0;
    Pbf pbf(interned);
    Pbf entry(pbf, p::kFrames);
    entry.add_uint64(p::kIid, ++frames_);
    entry.add_uint64(p::kFrameFunction, name);
    entry.add_uint64(p::kFrameMapping, in_code ? first_mapping + code.of(*place.frame) : stand_ins);
    entry.add_uint64(p::kFramePc, place.frame != nullptr ? place.frame->offset : 0);
    if (source != 0) {
      entry.add_uint64(p::kFrameSource, source);
      entry.add_uint32(p::kFrameLine, place.line);
    }
    numbers.push_back(frames_);
  }
  return numbers;
}

void PerfettoWriter::heap_profiles(const explain::ProcessExplanation& process) {
  const SampleTable table(process);
  const CodeFiles code(process);
  std::string interned;
  const std::vector<uint64_t> numbers = frames(table, code, interned);
  std::map<std::vector<uint32_t>, uint64_t> stacks;
  const auto stack_of = [&](const std::vector<uint32_t>& places) {
    const auto [found, added] = stacks.try_emplace(places, stacks_ + 1);
    if (!added) return found->second;
    ++stacks_;
    std::vector<uint64_t> outermost_first;
    for (auto place = places.rbegin(); place != places.rend(); ++place)
      outermost_first.push_back(numbers[*place]);
    Pbf pbf(interned);
    Pbf entry(pbf, p::kCallstacks);
    entry.add_uint64(p::kIid, stacks_);
    for (const uint64_t frame : outermost_first) entry.add_uint64(p::kStackFrames, frame);
    return stacks_;
  };
  std::vector<HeapDump> dumps;
  const auto count = [&](std::string_view heap, const std::vector<uint32_t>& places, uint64_t bytes) {
    auto dump =
        std::find_if(dumps.begin(), dumps.end(), [&](const HeapDump& each) { return each.name == heap; });
    if (dump == dumps.end()) dump = dumps.insert(dump, {std::string(heap), {}});
    Amount& amount = dump->stacks[stack_of(places)];
    amount.bytes += bytes;
    amount.count += bytes / kPageBytes;
  };
  for (const Sample& sample : table.resident()) count(sample.owner, sample.places, sample.bytes);
  for (const AllocatedSample& sample : table.allocated())
    count("go.heap.profile", sample.places, sample.bytes);

  std::string profile;
  for (const HeapDump& dump : dumps)
    Pbf(profile).add_message(p::kDumps, message_of(dump, process.pid, *process.scan_time));
  packet(p::kInternedData, interned, *process.scan_time);
  packet(p::kProfilePacket, profile, *process.scan_time);
}

void PerfettoWriter::smaps(const explain::ProcessExplanation& process) {
  const SpaceScans* const space =
      process.scan_time ? material_.scans.of(process.pid, *process.scan_time) : nullptr;
  if (space == nullptr) return;
  const auto kib = [](uint64_t pages) { return pages * (kPageBytes >> 10); };
  for (const MappingScan& scan : space->scans) {
    std::string out;
    Pbf pbf(out);
    pbf.add_uint32(p::kSmapsPid, static_cast<uint32_t>(process.pid));
    std::string packed;
    Pbf columns(packed);
    std::vector<uint64_t> ids, sizes, rss, anon, swap;
    columns.add_string(p::kPackedNames, "");
    for (const MappingPages& each : scan.mappings) {
      const std::string name = clean(space->names[each.name]);
      Pbf entry(pbf, p::kSmapsEntry);  // what trace_processor read before v56
      entry.add_string(p::kEntryPath, name);
      entry.add_uint64(p::kEntrySizeKb, each.virtual_bytes >> 10);
      entry.add_uint64(p::kEntryPrivateDirtyKb, kib(each.pages - each.file_pages));
      entry.add_uint64(p::kEntrySwapKb, kib(each.swapped));
      entry.commit();
      columns.add_string(p::kPackedNames, name);
      ids.push_back(ids.size() + 1);
      sizes.push_back(each.virtual_bytes >> 10);
      rss.push_back(kib(each.pages));
      anon.push_back(kib(each.pages - each.file_pages));
      swap.push_back(kib(each.swapped));
    }
    columns.add_packed_uint32(p::kPackedNameId, ids.begin(), ids.end());
    columns.add_packed_uint64(p::kPackedSizeKb, sizes.begin(), sizes.end());
    columns.add_packed_uint64(p::kPackedRssKb, rss.begin(), rss.end());
    columns.add_packed_uint64(p::kPackedAnonKb, anon.begin(), anon.end());
    columns.add_packed_uint64(p::kPackedSwapKb, swap.begin(), swap.end());
    pbf.add_message(p::kSmapsPacked, packed);
    pbf.add_enum(p::kSmapsRecording, p::kStandalone);
    packet(p::kSmapsPacket, out, scan.time);
  }
}

}  // namespace memwhy::exports
