// SPDX-License-Identifier: Apache-2.0
// When chunks are written, what a killed or full recording keeps, and that each part of a rotated one stands
// alone.
#include "unit/trace/samples.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <new>
#include <random>

#include "trace/batch.h"
#include "trace/restate.h"

namespace memwhy::trace::test {
namespace {

constexpr TimeNs kMs = 1'000'000;

std::unique_ptr<Writer> writer_for(Fd output, WriterOptions options = {}) {
  auto writer = Writer::create(std::move(output), std::move(options));
  EXPECT_TRUE(writer.ok());
  return std::move(writer).value();
}

struct Recording {
  std::vector<Event> events;
  ReadSummary summary;
};
Recording read(const std::string& path, ReadOptions options = {}) {
  Collector collector;
  const auto reader = Reader::open(path);
  EXPECT_TRUE(reader.ok());
  auto summary = reader->read_all(collector, options);
  EXPECT_TRUE(summary.ok());
  return {std::move(collector.events), std::move(summary).value()};
}

off_t size_of(int fd) {
  struct stat status {};
  EXPECT_EQ(::fstat(fd, &status), 0);
  return status.st_size;
}

Event unmapped(TimeNs time, uint64_t number) {
  return {time,
          VmaUnmapped{space(1), 7, {number << 12, (number + 1) << 12}, UnmapWhy::kMunmap, 0, {}, number}};
}

TEST(Writer, a_chunk_is_written_when_its_first_event_is_750_ms_old) {
  const TemporaryDirectory directory;
  auto output = create_output(directory / "a.memwhy");
  ASSERT_TRUE(output.ok());
  const int fd = output->get();
  const auto writer = writer_for(std::move(output).value());
  EXPECT_EQ(size_of(fd), static_cast<off_t>(sizeof(FileHeader)));
  writer->on_event(unmapped(1000 * kMs, 1));
  writer->on_event(unmapped(1749 * kMs, 2));
  writer->tick(1749 * kMs);
  EXPECT_EQ(writer->totals().chunks, 0u);
  writer->on_event(unmapped(1750 * kMs, 3));  // not in the chunk that it makes due
  EXPECT_EQ(writer->totals().chunks, 1u);
  EXPECT_EQ(read(directory / "a.memwhy").events.size(), 2u);
  writer->tick(2499 * kMs);
  EXPECT_EQ(writer->totals().chunks, 1u);
  writer->tick(2500 * kMs);
  EXPECT_EQ(writer->totals().chunks, 2u);
  EXPECT_EQ(read(directory / "a.memwhy").events.size(), 3u);
}

TEST(Writer, a_chunk_holds_16_k_events) {
  auto output = create_unlinked_output();
  const auto writer = writer_for(std::move(output).value());
  for (uint64_t i = 0; i < 40'000; ++i) writer->on_event(unmapped(5, i));
  EXPECT_EQ(writer->totals().chunks, 2u);
  EXPECT_EQ(writer->totals().events, 40'000u);
}

TEST(Writer, a_definition_is_written_once_and_again_when_it_changed) {
  const Event stack_9{1, Stack{stack(9), space(1), false, false, {1, 2}}};
  const Event better_9{2, Stack{stack(9), space(1), false, false, {1, 2, 3}}};
  const Event symbol{3, SymbolInfo{space(1), 1, false, binary(1), 5, {{"f", "", 0}}}};
  const Event other_space{3, SymbolInfo{space(2), 1, false, binary(1), 5, {{"f", "", 0}}}};
  Collector read;
  const auto reader = Reader::from_bytes(
      recording_of({stack_9, stack_9, symbol, symbol, other_space, better_9, better_9, stack_9}));
  ASSERT_TRUE(reader->read_all(read).ok());
  EXPECT_EQ(read.events, (std::vector<Event>{stack_9, symbol, other_space, better_9, stack_9}));
}

TEST(Writer, finish_after_finish_and_events_after_it_change_nothing) {
  const TemporaryDirectory directory;
  const auto writer = writer_for(create_output(directory / "a").value(), {directory / "a"});
  writer->on_event(unmapped(1, 1));
  EXPECT_TRUE(writer->finish("duration").ok());
  EXPECT_TRUE(writer->finish("stopped").ok());
  writer->on_event(unmapped(2, 2));
  EXPECT_EQ(writer->totals().events_not_written, 1u);
  const Recording recording = read(directory / "a");
  EXPECT_EQ(recording.events.size(), 1u);
  EXPECT_EQ(recording.summary.ended, "duration");
  EXPECT_TRUE(recording.summary.complete);
}

// Writes one event for each millisecond of its own time until it is killed; `written` counts them.
[[noreturn]] void write_until_killed(const std::string& path, std::atomic<uint64_t>& written) {
  auto writer = Writer::create(create_output(path).value(), {path});
  for (uint64_t i = 0;; ++i) {
    (*writer)->on_event(unmapped(i * kMs, i));
    if (i % 250 == 0) (*writer)->tick(i * kMs);
    written.store(i + 1, std::memory_order_release);
  }
}

TEST(Writer, a_kill_at_any_moment_costs_a_second_at_most) {
  const TemporaryDirectory directory;
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    auto* written = new (page) std::atomic<uint64_t>(0);
    const std::string path = directory / ("killed." + std::to_string(round));
    const uint64_t moment = random() % 60'000;
    const pid_t child = ::fork();
    if (child == 0) write_until_killed(path, *written);
    ASSERT_GT(child, 0);
    while (written->load(std::memory_order_acquire) < moment) ::sched_yield();
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    const uint64_t given = written->load();
    if (given == 0) continue;  // before the file was there
    const Recording recording = read(path);
    EXPECT_GE(recording.events.size() + 1000, given);
    for (size_t i = 0; i < recording.events.size(); ++i) ASSERT_EQ(recording.events[i], unmapped(i * kMs, i));
    EXPECT_EQ(recording.summary.ended, "killed");
    EXPECT_FALSE(recording.summary.complete);
  }
  ::munmap(page, 4096);
}

// Events that do not compress, one each 10 ms of their own time.
Event noise(std::mt19937_64& random, uint64_t number) {
  return {number * 10 * kMs,
          VmaMapped{space(1), 7, {random(), random()}, 3, 0x22, -1, random(), {}, random()}};
}

// What must hold however the output refused: all before is readable, and nothing is claimed that is not
// there.
void expect_stopped_writer(Writer& writer, const std::string& path, const std::string& sentence) {
  std::mt19937_64 random(3);
  std::vector<Event> given;
  for (uint64_t i = 0; i < 30'000; ++i) {
    given.push_back(noise(random, i));
    writer.on_event(given.back());
  }
  ASSERT_TRUE(writer.failure().has_value());
  EXPECT_EQ(writer.failure()->code(), ErrorCode::kOutput);
  EXPECT_EQ(writer.failure()->message().find(sentence), 0u) << writer.failure()->message();
  const Recording recording = read(path);
  const size_t kept = recording.events.size();
  ASSERT_GT(kept, 100u);
  ASSERT_TRUE(std::equal(recording.events.begin(), recording.events.end(), given.begin()));
  EXPECT_EQ(writer.totals().events, given.size());
  EXPECT_EQ(writer.totals().events_not_written, given.size() - kept);
  EXPECT_EQ(recording.summary.bytes_lost, 0u) << "cut back to whole chunks";
  const std::string end = fmt::format("the recording is valid up to {:.1f} s", (kept - 1) * 0.01);
  EXPECT_NE(writer.failure()->message().find(end), std::string::npos)
      << writer.failure()->message() << " / " << end;
  const Status finished = writer.finish("stopped");
  ASSERT_FALSE(finished.ok());
  EXPECT_EQ(finished.error().message(), writer.failure()->message());
}

TEST(Writer, a_full_disk_keeps_what_was_written) {
  if (::unshare(CLONE_NEWNS) != 0)
    GTEST_SKIP() << "mounting a small tmpfs needs CAP_SYS_ADMIN: " << std::strerror(errno);
  const TemporaryDirectory directory;
  ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(::mount("memwhy-test", directory.path().c_str(), "tmpfs", 0, "size=256k"), 0);
  const std::string path = directory / "full.memwhy";
  {
    const auto writer = writer_for(create_output(path).value(), {path});
    expect_stopped_writer(*writer, path, "no space on " + path + " after 0.");
    // The room that the torn chunk gave back is enough to say why it ends.
    const ReadSummary summary = read(path).summary;
    EXPECT_EQ(summary.ended, "output_full");
    EXPECT_EQ(summary.events_not_written, writer->totals().events_not_written);
    EXPECT_FALSE(summary.complete);
  }
  EXPECT_EQ(::umount2(directory.path().c_str(), MNT_DETACH), 0);
}

TEST(Writer, a_file_size_limit_keeps_what_was_written) {
  const TemporaryDirectory directory;
  const std::string path = directory / "limited.memwhy";
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{100'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  {
    const auto writer = writer_for(create_output(path).value(), {path});
    expect_stopped_writer(*writer, path, "the file size limit was reached on " + path + " after 0.");
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, old_handler);
}

TEST(Writer, an_output_that_takes_nothing_is_refused_at_once) {
  const auto writer = Writer::create(Fd(::open("/dev/full", O_RDWR | O_CLOEXEC)), {"/dev/full"});
  ASSERT_FALSE(writer.ok());
  EXPECT_EQ(writer.error().code(), ErrorCode::kOutput);
  EXPECT_EQ(writer.error().message().find("no space on /dev/full after 0.0 MB"), 0u)
      << writer.error().message();
}

// Rotation
// --------------------------------------------------------------------------------------------------------

Event table_of(TimeNs time, bool restated, uint64_t number) {
  PageTableRuns table{space(1), restated, number, {}};
  const auto id = static_cast<uint32_t>(number);
  table.runs = {{number, 1, stack(id % 50 + 1), number, 1}, {number + 9, 2, stack(id % 7 + 1), number, 1}};
  return {time, table};
}

// A recording with 50 stacks, whose names are known, and then noise that fills parts.
std::vector<Event> long_recording(uint64_t length) {
  std::vector<Event> events = {
      {0, RecordingInfo{"0.1.0", "web-1", "6.18", "x86_64", 4, 4096, 0, {"pid 4711"}}},
      {0, ClockAnchor{0, 5, 7, 100}},
      {0, HookReport{{{"page_fault_user", "tp_btf", "faults"}}, "direct", {"hugetlb"}}},
      {0, BinaryInfo{binary(1), "/usr/bin/web", 1, 2, "abc", false, false, "", {}}},
      {0, BinaryInfo{binary(2), "/lib/unused.so", 1, 3, "def", false, false, "", {}}},
      {0,
       SpaceStart{
           space(1), 4711, StartHow::kAttached, {}, "web", "/usr/bin/web", binary(1), 1, "/", "x86-64"}},
      {0, SpaceStart{space(2), 4712, StartHow::kForked, space(1), "web", "/usr/bin/web", binary(1), 1, "/",
                     "x86-64"}}};
  for (uint32_t id = 1; id <= 50; ++id) {
    events.push_back({0, Stack{stack(id), space(1), false, false, {0x1000 + id, 0x5000}}});
    events.push_back(
        {0, SymbolInfo{space(1), 0x1000 + id, false, binary(1), id, {{"f" + std::to_string(id), "", 0}}}});
  }
  events.push_back({0, SymbolInfo{space(1), 0x5000, true, binary(1), 9, {{"main.main", "main.go", 3}}}});
  events.push_back({0, Stack{stack(51), space(1), false, false, {0x1}}});  // named by nothing
  std::mt19937_64 random(11);
  for (uint64_t i = 1; i <= length; ++i) {
    const TimeNs time = i * 10 * kMs;
    events.push_back(noise(random, i));
    if (i % 100 == 0) {
      events.push_back({time, VmaList{space(1), sample_vmas()}});
      events.push_back({time, PageScan{space(1), i, time - 5, true, "pagemap", {{i, 3, 0}}, {}, {}}});
      events.push_back({time, ClockAnchor{time, time + 5, time + 7, 100 + i}});
    }
    if (i == 300) events.push_back({time, SpaceEnd{space(2), EndWhy::kExited}});
    if (i % 50 == 0) events.push_back(table_of(time, i % 600 == 0, i));
  }
  return events;
}

template <typename T>
std::vector<T> all(const std::vector<Event>& events) {
  std::vector<T> found;
  for (const Event& event : events) {
    if (const auto* payload = std::get_if<T>(&event.payload)) found.push_back(*payload);
  }
  return found;
}

TEST(Rotation, each_part_can_be_explained_alone_and_nothing_is_lost) {
  const TemporaryDirectory directory;
  const std::string path = directory / "web.memwhy";
  const std::vector<Event> given = long_recording(20'000);
  {
    const auto writer = writer_for(create_output(path).value(), {path, 128 << 10});
    for (const Event& event : given) writer->on_event(event);
    EXPECT_TRUE(writer->finish("stopped").ok());
    ASSERT_GE(writer->totals().parts, 4u);
    EXPECT_EQ(writer->totals().events_not_written, 0u);
  }
  std::vector<Event> joined;
  std::array<uint8_t, 16> uuid{};
  uint32_t part = 0;
  for (bool more = true; more; ++part) {
    const std::string name = part_path(path, part);
    const Recording alone = read(name);
    more = alone.summary.rotated;
    EXPECT_TRUE(alone.summary.complete)
        << name << (alone.summary.damage.empty() ? "" : alone.summary.damage[0]);
    EXPECT_EQ(alone.summary.part, part);
    EXPECT_EQ(alone.summary.stacks_undefined, 0u);
    EXPECT_LE(alone.summary.file_bytes, (128u << 10) + 40'000) << "the limit and one chunk";
    if (part == 0) uuid = alone.summary.uuid;
    EXPECT_EQ(alone.summary.uuid, uuid);
    EXPECT_TRUE(std::is_sorted(alone.events.begin(), alone.events.end(),
                               [](const Event& a, const Event& b) { return a.time < b.time; }));
    ASSERT_TRUE(std::holds_alternative<RecordingInfo>(alone.events[0].payload));
    EXPECT_EQ(all<HookReport>(alone.events).size(), 1u);
    EXPECT_GE(all<ClockAnchor>(alone.events).size(), 2u);
    EXPECT_EQ(all<VmaList>(alone.events)[0].vmas, sample_vmas());
    EXPECT_GE(all<PageScan>(alone.events).size(), 1u);
    // Space 2 ended in the first part; later ones do not know it.
    EXPECT_EQ(all<SpaceStart>(alone.events).size(), part == 0 ? 2u : 1u);
    // Every stack that the part names is defined before, once, with the names of its frames; stack 51 is not.
    std::vector<uint32_t> stacks;
    for (const Stack& defined : all<Stack>(alone.events)) stacks.push_back(static_cast<uint32_t>(defined.id));
    std::sort(stacks.begin(), stacks.end());
    EXPECT_TRUE(std::adjacent_find(stacks.begin(), stacks.end()) == stacks.end());
    EXPECT_EQ(std::count(stacks.begin(), stacks.end(), 51u), part == 0 ? 1 : 0);
    EXPECT_EQ(all<SymbolInfo>(alone.events).size(), part == 0 ? 51u : stacks.size() + 1);
    EXPECT_EQ(all<BinaryInfo>(alone.events).size(), part == 0 ? 2u : 1u);

    const Recording rest = read(name, {.skip_restated = part != 0});
    for (const Event& event : rest.events) {
      const bool definition = std::holds_alternative<Stack>(event.payload) ||
                              std::holds_alternative<SymbolInfo>(event.payload) ||
                              std::holds_alternative<BinaryInfo>(event.payload);
      if (part == 0 || !definition) joined.push_back(event);
    }
  }
  EXPECT_EQ(joined, given);
}

// Read once, in the first part, as a program is whose collector rests: every part has them, with the names of their code.
TEST(Rotation, readings_of_go_open_each_part_with_their_names) {
  const TemporaryDirectory directory;
  const std::string path = directory / "web.memwhy";
  const GoReading reading{space(1), 1, GoLayout::kTable, true, 5, 0, {}};
  // Two runtimes of one process: each of them is stated again.
  const RuntimePages heap{space(1), 1, "go", Trust::kVerified, "", {"heap"}, {{9, 3, 0, 1, 2, 3}}, {}};
  const RuntimePages toy{space(1), 1, "toy", Trust::kVerified, "", {"slab"}, {{99, 3, 0, 1, 2, 3}}, {}};
  const GoProfile profile{
      space(1), GoProfile::Source::kBuckets, 524'288, false, {{64, 1, 1, {0x9001, 0x9002}}}};
  const GoGoroutines goroutines{
      space(1), 1, true, {{1, "chan send", 0x9003, {0x9004}, 2048, 0, 64, 1, {{8, 64, {0x9005}}}, 0}}};
  const GoStatistics statistics{space(1), {}, {}, {}};
  std::vector<Event> given = long_recording(20'000);
  std::vector<Event> readings;
  for (uint64_t address = 0x9001; address <= 0x9005; ++address)
    readings.push_back(
        {kMs, SymbolInfo{space(1), address, address != 0x9004, binary(1), address, {{"f", "", 0}}}});
  const PageScan pass{space(1), 1, 0, true, "pagemap", {{9, 3, 0}}, {}, {}};  // to which they belong
  std::erase_if(given, [](const Event& event) { return std::holds_alternative<PageScan>(event.payload); });
  for (const Payload& payload : {Payload(statistics), Payload(reading), Payload(heap), Payload(toy),
                                 Payload(profile), Payload(goroutines), Payload(pass)})
    readings.push_back({kMs, payload});
  const auto noise_begins =
      std::find_if(given.begin(), given.end(), [](const Event& event) { return event.time != 0; });
  given.insert(noise_begins, readings.begin(), readings.end());
  const auto writer = writer_for(create_output(path).value(), {path, 128 << 10});
  for (const Event& event : given) writer->on_event(event);
  ASSERT_TRUE(writer->finish("stopped").ok());
  ASSERT_GE(writer->totals().parts, 4u);
  for (uint32_t part = 1; part < writer->totals().parts; ++part) {
    const Recording alone = read(part_path(path, part));
    EXPECT_EQ(all<GoReading>(alone.events), std::vector{reading}) << part;
    EXPECT_EQ(all<RuntimePages>(alone.events), (std::vector{heap, toy})) << part;
    EXPECT_EQ(all<GoProfile>(alone.events), std::vector{profile});
    EXPECT_EQ(all<GoGoroutines>(alone.events), std::vector{goroutines});
    EXPECT_EQ(all<GoStatistics>(alone.events), std::vector{statistics});
    size_t named = 0;
    for (const SymbolInfo& symbol : all<SymbolInfo>(alone.events))
      named += symbol.address >= 0x9001 && symbol.address <= 0x9005 ? 1 : 0;
    EXPECT_EQ(named, 5u);
    EXPECT_TRUE(all<Loss>(read(part_path(path, part), {.skip_restated = true}).events).empty());
  }
}

TEST(Rotation, waits_for_a_restated_page_table) {
  const TemporaryDirectory directory;
  const std::string path = directory / "web.memwhy";
  const auto writer = writer_for(create_output(path).value(), {path, 128 << 10});
  std::mt19937_64 random(5);
  uint64_t i = 0;
  while (!writer->wants_restate()) writer->on_event(noise(random, ++i));
  EXPECT_EQ(writer->totals().parts, 1u);
  EXPECT_GE(writer->totals().bytes, (128u << 10) / 4 * 3);
  writer->on_event(table_of(i * 10 * kMs, false, 1));
  EXPECT_EQ(writer->totals().parts, 1u) << "changes alone do not describe a table";
  writer->on_event(table_of(i * 10 * kMs, true, 2));
  EXPECT_EQ(writer->totals().parts, 2u);
  EXPECT_FALSE(writer->wants_restate());
  ASSERT_TRUE(writer->finish("stopped").ok());
  const auto tables = all<PageTableRuns>(read(part_path(path, 1)).events);
  ASSERT_EQ(tables.size(), 1u);
  EXPECT_EQ(tables[0].as_of_tick, 2u) << "the new part opens with the whole table";
}

TEST(Rotation, is_refused_where_it_could_not_go_on) {
  const TemporaryDirectory directory;
  const std::string path = directory / "web.memwhy";
  ASSERT_TRUE(create_output(part_path(path, 1)).ok());
  const auto taken = Writer::create(create_output(path).value(), {path, 1 << 20});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), ErrorCode::kOutput);
  EXPECT_EQ(taken.error().message(), directory / "web.1.memwhy" + " exists, and would be the second part");
  const auto nameless = Writer::create(create_unlinked_output().value(), {"", 1 << 20});
  ASSERT_FALSE(nameless.ok());
  EXPECT_EQ(nameless.error().code(), ErrorCode::kUsage);
  EXPECT_FALSE(Writer::create(create_unlinked_output().value(), {directory / "x", 1000}).ok());
}

// A part that begins between what a runtime holds at scan 2 and scan 2 itself: scan 1 has its own, and scan 2 as well.
TEST(Restatement, what_belongs_to_a_scan_is_stated_with_that_scan) {
  Restatement restatement(true);
  BatchWriter batch;
  const auto pages = [](uint64_t scan, const char* runtime) {
    return RuntimePages{space(1), scan, runtime, Trust::kVerified, "", {}, {}, {}};
  };
  const auto pass = [](uint64_t scan, bool complete) {
    return PageScan{space(1), scan, 0, complete, "pagemap", {}, {}, {}};
  };
  const std::vector<Event> given = {{1, pages(1, "go")}, {1, pages(1, "toy")}, {1, pass(1, true)},
                                    {2, pages(2, "go")}, {2, pass(2, false)},  {3, pages(3, "go")}};
  for (const Event& event : given)
    EXPECT_TRUE(restatement.remember(event, kind_of(event.payload), *batch.encode(event)));
  std::vector<Payload> stated;
  for (const Record& record : restatement.begin_part(1, 4)) {
    stated.emplace_back();
    ASSERT_TRUE(decode_message(record.kind, record.message, stated.back()));
  }
  EXPECT_EQ(stated, (std::vector<Payload>{pages(1, "go"), pages(1, "toy"), pass(1, true), pages(3, "go")}));
}

TEST(Restatement, definitions_are_bounded) {
  Restatement restatement(true);
  BatchWriter batch;
  Stack sample{StackId{}, space(1), false, false, std::vector<uint64_t>(30)};
  std::mt19937_64 random(1);
  for (uint32_t id = 1; id <= 400'000; ++id) {
    sample.id = stack(id);
    for (uint64_t& frame : sample.frames) frame = random() >> 16;
    const Event event{id, sample};
    ASSERT_TRUE(restatement.remember(event, EventKind::kStack, *batch.encode(event)));
    ASSERT_LE(restatement.definition_bytes(), kMaxDefinitionBytes + 4096);
  }
  EXPECT_GT(restatement.made_room(), 0u);
  // Forgotten ones are simply not restated; the last are.
  restatement.begin_part(1, 1);
  size_t written = 0;
  const auto count = [&](EventKind, std::string_view) { ++written; };
  restatement.define_for({1, HeapGrown{space(1), 1, {}, stack(1), 0}}, count);
  EXPECT_EQ(written, 0u);
  restatement.define_for({1, HeapGrown{space(1), 1, {}, stack(400'000), 0}}, count);
  EXPECT_EQ(written, 1u);
}

}  // namespace
}  // namespace memwhy::trace::test
