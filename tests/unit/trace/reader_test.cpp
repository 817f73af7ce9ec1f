// SPDX-License-Identifier: Apache-2.0
// What is refused and with which sentence; what newer writers may add; info() and the names of outputs.
#include "unit/trace/samples.h"

#include <fcntl.h>
#include <protozero/pbf_writer.hpp>

#include <cstring>

#include "trace/batch.h"
#include "trace/info.h"

namespace memwhy::trace::test {
namespace {

std::string refusal(const std::string& bytes) {
  const auto reader = Reader::from_bytes(bytes, "x.memwhy");
  if (!reader) {
    EXPECT_EQ(reader.error().code(), ErrorCode::kBadInput);
    return reader.error().message();
  }
  Collector sink;
  const auto summary = reader->read_all(sink);
  if (!summary) {
    EXPECT_EQ(summary.error().code(), ErrorCode::kBadInput);
    return summary.error().message();
  }
  return "";
}

std::string header_of_version(uint16_t major, uint16_t minor) {
  FileHeader header;
  header.major = major;
  header.minor = minor;
  header.hash = hash_of(header);
  return {reinterpret_cast<const char*>(&header), sizeof header};
}

TEST(Reader, says_what_is_not_ours) {
  const std::string whole = recording_of({{1, OomVictim{space(1), 2}}});
  EXPECT_EQ(refusal(whole), "");
  EXPECT_EQ(refusal(""), "x.memwhy: is empty");
  EXPECT_EQ(refusal("PERFILE2 and much more"), "x.memwhy: is not a memwhy recording");
  EXPECT_EQ(refusal(std::string(100, '\0')), "x.memwhy: is not a memwhy recording");
  EXPECT_EQ(refusal(whole.substr(0, 39)), "x.memwhy: is cut off within its file header");
  std::string stripped = whole, unix_lines = whole;
  stripped[0] = '\x09';
  unix_lines.erase(5, 1);
  EXPECT_EQ(refusal(stripped), "x.memwhy: was damaged by a transfer that strips the eighth bit");
  EXPECT_EQ(refusal(unix_lines), "x.memwhy: was damaged by a transfer that rewrites line ends");
}

TEST(Reader, says_why_a_path_is_no_recording) {
  const TemporaryDirectory directory;
  const auto why = [](const std::string& path) { return Reader::open(path).error().message(); };
  const std::string missing = directory / "missing", fifo = directory / "fifo";
  EXPECT_EQ(why(missing), missing + ": No such file or directory");
  EXPECT_EQ(why(directory.path()), directory.path() + ": is a directory");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(why(fifo), fifo + ": is not a regular file");  // and does not hang
  EXPECT_EQ(why("/dev/zero"), "/dev/zero: is not a regular file");
  EXPECT_EQ(why("/proc/self/stat"), "/proc/self/stat: is empty");
}

TEST(Reader, refuses_a_newer_major_and_reads_a_newer_minor) {
  const std::string chunks = recording_of(every_event()).substr(sizeof(FileHeader));
  EXPECT_EQ(refusal(header_of_version(2, 3) + chunks),
            "x.memwhy: made by a newer memwhy (format 2.3; this one reads up to 1.x): read it with that one");
  EXPECT_EQ(refusal(header_of_version(1, 9) + chunks), "");
  Collector sink;
  const auto reader = Reader::from_bytes(header_of_version(1, 9) + chunks);
  EXPECT_TRUE(reader->read_all(sink)->complete);
  EXPECT_EQ(sink.events, every_event());
}

// One chunk of a kind that only a newer version knows, between the events and the end.
std::string with_foreign_chunk(uint16_t kind, uint8_t version, uint8_t flags) {
  const Event victim{7, OomVictim{space(1), 2}};
  BatchWriter batch;
  batch.add_message(EventKind::kOomVictim, victim.time, *batch.encode(victim));
  std::string raw, end;
  batch.finish(raw);
  encode_end({EndHow::kClosed, "stopped", 1, 0}, end);
  ChunkSealer sealer;
  std::string file = file_header();
  ChunkHeader header;
  header.kind = static_cast<uint16_t>(ChunkKind::kEvents);
  header.version = kEventsVersion;
  header.count = 1;
  header.time_min = header.time_max = 7;
  file += sealer.seal(header, raw);
  ChunkHeader foreign = header;
  foreign.kind = kind;
  foreign.version = version;
  foreign.flags = flags;
  foreign.sequence = 1;
  file += sealer.seal(foreign, "what only a newer version knows");
  ChunkHeader last = header;
  last.kind = static_cast<uint16_t>(ChunkKind::kEnd);
  last.version = kEndVersion;
  last.count = 0;
  last.sequence = 2;
  return file + std::string(sealer.seal(last, end));
}

TEST(Reader, skips_what_is_optional_and_refuses_what_is_needed) {
  for (const auto& [kind, version, flags] : {std::tuple{99, 1, 0}, {1, 2, 0}, {99, 1, 0x80 | kOptional}}) {
    const std::string optional = with_foreign_chunk(
        static_cast<uint16_t>(kind), static_cast<uint8_t>(version), static_cast<uint8_t>(flags | kOptional));
    Collector sink;
    const auto summary = Reader::from_bytes(optional)->read_all(sink);
    ASSERT_TRUE(summary.ok());
    EXPECT_EQ(summary->chunks_unknown, 1u);
    EXPECT_NE(summary->of_newer_kinds(), "");
    EXPECT_EQ(sink.events.size(), 1u);
    EXPECT_TRUE(summary->complete) << "an optional chunk is no damage";
  }
  EXPECT_EQ(refusal(with_foreign_chunk(99, 1, 0)),
            "x.memwhy: needs a newer memwhy: chunk 1 is of kind 99, version 1");
  EXPECT_EQ(refusal(with_foreign_chunk(1, 2, 0)),
            "x.memwhy: needs a newer memwhy: chunk 1 is of kind 1, version 2");
  EXPECT_EQ(refusal(with_foreign_chunk(1, 1, 0x40)),
            "x.memwhy: needs a newer memwhy: chunk 1 is of kind 1, version 1");
}

TEST(Reader, counts_events_and_skips_fields_of_newer_kinds) {
  BatchWriter batch;
  const Event victim{7, OomVictim{space(1), 2}};
  std::string message(*batch.encode(victim));
  protozero::pbf_writer(message).add_string(900, "a field of the future");
  batch.add_message(static_cast<EventKind>(200), 6, "an event of the future");
  batch.add_message(EventKind::kOomVictim, 7, message);
  std::string raw;
  ChunkHeader header;
  header.kind = static_cast<uint16_t>(ChunkKind::kEvents);
  header.version = kEventsVersion;
  header.count = batch.count();
  header.time_min = batch.time_min();
  batch.finish(raw);
  protozero::pbf_writer(raw).add_string(77, "a column of the future");
  ChunkSealer sealer;
  Collector sink;
  const auto summary =
      Reader::from_bytes(file_header() + std::string(sealer.seal(header, raw)))->read_all(sink);
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(sink.events, std::vector<Event>{victim});
  EXPECT_EQ(summary->events_unknown, 1u);
  EXPECT_EQ(summary->of_newer_kinds(), "1 event not read: only a newer memwhy knows their kind");
  EXPECT_EQ(summary->chunks_damaged, 0u);
}

// A column that a newer version adds to the runs of a list is left out, and the others are as they were.
TEST(Reader, skips_columns_of_newer_rows) {
  const RuntimePages pages{space(1), 3, "toy", Trust::kVerified, "", {"slab"}, {{9, 3, 0, 1, 2, 3}, {20, 1}},
                           {}};
  std::string message;
  encode_message(RuntimePages{space(1), 3, "toy", Trust::kVerified, "", {"slab"}, {}, {}}, message);
  std::string runs;
  for (const auto& [column, values] : std::vector<std::pair<uint32_t, std::vector<uint64_t>>>{
           {1, {zigzag(9), zigzag(8)}}, {2, {3, 1}}, {4, {1, 0}}, {5, {2, 0}}, {6, {3, 0}}, {7, {40, 50}}}) {
    std::string bytes;
    for (const uint64_t value : values) append_varint(bytes, value);
    protozero::pbf_writer(runs).add_bytes(column, bytes);
  }
  protozero::pbf_writer(message).add_bytes(7, runs);
  Payload read;
  ASSERT_TRUE(decode_message(EventKind::kRuntimePages, message, read));
  EXPECT_EQ(read, Payload(pages));
}

// The clock was set by an hour between the first anchor of all and this part.
TEST(Info, the_begin_is_by_the_anchor_that_is_nearest) {
  constexpr uint64_t kEpoch = 1'795'311'428'000'000'000, kSecond = 1'000'000'000, kHour = 3600 * kSecond;
  const std::vector<Event> events = {
      {9000 * kSecond, RecordingInfo{"0.1.0", "web-1", "6.18", "x86_64", 4, 4096, 7, {"pid 4711"}}},
      {9000 * kSecond, ClockAnchor{10 * kSecond, 0, kEpoch, 5}},
      {9000 * kSecond, ClockAnchor{8990 * kSecond, 0, kEpoch + 8980 * kSecond + kHour, 7}},
      {9060 * kSecond, ClockAnchor{9060 * kSecond, 0, kEpoch + 9050 * kSecond + kHour, 9}}};
  const auto facts = info(*Reader::from_bytes(recording_of(events, 2, "stopped")));
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->start_realtime_ns, static_cast<int64_t>(kEpoch + 8990 * kSecond + kHour));
}

TEST(Info, tells_the_facts_of_a_recording) {
  constexpr uint64_t kEpoch = 1'795'311'428'000'000'000;
  const std::vector<Event> events = {
      {1'000'000'000, RecordingInfo{"0.1.0", "web-1", "6.18", "x86_64", 4, 4096, 0, {"pid 4711"}}},
      {1'000'000'000, ClockAnchor{900'000'000, 0, kEpoch, 5}},
      {1'000'000'000, SpaceStart{space(1), 4711, StartHow::kAttached, {}, "w", "", {}, 0, "", ""}},
      {1'100'000'000,
       SpaceStart{space(1), 4711, StartHow::kAttached, {}, "web", "/usr/bin/web", binary(1), 0, "", ""}},
      {1'200'000'000, PageScan{space(1), 1, 0, true, "pagemap", {}, {}, {}}},
      {1'300'000'000, PageScan{space(2), 2, 0, true, "pagemap", {}, {}, {}}},
      {1'400'000'000, Loss{space(1), "removal", 3}},
      {1'500'000'000, Loss{space(1), "fork", 4}},
      {1'600'000'000, VmaUnmapped{space(1), 7, {0, 4096}, UnmapWhy::kMunmap, 0, {}, 1}},
      {3'000'000'000, SpaceEnd{space(1), EndWhy::kExited}},
      {3'500'000'000, RecordingEnd{"target_exited"}}};
  const auto facts = info(*Reader::from_bytes(recording_of(events, 2, "target_exited")));
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->recording->host, "web-1");
  EXPECT_EQ(facts->start_realtime_ns, static_cast<int64_t>(kEpoch + 100'000'000));
  EXPECT_EQ(facts->end_realtime_ns, static_cast<int64_t>(kEpoch + 2'600'000'000));
  ASSERT_EQ(facts->targets.size(), 2u);
  EXPECT_EQ(facts->targets[0].start.comm, "web");
  EXPECT_EQ(facts->targets[0].first_seen, 1'000'000'000u);
  EXPECT_EQ(facts->targets[0].end, 3'000'000'000u);
  EXPECT_EQ(facts->targets[0].scans, 1u);
  EXPECT_EQ(facts->targets[1].end, std::nullopt);
  EXPECT_EQ(facts->lost_events, 7u);
  EXPECT_EQ(facts->summary.ended, "target_exited");
  EXPECT_EQ(facts->hooks, std::nullopt);
  std::vector<std::pair<std::string, uint64_t>> kinds;
  for (const KindTotals& kind : facts->summary.kinds) kinds.emplace_back(kind.name, kind.events);
  EXPECT_EQ(kinds, (std::vector<std::pair<std::string, uint64_t>>{{"RecordingInfo", 1},
                                                                  {"ClockAnchor", 1},
                                                                  {"RecordingEnd", 1},
                                                                  {"SpaceStart", 2},
                                                                  {"SpaceEnd", 1},
                                                                  {"PageScan", 2},
                                                                  {"VmaUnmapped", 1},
                                                                  {"Loss", 2},
                                                                  {"calls", 0}}));
}

TEST(Output, is_new_private_and_no_link) {
  const TemporaryDirectory directory;
  const std::string path = directory / "a.memwhy", link = directory / "link", victim = directory / "victim";
  const auto file = create_output(path);
  ASSERT_TRUE(file.ok());
  struct stat status {};
  ASSERT_EQ(::fstat(file->get(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_NE(::fcntl(file->get(), F_GETFD) & FD_CLOEXEC, 0);
  const auto again = create_output(path);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kOutput);
  EXPECT_EQ(again.error().message(), path + " exists; name another file or remove it");
  ASSERT_EQ(::symlink(victim.c_str(), link.c_str()), 0);
  EXPECT_EQ(create_output(link).error().message(), "refusing to follow the symbolic link " + link);
  EXPECT_NE(::access(victim.c_str(), F_OK), 0) << "nothing was made behind the link";
  EXPECT_EQ(create_output(directory / "no/such").error().code(), ErrorCode::kOutput);
  EXPECT_EQ(create_output("").error().code(), ErrorCode::kUsage);
  ASSERT_EQ(::chmod(directory.path().c_str(), 0777), 0);
  EXPECT_NE(create_output(directory / "b").error().message().find("no sticky bit"), std::string::npos);
  ASSERT_EQ(::chmod(directory.path().c_str(), 01777), 0);
  EXPECT_TRUE(create_output(directory / "b").ok());
}

TEST(Output, without_a_name_leaves_nothing_behind) {
  const TemporaryDirectory directory;
  const auto file = create_unlinked_output(directory.path());
  ASSERT_TRUE(file.ok());
  struct stat status {};
  ASSERT_EQ(::fstat(file->get(), &status), 0);
  EXPECT_EQ(status.st_nlink, 0u);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(::rmdir(directory.path().c_str()), 0) << "the directory is empty";
  EXPECT_EQ(create_unlinked_output(directory / "missing").error().code(), ErrorCode::kOutput);
}

TEST(Output, names_of_parts) {
  EXPECT_EQ(part_path("web.memwhy", 0), "web.memwhy");
  EXPECT_EQ(part_path("/a.b/web.memwhy", 12), "/a.b/web.12.memwhy");
  EXPECT_EQ(part_path("web", 1), "web.1");
  EXPECT_EQ(part_path(".memwhy", 1), ".memwhy.1");
}

}  // namespace
}  // namespace memwhy::trace::test
