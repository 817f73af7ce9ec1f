// SPDX-License-Identifier: Apache-2.0
// A recording that was cut or altered at any byte is refused, or read with the damage told: the events that
// come out are true ones, in order, and nothing crashes.
#include "unit/trace/samples.h"

#include <algorithm>
#include <cstring>

#include "trace/batch.h"
#include "trace/chunk.h"

namespace memwhy::trace::test {
namespace {

// Whether `part` is `whole` with some events left out.
bool is_subsequence(const std::vector<Event>& part, const std::vector<Event>& whole) {
  size_t at = 0;
  for (const Event& event : part) {
    while (at < whole.size() && !(whole[at] == event)) ++at;
    if (at++ == whole.size()) return false;
  }
  return true;
}

struct Read {
  bool opened = false;
  std::vector<Event> events;
  ReadSummary summary;
};

Read read(std::string bytes) {
  Read result;
  const auto reader = Reader::from_bytes(std::move(bytes));
  if (!reader) {
    EXPECT_EQ(reader.error().code(), ErrorCode::kBadInput);
    return result;
  }
  Collector collector;
  auto summary = reader->read_all(collector);
  if (!summary) return result;
  return {true, std::move(collector.events), std::move(summary).value()};
}

std::string joined(const std::vector<std::string>& sentences) {
  std::string out;
  for (const std::string& sentence : sentences) out += sentence + "\n";
  return out;
}

// Where each chunk of an undamaged file begins.
std::vector<uint64_t> chunk_offsets(const std::string& file) {
  const ByteSource source{std::string(file)};
  ChunkWalk walk(source, sizeof(FileHeader));
  std::vector<uint64_t> offsets;
  for (ChunkStep step = walk.next(); step.what == ChunkStep::What::kChunk; step = walk.next()) {
    offsets.push_back(step.offset);
  }
  return offsets;
}

class Damage : public testing::Test {
 protected:
  const std::vector<Event> events_ = every_event();
  const std::string file_ = recording_of(events_, 5);
};

TEST_F(Damage, cut_at_every_byte) {
  const std::vector<uint64_t> offsets = chunk_offsets(file_);
  ASSERT_EQ(offsets.size(), 12u);  // the events of samples.h by five, and the end
  for (size_t length = 0; length < file_.size(); ++length) {
    const Read got = read(file_.substr(0, length));
    ASSERT_EQ(got.opened, length >= sizeof(FileHeader)) << length;
    if (!got.opened) continue;
    // Exactly the events of the whole chunks that are left.
    const auto whole = static_cast<size_t>(
        std::count_if(offsets.begin() + 1, offsets.end(), [&](uint64_t next) { return next <= length; }));
    const size_t expected = std::min(whole * 5, events_.size());
    ASSERT_EQ(got.events,
              std::vector<Event>(events_.begin(), events_.begin() + static_cast<ptrdiff_t>(expected)))
        << length;
    ASSERT_FALSE(got.summary.complete) << length;
    ASSERT_EQ(got.summary.ended, "killed") << length;
    const uint64_t rest = length - (whole == 0 ? sizeof(FileHeader) : offsets[whole]);
    ASSERT_EQ(got.summary.bytes_lost, rest) << length;
    ASSERT_EQ(got.summary.chunks_damaged, rest == 0 ? 0u : 1u) << length;
    ASSERT_NE(joined(got.summary.damage).find("was not closed"), std::string::npos) << length;
  }
}

TEST_F(Damage, every_byte_altered) {
  const std::vector<uint64_t> offsets = chunk_offsets(file_);
  for (size_t at = 0; at < file_.size(); ++at) {
    for (const int mask : {0x01, 0x80, 0xff, 0x20}) {
      std::string bytes = file_;
      bytes[at] = static_cast<char>(bytes[at] ^ mask);
      const Read got = read(std::move(bytes));
      if (at < kFileMagic.size()) {
        ASSERT_FALSE(got.opened) << at;
        continue;
      }
      ASSERT_TRUE(got.opened) << at;
      ASSERT_FALSE(got.summary.complete) << at << " " << mask;
      ASSERT_FALSE(got.summary.damage.empty()) << at << " " << mask;
      ASSERT_TRUE(is_subsequence(got.events, events_)) << at << " " << mask;
      // No more than the chunk that was hit.
      const size_t lost = events_.size() - got.events.size();
      if (at < sizeof(FileHeader) || at >= offsets.back()) {
        ASSERT_EQ(lost, 0u) << at;
      } else {
        ASSERT_GE(lost, 1u) << at;
        ASSERT_LE(lost, 5u) << at;
        ASSERT_EQ(got.summary.events_lost, lost) << at;
        ASSERT_EQ(got.summary.chunks_missing, 1u) << at;
      }
    }
  }
}

TEST_F(Damage, the_gap_is_told_with_its_chunks_bytes_and_seconds) {
  std::string bytes = file_;
  const std::vector<uint64_t> offsets = chunk_offsets(file_);
  for (uint64_t at = offsets[2]; at < offsets[4]; ++at) bytes[at] = 0;
  const Read got = read(bytes);
  EXPECT_EQ(got.events.size(), events_.size() - 10);
  EXPECT_EQ(got.summary.chunks_missing, 2u);
  EXPECT_EQ(got.summary.bytes_lost, offsets[4] - offsets[2]);
  // Chunks 2 and 3 hold events 10..19; 9 is at 0.090 s, 20 at 0.200 s.
  EXPECT_EQ(got.summary.time_lost, 110'000'000u);
  EXPECT_EQ(got.summary.damage.size(), 2u) << joined(got.summary.damage);
  EXPECT_EQ(got.summary.damage[0], "2 chunks are missing before byte " + std::to_string(offsets[4]) +
                                       ", between 0.090 s and 0.200 s (" +
                                       std::to_string(offsets[4] - offsets[2]) + " damaged bytes)");
  EXPECT_EQ(got.summary.damage[1], "10 events are lost in all");
}

TEST_F(Damage, a_chunk_that_was_cut_out_is_missed) {
  const std::vector<uint64_t> offsets = chunk_offsets(file_);
  const Read got = read(file_.substr(0, offsets[3]) + file_.substr(offsets[4]));
  EXPECT_EQ(got.events.size(), events_.size() - 5);
  EXPECT_EQ(got.summary.chunks_missing, 1u);
  EXPECT_EQ(got.summary.bytes_lost, 0u);
  EXPECT_FALSE(got.summary.complete);
}

TEST_F(Damage, a_chunk_that_comes_twice_counts_once) {
  const std::vector<uint64_t> offsets = chunk_offsets(file_);
  const Read got = read(file_.substr(0, offsets[4]) + file_.substr(offsets[3]));
  EXPECT_EQ(got.events, events_);
  EXPECT_FALSE(got.summary.complete);
  EXPECT_NE(joined(got.summary.damage).find("comes again or too late"), std::string::npos);
}

TEST_F(Damage, what_follows_the_end_is_told) {
  EXPECT_EQ(read(file_ + "x").summary.damage[0], "1 bytes follow the end of the recording");
  const Read twice = read(file_ + file_);
  EXPECT_EQ(twice.events, events_);
  EXPECT_FALSE(twice.summary.complete);
}

TEST_F(Damage, names_of_stacks_that_were_lost_are_told) {
  std::string bytes = file_;
  bytes[chunk_offsets(file_)[1] + sizeof(ChunkHeader)] ^= 1;  // the chunk with stacks 9 and 10
  EXPECT_EQ(read(bytes).summary.stacks_undefined, 2u);
  EXPECT_EQ(read(file_).summary.stacks_undefined, 0u);
}

// Hostile: the checksums are right, what they cover is not.
std::string sealed(ChunkHeader header, std::string_view raw) {
  ChunkSealer sealer;
  header.kind = static_cast<uint16_t>(ChunkKind::kEvents);
  header.version = kEventsVersion;
  return file_header() + std::string(sealer.seal(header, raw));
}

TEST(Hostile, every_byte_of_every_message_altered_below_the_checksum) {
  BatchWriter batch;
  for (const Event& event : every_event()) {
    const auto message = is_call(kind_of(event.payload)) ? std::nullopt : batch.encode(event);
    if (message) {
      batch.add_message(kind_of(event.payload), event.time, *message);
    } else {
      batch.add_call(event);
    }
  }
  ChunkHeader header;
  header.count = batch.count();
  header.time_min = batch.time_min();
  std::string raw;
  batch.finish(raw);
  ASSERT_TRUE(read(sealed(header, raw)).opened);
  size_t refused = 0;
  for (size_t at = 0; at < raw.size(); ++at) {
    for (const int mask : {0x01, 0x7f, 0x80, 0xff}) {
      std::string altered = raw;
      altered[at] = static_cast<char>(altered[at] ^ mask);
      const Read got =
          read(sealed(header, altered));  // any events, but no crash and no more than there can be
      ASSERT_TRUE(got.opened);
      ASSERT_LE(got.events.size(), header.count);
      refused += got.summary.chunks_damaged;
    }
  }
  EXPECT_GT(refused, raw.size()) << "most alterations break the structure";
  for (size_t length = 0; length < raw.size(); ++length) {
    ASSERT_EQ(read(sealed(header, raw.substr(0, length))).summary.chunks_damaged, 1u) << length;
  }
}

TEST(Hostile, counts_beyond_the_bytes_take_no_memory) {
  ChunkHeader header;
  header.count = 0xffff'ffff;
  const Read got = read(sealed(header, std::string("\x0a\x01\x01", 3)));  // one kind, no time
  EXPECT_TRUE(got.events.empty());
  EXPECT_EQ(got.summary.chunks_damaged, 1u);
}

TEST(Hostile, rows_beyond_the_memory_of_an_event_are_refused) {
  // 48 MiB of zeros compress to a few KB, and would be 48 Mi VMAs of more than 100 bytes.
  const std::string column(48u << 20, '\0');
  std::string rows = "\x0a", list = "\x12", raw;
  append_varint(rows, column.size());
  rows += column;
  append_varint(list, rows.size());
  list += rows;
  raw = std::string("\x0a\x01\x0e\x12\x01\x00\x1a", 7);  // kind 14, time 0, message
  append_varint(raw, list.size());
  raw += list;
  ChunkHeader header;
  header.count = 1;
  const Read got = read(sealed(header, raw));
  EXPECT_TRUE(got.events.empty());
  ASSERT_EQ(got.summary.chunks_damaged, 1u);
  EXPECT_NE(joined(got.summary.damage).find("a VmaList is not readable"), std::string::npos);
}

TEST(Hostile, lengths_beyond_the_limits_are_no_chunk) {
  std::string file = recording_of({{1, OomVictim{space(1), 2}}});
  ChunkHeader header;
  std::memcpy(&header, file.data() + sizeof(FileHeader), sizeof header);
  header.raw_bytes = kMaxRawBytes + 1;
  std::memcpy(file.data() + sizeof(FileHeader), &header, sizeof header);
  EXPECT_TRUE(read(file).events.empty());
}

TEST(Hostile, a_file_of_nothing_but_magics_ends) {
  std::string file = file_header();
  ChunkHeader header;
  header.kind = 1;
  header.stored_bytes = 8u << 20;  // each claims most of the file
  header.raw_bytes = header.stored_bytes;
  while (file.size() < (16u << 20)) file.append(reinterpret_cast<const char*>(&header), sizeof header);
  const Read got = read(file);
  EXPECT_TRUE(got.opened);
  EXPECT_EQ(got.summary.bytes_lost, file.size() - sizeof(FileHeader));
}

TEST(Depth, AStackOfMoreFramesThanAreRecordedIsNotRead) {
  events::Stack stack;
  stack.id = StackId{1};
  stack.frames.assign(kMostStackFrames, 0x1000);
  std::string message;
  events::Payload payload;
  encode_message(stack, message);
  EXPECT_TRUE(decode_message(EventKind::kStack, message, payload));
  EXPECT_EQ(std::get<events::Stack>(payload).frames.size(), kMostStackFrames);
  stack.frames.push_back(0x1000);
  message.clear();
  encode_message(stack, message);
  EXPECT_FALSE(decode_message(EventKind::kStack, message, payload));
}

}  // namespace
}  // namespace memwhy::trace::test
