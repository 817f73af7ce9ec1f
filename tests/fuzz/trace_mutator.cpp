// SPDX-License-Identifier: Apache-2.0
// How recordings are mutated. A mutation of the file's bytes would end at the first checksum; so the chunks are opened, what
// is in them is changed (a field anywhere in a message, a chunk, or whole events: dropped, repeated, moved, taken from
// another recording), and they are sealed again.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/support/check.h"
#include "fuzz/support/message.h"
#include "trace/batch.h"
#include "trace/chunk.h"
#include "trace/messages.h"
#include "trace/reader.h"

namespace memwhy::fuzz {
namespace {

constexpr size_t kMostEvents = 4000;        // that a mutation makes
constexpr size_t kMostPayload = 256 << 10;  // of a chunk that is opened
constexpr size_t kMostGrowth = 4096;

struct Chunk {
  trace::ChunkHeader header;
  std::string raw;
};

std::vector<Chunk> chunks_of(const trace::ByteSource& source) {
  std::vector<Chunk> out;
  trace::ChunkWalk walk(source, sizeof(trace::FileHeader));
  for (trace::ChunkStep step = walk.next(); step.what != trace::ChunkStep::What::kEnd; step = walk.next()) {
    if (step.what != trace::ChunkStep::What::kChunk || step.header.raw_bytes > kMostPayload) continue;
    if (const Result<std::string_view> raw = walk.payload()) out.push_back({step.header, std::string(*raw)});
  }
  return out;
}

std::string file_of(const std::vector<Chunk>& chunks, Random& random) {
  static trace::ChunkSealer sealer;
  trace::FileHeader header;
  header.hash = trace::hash_of(header);
  std::string file(reinterpret_cast<const char*>(&header), sizeof header);
  const bool in_sequence = !random.one_in(16);
  for (size_t i = 0; i < chunks.size(); ++i) {
    trace::ChunkHeader sealed = chunks[i].header;
    sealed.flags &= static_cast<uint8_t>(~trace::kZstd);
    if (in_sequence) sealed.sequence = static_cast<uint32_t>(i);
    file += sealer.seal(sealed, chunks[i].raw);
  }
  return file;
}

// As many events as the list of their kinds has, which is the first field.
void count_again(Chunk& chunk) {
  std::string_view rest = chunk.raw;
  if (take_varint(rest) != (1u << 3 | 2u)) return;
  std::string_view kinds = rest.substr(0);
  const uint64_t bytes = take_varint(kinds);
  kinds = kinds.substr(0, bytes);
  for (chunk.header.count = 0; !kinds.empty(); take_varint(kinds)) ++chunk.header.count;
}

void mutate_header(trace::ChunkHeader& header, Random& random) {
  switch (random.below(6)) {
    case 0:
      header.count = static_cast<uint32_t>(random.nasty());
      break;
    case 1:
      header.time_min = random.nasty();
      break;
    case 2:
      header.time_max = random.nasty();
      break;
    case 3:
      header.kind = static_cast<uint16_t>(random.below(4));
      break;
    case 4:
      header.flags ^= static_cast<uint8_t>(1u << random.below(8));
      break;
    default:
      header.sequence = static_cast<uint32_t>(random.near(header.sequence));
  }
}

void mutate_chunks(std::vector<Chunk>& chunks, size_t most_growth, Random& random) {
  const size_t at = random.below(chunks.size()), other = random.below(chunks.size());
  switch (random.below(20)) {
    case 0:
      mutate_header(chunks[at].header, random);
      break;
    case 1:
      std::swap(chunks[at], chunks[other]);
      break;
    case 2:
      if (chunks[other].raw.size() < most_growth)
        chunks.insert(chunks.begin() + static_cast<ptrdiff_t>(at), Chunk(chunks[other]));
      break;
    case 3:
      if (chunks.size() > 1) chunks.erase(chunks.begin() + static_cast<ptrdiff_t>(at));
      break;
    default:
      chunks[at].raw = mutate_message(chunks[at].raw, most_growth, random);
      if (chunks[at].header.kind == static_cast<uint16_t>(trace::ChunkKind::kEvents) && !random.one_in(30))
        count_again(chunks[at]);
  }
}

Chunk chunk_of(const std::vector<events::Event>& events) {
  trace::BatchWriter batch;
  for (const events::Event& event : events) {
    const trace::EventKind kind = trace::kind_of(event.payload);
    if (trace::is_call(kind)) {
      batch.add_call(event);
    } else if (const std::optional<std::string_view> message = batch.encode(event)) {
      batch.add_message(kind, event.time, *message);
    }
  }
  Chunk chunk;
  chunk.header.kind = static_cast<uint16_t>(trace::ChunkKind::kEvents);
  chunk.header.version = trace::kEventsVersion;
  chunk.header.count = batch.count();
  chunk.header.time_min = batch.time_min();
  chunk.header.time_max = batch.time_max();
  batch.finish(chunk.raw);
  return chunk;
}

void mutate_events(std::vector<events::Event>& events, Random& random) {
  const size_t at = random.below(events.size()), other = random.below(events.size());
  const size_t most = 1 + random.below(std::min<size_t>(events.size(), 8));
  const auto from = events.begin() + static_cast<ptrdiff_t>(at);
  const auto to = from + static_cast<ptrdiff_t>(std::min(most, events.size() - at));
  switch (random.below(6)) {
    case 0:
      events.erase(from, to);
      break;
    case 1:
      std::swap(events[at], events[other]);
      break;
    case 2: {  // again, later or earlier
      const std::vector<events::Event> copy(from, to);
      for (size_t times = 1 + random.below(random.one_in(8) ? 200 : 2); times > 0; --times)
        if (events.size() + copy.size() <= kMostEvents)
          events.insert(events.begin() + static_cast<ptrdiff_t>(other), copy.begin(), copy.end());
      break;
    }
    case 3:
      events[at].time = random.one_in(4) ? random.nasty() : events[other].time;
      break;
    case 4:  // what lies between stays away
      events[at].payload = events[other].payload;
      break;
    default:
      std::rotate(events.begin(), from, events.end());
  }
}

class Keeper final : public events::EventSink {
 public:
  void on_event(const events::Event& event) override {
    if (events.size() < kMostEvents) events.push_back(event);
  }
  std::vector<events::Event> events;
};

std::vector<events::Event> events_of(const uint8_t* data, size_t size) {
  Keeper keeper;
  const auto reader = trace::Reader::from_bytes(std::string(reinterpret_cast<const char*>(data), size));
  if (reader) (void)reader->read_all(keeper).ok();
  return std::move(keeper.events);
}

// 0: it does not fit.
size_t put(const std::string& made, uint8_t* data, size_t most) {
  if (made.size() > most) return 0;
  std::memcpy(data, made.data(), made.size());
  return made.size();
}

size_t mutate(uint8_t* data, size_t size, size_t most, Random& random) {
  if (random.one_in(64)) return LLVMFuzzerMutate(data, size, most);
  const trace::ByteSource source(std::string(reinterpret_cast<const char*>(data), size));
  std::vector<Chunk> chunks = chunks_of(source);
  if (random.one_in(4)) {
    std::vector<events::Event> events = events_of(data, size);
    for (size_t times = 1 + random.below(3); times > 0 && !events.empty(); --times)
      mutate_events(events, random);
    if (!events.empty()) chunks = {chunk_of(events)};
  }
  if (chunks.empty()) return LLVMFuzzerMutate(data, size, most);
  for (size_t times = 1 + random.below(3); times > 0; --times) mutate_chunks(chunks, kMostGrowth, random);
  const size_t made = put(file_of(chunks, random), data, most);
  return made != 0 ? made : LLVMFuzzerMutate(data, size, most);
}

// Events of the second recording among those of the first.
size_t cross(const uint8_t* first, size_t first_size, const uint8_t* second, size_t second_size, uint8_t* out,
             size_t most, Random& random) {
  std::vector<events::Event> events = events_of(first, first_size);
  const std::vector<events::Event> others = events_of(second, second_size);
  if (events.empty() || others.empty()) return 0;
  const size_t from = random.below(others.size()), count = 1 + random.below(others.size() - from);
  const auto at = events.begin() + static_cast<ptrdiff_t>(random.below(events.size() + 1));
  const auto begin = others.begin() + static_cast<ptrdiff_t>(from);
  events.insert(at, begin, begin + static_cast<ptrdiff_t>(count));
  if (events.size() > kMostEvents) events.resize(kMostEvents);
  return put(file_of({chunk_of(events)}, random), out, most);
}

}  // namespace
}  // namespace memwhy::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  memwhy::fuzz::Random random(seed);
  return memwhy::fuzz::mutate(data, size, most, random);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* first, size_t first_size, const uint8_t* second,
                                            size_t second_size, uint8_t* out, size_t most, unsigned seed) {
  memwhy::fuzz::Random random(seed);
  return memwhy::fuzz::cross(first, first_size, second, second_size, out, most, random);
}
