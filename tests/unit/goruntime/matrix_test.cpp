// SPDX-License-Identifier: Apache-2.0
// What is read from outside against what the program knows of itself, for every Go release and way to build.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "goruntime/allocations.h"
#include "goruntime/buckets.h"
#include "goruntime/goroutines.h"
#include "goruntime/pages.h"
#include "goruntime/profile.h"
#include "goruntime/spans.h"
#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"

namespace memwhy::goruntime::test {
namespace {

std::vector<Build> matrix() {
  std::vector<Build> out;
  for (const Release release : kReleases)
    for (const Variant variant :
         {Variant::kPlain, Variant::kStripped, Variant::kPie, Variant::kRace, Variant::kCgo})
      out.push_back({release, variant});
  return out;
}

class GoPages : public testing::TestWithParam<Build> {
 protected:
  // Starts the program and finds its globals; the test ends early when `target_` stays empty.
  void start(std::vector<std::string> arguments = {}) {
    const std::string path = built(GetParam());
    MEMWHY_REQUIRE_BUILT(path, GetParam());
    auto target = std::make_unique<LiveTarget>(path, std::move(arguments));
    ASSERT_TRUE(target->wait_for("ready"));
    const std::optional<GoProgram> program = target->program();
    ASSERT_TRUE(program);
    memory_ = target->memory();
    const Layout* layout = layout_of(GetParam().release.minor);
    ASSERT_NE(layout, nullptr);
    Result<Globals> globals = find_globals(*memory_, *layout, program->image);
    ASSERT_TRUE(globals.ok()) << globals.error().message();
    globals_ = *globals;
    EXPECT_TRUE(globals_.allgs && globals_.allp);
    target_ = std::move(target);
  }

  HeapPages pages() {
    Result<HeapPages> pages = read_pages(*memory_, globals_);
    EXPECT_TRUE(pages.ok()) << pages.error().message();
    return pages ? std::move(*pages) : HeapPages{};
  }

  // What was read from outside, before and after the program said what it knows, of one and the same state.
  struct StillReading {
    HeapPages before, after;
    SpanTable spans;
    nlohmann::json own, prepared;
  };
  // To answer, a runtime may start a thread, whose stack comes out of the heap: then nothing can be compared, and it is asked
  // again. It has so many threads at most; a program that is never still fails. `prepare`: a command that comes first.
  StillReading read_while_still(const char* prepare = nullptr) {
    constexpr int kMostThreads = 100;
    for (int i = 0; i < kMostThreads; ++i) {
      StillReading out;
      if (prepare != nullptr) out.prepared = target_->ask(prepare);
      target_->wait_until_still();
      out.before = pages();
      Result<SpanTable> spans = read_spans(*memory_, globals_, out.before);
      out.own = target_->ask("dump");
      target_->wait_until_still();
      out.after = pages();
      if (!spans.ok() || out.before.before != out.after.after) continue;
      out.spans = std::move(*spans);
      return out;
    }
    ADD_FAILURE() << "the program is not still";
    return {};
  }

