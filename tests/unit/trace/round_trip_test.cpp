// SPDX-License-Identifier: Apache-2.0
// Every kind of event comes back as it went in.
#include "unit/trace/samples.h"

#include <random>
#include <set>

#include "trace/batch.h"
#include "trace/column.h"

namespace memwhy::trace::test {
namespace {

TEST(RoundTrip, samples_have_every_kind) {
  std::set<size_t> kinds;
  for (const Event& event : every_event()) kinds.insert(event.payload.index());
  EXPECT_EQ(kinds.size(), std::variant_size_v<Payload>);
}

TEST(RoundTrip, every_field_of_every_kind) {
  const std::vector<Event> written = every_event();
  const auto reader = Reader::from_bytes(recording_of(written));
  ASSERT_TRUE(reader.ok());
  Collector read;
  const auto summary = reader->read_all(read);
  ASSERT_TRUE(summary.ok());
  ASSERT_EQ(read.events.size(), written.size());
  for (size_t i = 0; i < written.size(); ++i) {
    EXPECT_TRUE(read.events[i] == written[i])
        << "wrote " << describe(written[i], kOrigin) << "\nread  " << describe(read.events[i], kOrigin);
  }
  EXPECT_TRUE(summary->complete) << (summary->damage.empty() ? "" : summary->damage[0]);
  EXPECT_EQ(summary->ended, "stopped");
  EXPECT_EQ(summary->events, written.size());
  EXPECT_EQ(summary->events_lost, 0u);
  EXPECT_EQ(summary->first_time, kOrigin);
  EXPECT_EQ(summary->last_time, written.back().time);
  EXPECT_EQ(summary->chunks, 2u);  // the events, the end
  EXPECT_EQ(summary->uuid, kUuid);
  EXPECT_EQ(summary->part, 0u) << "the second RecordingInfo is the one in force";
}

TEST(RoundTrip, the_same_in_many_chunks) {
  const std::vector<Event> written = every_event();
  for (const size_t per_chunk : {1, 2, 3, 7}) {
    Collector read;
    const auto reader = Reader::from_bytes(recording_of(written, per_chunk));
    const auto summary = reader->read_all(read);
    ASSERT_TRUE(summary.ok());
    EXPECT_TRUE(summary->complete);
    EXPECT_EQ(read.events, written);
    EXPECT_EQ(summary->chunks, (written.size() + per_chunk - 1) / per_chunk + 1);
  }
}

TEST(RoundTrip, a_field_that_is_left_out_is_not_the_default_of_its_struct) {
  PageScan scan;
  scan.complete = false;  // default true
  RecordingInfo info;
  info.page_bytes = 0;  // default 4096
  const std::vector<Event> written = {{1, scan}, {2, info}};
  Collector read;
  ASSERT_TRUE(Reader::from_bytes(recording_of(written))->read_all(read).ok());
  EXPECT_EQ(read.events, written);
}

TEST(RoundTrip, an_event_that_is_too_large_is_told_in_its_place) {
  const std::vector<Event> written = {{1, OomVictim{space(1), 5}},
                                      {2, RecordingEnd{std::string(kMaxRawBytes, 0)}},
                                      {3, OomVictim{space(2), 6}}};
  Collector read;
  const auto summary = Reader::from_bytes(recording_of(written))->read_all(read);
  ASSERT_TRUE(summary.ok());
  ASSERT_EQ(read.events.size(), 3u);
  EXPECT_EQ(read.events[1].payload, Payload(Loss{SpaceId::kNone, "RecordingEnd too large", 1}));
  EXPECT_FALSE(summary->complete);
  EXPECT_EQ(summary->events_not_written, 1u);
}

std::vector<Event> read_back(const std::vector<Event>& written) {
  Collector read;
  EXPECT_TRUE(Reader::from_bytes(recording_of(written, written.size()))->read_all(read).ok());
  return read.events;
}

// A program that maps and unmaps: any of 65,536 pages, up to 64 of them, within 200 us.
std::vector<Event> churn(size_t count) {
  std::mt19937_64 random(7);  // NOLINT(*-msc51-cpp): the same in each run
  std::vector<Event> events;
  TimeNs time = kOrigin + 777;
  for (size_t i = 0; i < count; ++i) {
    time += random() % 200'000;
    const uint64_t start = 0x7f12'0000'0000 + (random() % 65'536 << kPageShift);
    const AddressRange range = {start, start + ((random() % 64 + 1) << kPageShift)};
    const auto tid = static_cast<Pid>(4713 + random() % 2);
    const uint64_t tick = time / 4'000'000;
    if (random() % 2 == 0)
      events.push_back({time, VmaMapped{space(1), tid, range, 3, 0x22, -1, 0, stack(9), tick}});
    else
      events.push_back({time, VmaUnmapped{space(1), tid, range, UnmapWhy::kMunmap, 0, stack(8), tick}});
  }
  return events;
}

TEST(Calls, a_churn_takes_few_bytes) {
  const std::vector<Event> written = churn(8'000);
  // 16 bits of address, 6 of length, 2 of kind and thread: 3 bytes are random; 0.5 of time in steps of 1 ms.
  EXPECT_LT(static_cast<double>(recording_of(written, written.size()).size()), 3.8 * 8'000);
  const std::vector<Event> read = read_back(written);
  ASSERT_EQ(read.size(), written.size());
  for (size_t i = 0; i < read.size(); ++i) ASSERT_TRUE(read[i].payload == written[i].payload) << i;
}

// Mappings that end where a gap ends or another begins, and go again: 6 bits of length, and which one.
TEST(Calls, ranges_that_follow_from_others_take_fewer_bytes) {
  std::mt19937_64 random(7);  // NOLINT(*-msc51-cpp): the same in each run
  std::vector<AddressRange> live;
  std::vector<Event> written;
  uint64_t below = 0x7f12'0000'0000;
  for (size_t i = 0; i < 20'000; ++i) {
    const TimeNs time = kOrigin + i * 100'000;
    if (live.size() > 100) {
      const size_t which = random() % live.size();
      written.push_back({time, VmaUnmapped{space(1), 1, live[which], UnmapWhy::kMunmap, 0, stack(8), 7}});
      live.erase(live.begin() + static_cast<ptrdiff_t>(which));
    } else {
      const AddressRange range = {below - ((random() % 64 + 1) << kPageShift), below};
      below = range.start;
      live.push_back(range);
      written.push_back({time, VmaMapped{space(1), 1, range, 3, 0x22, -1, 0, stack(9), 7}});
    }
  }
  EXPECT_LT(static_cast<double>(recording_of(written, written.size()).size()), 1.5 * 20'000);
  const std::vector<Event> read = read_back(written);
  ASSERT_EQ(read.size(), written.size());
  for (size_t i = 0; i < read.size(); ++i) ASSERT_TRUE(read[i].payload == written[i].payload) << i;
}

TEST(Calls, times_are_kept_to_1_ms_and_in_order) {
  std::vector<Event> written = churn(2'000);
  for (size_t i = 7; i < written.size(); i += 10) written[i].payload = OomVictim{space(1), 5};
  const std::vector<Event> read = read_back(written);
  ASSERT_EQ(read.size(), written.size());
  for (size_t i = 0; i < read.size(); ++i) {
    const bool message = std::holds_alternative<OomVictim>(written[i].payload);
    ASSERT_LE(read[i].time, written[i].time) << i;
    ASSERT_LT(written[i].time - read[i].time, message ? 1 : kCallTimeStep) << i;
    ASSERT_GE(read[i].time, i == 0 ? 0 : read[i - 1].time) << i;
  }
}

TEST(Calls, that_name_a_shape_which_is_not_there_are_refused) {
  const auto reads = [](uint8_t shape) {
    // kinds: a call · calls: shape, kind 22 HeapGrown
    const std::string raw = {0x0a, 1, 0, 0x22, 6, 0x0a, 1, static_cast<char>(shape), 0x5a, 1, 22};
    BatchTotals totals;
    return read_batch(raw, 5, 1, totals, [](const Event&) {}).ok();
  };
  EXPECT_TRUE(reads(1));
  EXPECT_FALSE(reads(0));
  EXPECT_FALSE(reads(2));
}

TEST(Calls, that_follow_from_a_row_which_is_not_there_are_refused) {
  const auto reads = [](uint8_t clock, uint8_t kind) {
    // kinds: a call · calls: shape, clock, back 1, kind
    const std::string raw = {0x0a,
                             1,
                             0,
                             0x22,
                             12,
                             0x0a,
                             1,
                             1,
                             0x12,
                             1,
                             static_cast<char>(clock),
                             0x52,
                             1,
                             1,
                             0x5a,
                             1,
                             static_cast<char>(kind)};
    BatchTotals totals;
    return read_batch(raw, 5, 1, totals, [](const Event&) {}).ok();
  };
  EXPECT_TRUE(reads(0, 18));
  EXPECT_FALSE(reads(2, 18));
  EXPECT_FALSE(reads(2, 22)) << "HeapGrown follows from none";
}

TEST(Column, addresses_in_pages_lose_no_bit) {
  EXPECT_EQ(in_pages(0x7f12'3460'0000), 0x7'f123'4600u);
  for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{0x1001}, ~uint64_t{0}, kBig})
    EXPECT_EQ(from_pages(in_pages(value)), value);
}

TEST(Column, varints_of_every_length) {
  std::string bytes;
  std::vector<uint64_t> values = {0};
  for (unsigned bit = 0; bit < 64; ++bit) {
    values.push_back(uint64_t{1} << bit);
    values.push_back((uint64_t{1} << bit) - 1);
  }
  values.push_back(~uint64_t{0});
  for (const uint64_t value : values) append_varint(bytes, value);
  ColumnReader column(bytes);
  EXPECT_EQ(column.count_left(), values.size());
  for (const uint64_t value : values) EXPECT_EQ(column.next(), value);
  EXPECT_TRUE(column.at_end());
  EXPECT_FALSE(column.failed());
}

TEST(Column, refuses_what_is_no_varint) {
  const auto fails = [](std::string_view bytes) {
    ColumnReader column(bytes);
    EXPECT_EQ(column.next(), 0u);
    return column.failed() && column.at_end();
  };
  EXPECT_TRUE(fails(""));
  EXPECT_TRUE(fails("\x80"));
  EXPECT_TRUE(fails(std::string(9, '\xff') + "\x02"));                 // 65 bits
  EXPECT_TRUE(fails(std::string(10, '\x80') + std::string(1, '\0')));  // eleven bytes
}

TEST(Column, zigzag_keeps_small_differences_small) {
  EXPECT_EQ(zigzag(0), 0u);
  EXPECT_EQ(zigzag(~uint64_t{0}), 1u);
  EXPECT_EQ(zigzag(1), 2u);
  EXPECT_EQ(zigzag(uint64_t{1} << 63), ~uint64_t{0});
  for (const uint64_t value : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}, uint64_t{1} << 63, kBig}) {
    EXPECT_EQ(unzigzag(zigzag(value)), value);
  }
}

TEST(Column, numbers_that_do_not_fit_their_field_are_refused) {
  uint32_t narrow = 0;
  EXPECT_TRUE(from_wire(0xffff'ffff, narrow));
  EXPECT_FALSE(from_wire(0x1'0000'0000, narrow));
  int32_t number = 0;
  EXPECT_TRUE(from_wire(zigzag(static_cast<uint64_t>(int64_t{INT32_MIN})), number));
  EXPECT_EQ(number, INT32_MIN);
  EXPECT_FALSE(from_wire(zigzag(uint64_t{1} << 31), number));
  bool flag = false;
  EXPECT_FALSE(from_wire(2, flag));
  UnmapWhy why{};
  EXPECT_FALSE(from_wire(255, why));
}

}  // namespace
}  // namespace memwhy::trace::test