  std::unique_ptr<LiveTarget> target_;
  std::unique_ptr<remote::ProcessMemory> memory_;
  Globals globals_;
};

INSTANTIATE_TEST_SUITE_P(Matrix, GoPages, testing::ValuesIn(matrix()), name_of);

uint64_t bytes_of(const SpanTable& table, SpanKind kind) {
  uint64_t bytes = 0;
  for (const Span& span : table.spans)
    if (span.kind == kind) bytes += span.bytes();
  return bytes;
}

TEST_P(GoPages, equal_to_the_byte_when_quiet) {
  ASSERT_NO_FATAL_FAILURE(start());
  if (!target_) return;
  const StillReading first = read_while_still();
  const nlohmann::json& own = first.own;
  for (const HeapPages* read : {&first.before, &first.after}) {
    EXPECT_TRUE(read->quiet);
    EXPECT_TRUE(read->verified);
    EXPECT_EQ(read->total(PageClass::kHeapSpan), uint64_t{own["objects"]} + uint64_t{own["unused"]});
    EXPECT_EQ(read->total(PageClass::kIdle), own["free"]);
    EXPECT_EQ(read->total(PageClass::kReleased) + read->total(PageClass::kPadding), own["released"]);
    EXPECT_EQ(read->total(PageClass::kUnknown), 0u);
    EXPECT_EQ(read->before.in_stacks, own["stacks"]);
    EXPECT_EQ(read->before.heap_in_use, uint64_t{own["objects"]} + uint64_t{own["unused"]});
    EXPECT_EQ(read->before.buckhash_sys, own["buckets"]);
    EXPECT_EQ(read->before.gc_cycles, own["cycles"]);
  }

  const StillReading second = read_while_still("memstats");  // empties the caches: bytes of objects are exact
  EXPECT_EQ(second.spans.in_motion, 0u);
  EXPECT_EQ(bytes_of(second.spans, SpanKind::kStack), second.own["stacks"]);
  EXPECT_EQ(bytes_of(second.spans, SpanKind::kWorkBuffer) + bytes_of(second.spans, SpanKind::kOther),
            second.before.before.in_work_bufs + second.before.before.in_ptr_scalar_bits);
  uint64_t allocated = 0, taken = 0, split = 0;
  for (const Span& span : second.spans.spans) {
    if (span.kind != SpanKind::kObjects) continue;
    uint64_t slots = 0;
    for (const uint64_t word : span.allocated_bits()) slots += static_cast<uint64_t>(std::popcount(word));
    EXPECT_EQ(slots, span.allocated) << "span of " << span.element_bytes << " at " << std::hex
                                     << span.address;
    allocated += uint64_t{span.allocated} * span.element_bytes;
    const Occupancy whole = occupancy(span, span.address, span.address + span.bytes());
    taken += whole.live_bytes + whole.unmarked_bytes;
    // By OS pages it is the same.
    for (uint64_t at = span.address; at < span.address + span.bytes(); at += kPageBytes) {
      const Occupancy part = occupancy(span, at, at + kPageBytes);
      split += part.live_bytes + part.unmarked_bytes;
      EXPECT_EQ(part.live_bytes + part.unmarked_bytes + part.free_bytes, kPageBytes);
    }
  }
  EXPECT_EQ(allocated, taken);
  EXPECT_EQ(taken, split);
  const auto difference = static_cast<int64_t>(allocated) - int64_t{second.prepared["heap_alloc"]};
  std::printf("%s: objects %lld B off HeapAlloc\n", GetParam().name().c_str(), (long long)difference);
  EXPECT_LT(std::abs(difference), 64 << 10) << "slack of tiny blocks and caches";
}

TEST_P(GoPages, allocations_by_size_class_to_the_object) {
  ASSERT_NO_FATAL_FAILURE(start());
  if (!target_) return;
  target_->ask("allocations");  // what only the first answer needs is made
  const nlohmann::json own = target_->ask("allocations");
  target_->wait_until_still();
  Result<HeapCounters> counters = read_counters(*memory_, globals_);
  ASSERT_TRUE(counters.ok());
  const std::optional<events::GoAllocations> read =
      read_allocations(*memory_, globals_, counters->total_alloc);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->large_objects, own["large"]);
  uint64_t sum = read->large_bytes;
  for (const events::GoSizeClass& each : read->small) {
    EXPECT_EQ(each.objects, own.value(std::to_string(each.object_bytes), uint64_t{0})) << each.object_bytes;
    sum += each.object_bytes * each.objects;
  }
  EXPECT_EQ(read->small.size(), own.size() - 2) << "beside the classes: total, large";
  EXPECT_EQ(sum, own["total"]);
  EXPECT_EQ(sum, counters->total_alloc);
  EXPECT_GE(read->large_bytes, (16u << 22) + (72u << 20)) << "what it keeps, and what it dropped";
  // Statistics that do not sum to what the collector counted are not believed.
  EXPECT_FALSE(read_allocations(*memory_, globals_, counters->total_alloc * 2));
}

// The runtime counts its buckets as it makes them; what is found in lists and in their table is exactly that.
TEST_P(GoPages, buckets_of_profiles_to_the_byte) {
  ASSERT_NO_FATAL_FAILURE(start({"-profiled"}));
  if (!target_) return;
  constexpr uint64_t kTableBytes = 179'999 * 8, kStacks = 1 << 15;
  // Also counted as buckets: the masks of .data and .bss, a bit for each word and a byte behind.
  uint64_t masks = 0;
  for (const AddressRange& range : globals_.roots) masks += (range.bytes() / 8 + 7) / 8 + 1;
  target_->wait_until_still();
  BucketPages buckets;
  const uint64_t at_first = target_->ask("dump")["buckets"];
  buckets.update(*memory_, globals_, at_first);
  EXPECT_EQ(buckets.bytes(), at_first - masks);
  EXPECT_GT(at_first, kTableBytes + kStacks * (48 + 16 * 8 + 128));
  EXPECT_EQ(buckets.lists().head(BucketKind::kBlock), 0u);
  EXPECT_EQ(buckets.lists().head(BucketKind::kMutex), 0u);

  target_->ask("block");  // lists that were not there when the others were found
  target_->wait_until_still();
  const uint64_t at_last = target_->ask("dump")["buckets"];
  EXPECT_GT(at_last, at_first);
  buckets.update(*memory_, globals_, at_last);
  EXPECT_EQ(buckets.bytes(), at_last - masks);
  EXPECT_NE(buckets.lists().head(BucketKind::kBlock), 0u);
  EXPECT_NE(buckets.lists().head(BucketKind::kMutex), 0u);

  uint64_t pages = 0, before = 0;
  for (const events::RuntimeRun& run : buckets.runs()) {
    EXPECT_EQ(run.use, static_cast<uint8_t>(events::GoUse::kProfiler));
    EXPECT_GE(run.page, before);
    before = run.page + run.count;
    pages += run.count;
  }
  EXPECT_GE(pages * kPageBytes, at_last - at_last / 20);  // a page that they share is somebody's whole
  EXPECT_LE(pages * kPageBytes, at_last + at_last / 20);
}

TEST_P(GoPages, goroutines_by_what_they_wait_for) {
  ASSERT_NO_FATAL_FAILURE(start());
  if (!target_) return;
  target_->wait_until_still();
  Result<GoroutineList> list = read_goroutines(*memory_, globals_);
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->unread, 0u);
  const uint64_t total = target_->ask("dump")["goroutines"];
  const nlohmann::json own = target_->ask("goroutines");
  std::map<std::string, uint64_t> waits;
  uint64_t users = 0, senders = 0, deep = 0;
  for (const Goroutine& each : list->goroutines) {
    const GoroutineKind& goroutine = list->kind_of(each);
    const std::vector<std::string> entry = target_->functions(goroutine.entry, false);
    ASSERT_FALSE(entry.empty());
    if (entry.back().rfind("runtime.", 0) == 0 && entry.back() != "runtime.main") continue;
    ++users;
    if (goroutine.status != GoroutineStatus::kWaiting) continue;
    ++waits[std::string(goroutine.wait_reason())];
    std::vector<std::string> names;
    for (const uint64_t frame : goroutine.frames())
      for (std::string& name : target_->functions(frame, true)) names.push_back(std::move(name));
    const auto frames_of = [&](const char* name) { return std::count(names.begin(), names.end(), name); };
    if (goroutine.wait_reason() == "chan send" && frames_of("main.blockedSender") == 1) ++senders;
    if (goroutine.wait_reason() == "chan receive" && frames_of("main.deepReceiver") == 101) ++deep;
  }
  EXPECT_EQ(users, total);
  EXPECT_EQ(senders, 8u);
  EXPECT_EQ(deep, 8u);
  uint64_t kinds = 0;
  for (const auto& [reason, count] : own.items()) {
    if (reason == "running" || reason == "runnable" || reason == "syscall") continue;
    EXPECT_EQ(waits[reason], count) << reason;
    ++kinds;
  }
  EXPECT_EQ(waits.size(), kinds) << "no reason but those";
  EXPECT_GE(kinds, 10u);
}

// Bytes of a reading, `at_most` when pages that were caught in motion are of this kind, and what the program's own metrics
// were at the least and at the most around it.
struct Bounded {
  const char* what;
  uint64_t bytes, at_most, low, high;
  uint64_t beyond() const { return at_most < low ? low - at_most : bytes > high ? bytes - high : 0; }
};

std::vector<Bounded> bounded(const HeapPages& read, const SpanTable& spans, const nlohmann::json& own) {
  const auto in = [&](const char* what, uint64_t bytes, uint64_t in_motion) {
    const std::string key = what;
    return Bounded{what, bytes, bytes + in_motion, own[key + "_low"], own[key + "_high"]};
  };
  // Pages that are just being given back look allocated meanwhile: of no span, or of one that is no more.
  uint64_t stacks_in_motion = 0;  // their spans say neither what they were nor what they become
  size_t span = 0;
  for (const PageRun& run : read.runs)
    if (run.span != 0 && spans.spans[span++].kind == SpanKind::kInMotion &&
        run.page_class == PageClass::kManualSpan)
      stacks_in_motion += run.pages * uint64_t{8192};
  const uint64_t in_motion = read.total(PageClass::kUnknown) + stacks_in_motion;
  const uint64_t idle = read.total(PageClass::kIdle);
  const uint64_t released = read.total(PageClass::kReleased) + read.total(PageClass::kPadding);
  std::vector<Bounded> out = {in("in_use", read.total(PageClass::kHeapSpan), 0), in("released", released, 0),
                              in("not_in_use", idle + released, in_motion),
                              in("stacks", bytes_of(spans, SpanKind::kStack), stacks_in_motion)};
  // Pages become free and are given back at the same time: idle alone may be what no look of the program saw.
  out.push_back({"idle", idle, idle + in_motion, out[2].low - std::min(out[2].low, out[1].high),
                 out[2].high - out[1].low});
  return out;
}

// The program looks at its own metrics before and after each small step of its work, and tells the least and the most of them
// since it was last asked. It is asked before and after a reading: whatever moment the reading shows, its bytes lie between
// those, or beyond them by no more than one step allocates: well below a hundredth of the heap.
TEST_P(GoPages, within_a_hundredth_under_churn) {
  ASSERT_NO_FATAL_FAILURE(start({"-churn"}));
  if (!target_) return;
  struct Course {
    uint64_t least = ~uint64_t{0}, most = 0;
    double furthest = 0;
  };
  std::map<std::string, Course> courses;
  std::vector<double> moving;  // of a reading, the share of spans
  int torn = 0, readings = 0;
  uint64_t heap = 0;
  const auto all_moved = [&] {
    return std::all_of(courses.begin(), courses.end(),
                       [&](const auto& c) { return c.second.most > c.second.least + heap / 100; });
  };
  for (; readings < 40 || (readings < 2000 && !all_moved()); ++readings) {
    target_->ask("span");
    const HeapPages read = pages();
    Result<SpanTable> table = read_spans(*memory_, globals_, read);
    const nlohmann::json own = target_->ask("span");
    ASSERT_TRUE(table.ok());
    if (!read.verified) {  // it says so itself
      ++torn;
      continue;
    }
    heap = std::accumulate(read.bytes.begin(), read.bytes.end(), uint64_t{0});
    for (const Bounded& b : bounded(read, *table, own)) {
      EXPECT_LE(b.beyond(), heap / 100)
          << b.what << " " << b.bytes << ", by its own metrics " << b.low << " to " << b.high;
      Course& course = courses[b.what];
      course.least = std::min(course.least, b.low);
      course.most = std::max(course.most, b.high);
      course.furthest =
          std::max(course.furthest, static_cast<double>(b.beyond()) / static_cast<double>(heap));
    }
    moving.push_back(static_cast<double>(table->in_motion) / static_cast<double>(table->spans.size()));
  }
  EXPECT_LE(torn, readings / 4);  // one or two in a hundred, more where it loses the processor all the time
  EXPECT_TRUE(all_moved()) << "by more than the bound";
  ASSERT_FALSE(moving.empty());
  std::sort(moving.begin(), moving.end());
  const double usual = moving[moving.size() / 2];
  std::printf("%s: %d of %d readings torn, spans in motion: %.2f %%, at most %.2f %%\n",
              GetParam().name().c_str(), torn, readings, 100 * usual, 100 * moving.back());
  for (const auto& [what, course] : courses)
    std::printf("  %-10s %3llu to %3llu MiB by its own metrics, read at most %.2f %% of the heap beyond\n",
                what.c_str(), (unsigned long long)(course.least >> 20),
                (unsigned long long)(course.most >> 20), 100 * course.furthest);
  EXPECT_LT(usual, 0.01);  // a reading that loses the processor for a while sees more
}

// A still program whose counters are read as if they moved by so much, before and after the pass over its pages.
class MovingCounters final : public remote::RemoteMemory {
 public:
  struct Move {
    int64_t in_use = 0, free = 0, released = 0;
  };
  MovingCounters(remote::RemoteMemory& memory, const Globals& globals, Move before, Move after)
      : memory_(memory), globals_(globals), moves_{before, after} {}

  Status read(uint64_t address, std::span<std::byte> into) override {
    Status status = memory_.read(address, into);
    if (!status || address != globals_.gc_controller) return status;
    const Move& move = moves_[reads_++ % 2];
    const auto& c = globals_.layout->gc_controller;
    for (const auto& [field, by] : {std::pair(c.heap_in_use, move.in_use),
                                    {c.heap_free, move.free},
                                    {c.heap_released, move.released}}) {
      uint64_t value = 0;
      std::memcpy(&value, into.data() + field.offset, sizeof value);
      value += static_cast<uint64_t>(by);
      std::memcpy(into.data() + field.offset, &value, sizeof value);
    }
    return status;
  }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    return memory_.read_present(address, into);
  }

 private:
  remote::RemoteMemory& memory_;
  const Globals& globals_;
  std::array<Move, 2> moves_;
  size_t reads_ = 0;
};

class GoPagesInMotion : public GoPages {};

INSTANTIATE_TEST_SUITE_P(Oldest, GoPagesInMotion, testing::Values(Build{release(19), Variant::kPlain}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Newest, GoPagesInMotion, testing::Values(Build{release(27), Variant::kPlain}),
                         name_of);

// Each class must be what its own counter was about then: what is counted twice in one can be missing in no other.
TEST_P(GoPagesInMotion, no_class_is_more_than_a_hundredth_off_its_counter) {
  ASSERT_NO_FATAL_FAILURE(start());
  if (!target_) return;
  target_->wait_until_still();
  using Move = MovingCounters::Move;
  const auto verified = [&](Move before, Move after) {
    MovingCounters memory(*memory_, globals_, before, after);
    Result<HeapPages> read = read_pages(memory, globals_);
    EXPECT_TRUE(read.ok());
    return read.ok() && read->verified;
  };
  constexpr int64_t kLittle = 512 << 10, kMuch = 4 << 20;  // a hundredth of its heap is 1 MiB
  EXPECT_TRUE(verified({}, {}));
  EXPECT_TRUE(verified({kLittle, kLittle, kLittle}, {-kLittle, kLittle, kLittle}));
  EXPECT_TRUE(verified({-kMuch, kMuch, -kMuch}, {kMuch, -kMuch, kMuch}));
  EXPECT_FALSE(verified({kMuch, 0, 0}, {kMuch, 0, 0}));
  EXPECT_FALSE(verified({0, -kMuch, 0}, {2 * kMuch, -kMuch, 0}));  // as many in use and free as there are
  EXPECT_FALSE(verified({0, 0, -kMuch}, {kMuch, 0, -kMuch}));
}

}  // namespace
}  // namespace memwhy::goruntime::test
