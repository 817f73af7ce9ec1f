// SPDX-License-Identifier: Apache-2.0
// A program that writes into the tables of its own runtime, also between two reads of them: what is read of it stays
// within memory and within a budget, and what was left out is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <optional>

#include "goruntime/buckets.h"
#include "goruntime/geometry.h"
#include "goruntime/go_process.h"
#include "goruntime/goroutines.h"
#include "goruntime/pages.h"
#include "goruntime/reach.h"
#include "goruntime/spans.h"
#include "remote/budget.h"
#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"
#include "unit/remote/fake_memory.h"

namespace memwhy::goruntime::test {
namespace {

using remote::test::FakeMemory;
using remote::test::PresentMemory;
using remote::test::RecordedMemory;

// A recorded memory of which a part is made up: the word at any address of `range` is what `word` says, and each read of
// `flipped` gives the next of two values.
class LyingMemory final : public PresentMemory {
 public:
  explicit LyingMemory(const FakeMemory& truth) : truth_(truth) {}
  AddressRange range;
  std::function<uint64_t(uint64_t address)> word;
  uint64_t flipped = 0;
  std::array<uint64_t, 2> values{};

  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    ++reads_;
    if (range.contains(address) && into.size() <= range.end - address) {
      for (size_t i = 0; i < into.size();) {
        const uint64_t inside = (address + i) % 8, value = word(address + i - inside);
        const size_t n = std::min<size_t>(into.size() - i, 8 - inside);
        std::memcpy(&into[i], reinterpret_cast<const std::byte*>(&value) + inside, n);
        i += n;
      }
      return into.size();
    }
    Result<uint64_t> there = truth_.read_present(address, into);
    if (flipped != 0 && address <= flipped && flipped + 8 <= address + into.size())
      std::memcpy(&into[flipped - address], &values[flips_++ % 2], 8);
    return there;
  }
  uint64_t reads() const { return reads_; }
  void put_words(uint64_t address, std::initializer_list<uint64_t> words) {
    truth_.put_words(address, words);
  }

 private:
  FakeMemory truth_;
  uint64_t flips_ = 0, reads_ = 0;
};

// What all readers touch of a live program, kept once for all tests; the program is gone.
struct Recording {
  GoProgram program;
  Globals globals;
  FakeMemory memory;
  size_t goroutines = 0;
};

std::vector<uint32_t> waiting(const GoroutineList& list) {
  std::vector<uint32_t> out;
  for (uint32_t i = 0; i < list.goroutines.size(); ++i)
    if (waits(list.kind_of(list.goroutines[i]).status) && list.goroutines[i].id != 1) out.push_back(i);
  return out;
}

Reach reach_all(remote::RemoteMemory& memory, const Globals& globals, const ReachBudget& budget = {}) {
  Result<GoroutineList> list = read_goroutines(memory, globals);
  Result<HeapPages> pages = read_pages(memory, globals);
  if (!list || !pages) return {};
  Result<SpanTable> spans = read_spans(memory, globals, *pages);
  if (!spans) return {};
  const std::vector<uint32_t> each = waiting(*list);
  std::vector<Members> groups;
  for (const uint32_t& one : each) groups.emplace_back(&one, 1);
  return reach(memory, globals, *spans, *list, groups, budget);
}

class Hostile : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const Build build{release(26), Variant::kStripped, "hourly_job", true};
    const std::string path = built(build);
    if (path.empty()) return;
    LiveTarget target(path, {"-runs", "2", "-size", "1", "-period", "1ms"});
    if (!target.wait_for("done")) return;
    target.wait_until_still();
    std::optional<GoProgram> program = target.program();
    const std::unique_ptr<remote::ProcessMemory> live = target.memory();
    if (!program || !live) return;
    RecordedMemory recorder(*live);
    Result<Globals> globals = find_globals(recorder, *layout_of(26), program->image);
    if (!globals) return;
    reach_all(recorder, *globals);
    Result<GoroutineList> list = read_goroutines(recorder, *globals);
    recording_ = std::make_unique<Recording>(
        Recording{std::move(*program), std::move(*globals), recorder.recorded(), list->goroutines.size()});
  }
  static void TearDownTestSuite() { recording_.reset(); }

  void SetUp() override {
    const Build build{release(26), Variant::kStripped, "hourly_job", true};
    MEMWHY_REQUIRE_BUILT(built(build), build);
    ASSERT_TRUE(recording_);
  }
  const Globals& globals() const { return recording_->globals; }
  const Layout& layout() const { return *recording_->globals.layout; }
  // A parked goroutine.
  // Of a list that lives as long as the test: its frames are the list's.
  Goroutine parked() {
    list_ = *read_goroutines(recording_->memory, globals());
    for (const Goroutine& goroutine : list_.goroutines)
      if (list_.kind_of(goroutine).wait_reason() == "chan send") return goroutine;
    return {};
  }

  // So many goroutines, each parked with a stack that no other has; from when the list is theirs.
  std::unique_ptr<LyingMemory> many_goroutines(uint64_t count) {
    constexpr uint64_t kArray = uint64_t{1} << 46, kGs = kArray + (uint64_t{1} << 30), kEach = 1024,
                       kStack = 2048;
    const uint64_t stacks = kGs + count * kEach;
    auto memory = std::make_unique<LyingMemory>(recording_->memory);
    memory->range = {kArray, stacks + count * kStack};
    memory->word = [stacks, g = layout().g, min_pc = globals().min_pc](uint64_t address) -> uint64_t {
      if (address < kGs) return kGs + (address - kArray) / 8 * kEach;
      if (address >= stacks) {  // frames of 16 bytes: {next, return address}; each stack has other ones
        const uint64_t n = (address - stacks) / kStack;
        return address % 16 == 0 ? address + 16 : min_pc + n * 7 + address % 64;
      }
      const uint64_t n = (address - kGs) / kEach, stack = stacks + n * kStack;
      const uint64_t at = (address - kGs) % kEach;
      if (at == g.stack_lo.offset || at == g.sched_sp.offset || at == g.sched_bp.offset) return stack;
      if (at == g.stack_hi.offset) return stack + kStack;
      if (at == g.goid.offset) return n + 1;
      if (at == (g.atomicstatus.offset & ~7u)) return uint64_t{4} << 8 * (g.atomicstatus.offset % 8);
      return 0;
    };
    return memory;
  }

  void list_them(LyingMemory& memory, uint64_t count) {
    memory.put_words(*globals().allgs, {memory.range.start, count, count});
  }
  // A process that has found its tables before the list became that of so many.
  GoProcess process_of_many(uint64_t count, remote::BudgetClocks clocks = remote::BudgetClocks::system()) {
    std::unique_ptr<LyingMemory> memory = many_goroutines(count);
    LyingMemory& lying = *memory;
    GoProcess process(std::move(memory), recording_->program, clocks);
    EXPECT_TRUE(process.statistics());
    list_them(lying, count);
    return process;
  }

  static std::unique_ptr<Recording> recording_;
  GoroutineList list_;
};
std::unique_ptr<Recording> Hostile::recording_;

// The end of the variables is the truth when the masks are sized, and 250 MiB behind it when they are used.
TEST_F(Hostile, variables_that_grow_between_two_reads_do_not_outgrow_their_masks) {
  const Reach truth = reach_all(recording_->memory, globals());
  ASSERT_TRUE(truth.finished);
  const uint64_t word = globals().moduledata + layout().moduledata.edata.offset;
  const uint64_t end = *remote::read_value<uint64_t>(recording_->memory, word);
  for (const bool lie_first : {false, true}) {
    LyingMemory memory(recording_->memory);
    memory.flipped = word;
    memory.values = {end + (lie_first ? 250u << 20 : 0), end + (lie_first ? 0 : 250u << 20)};
    // The walk looks at it first, and then the tables of functions do: those come first when it is made.
    for (int skip = 0; skip < 2; ++skip) {
      const Reach reached = reach_all(memory, globals());
      EXPECT_GE(reached.objects_walked, truth.objects_walked / 2);
      EXPECT_LE(reached.objects_walked, truth.objects_walked * 2);
      static_cast<void>(remote::read_value<uint64_t>(memory, word));
    }
  }
}

// Behind the last arena of all addresses the first one begins; and 16 TiB are one page more than a run has room for.
TEST_F(Hostile, a_heap_at_the_end_of_all_addresses_or_of_16_TiB_is_refused) {
  constexpr uint64_t kRanges = uint64_t{1} << 46, kTiB = uint64_t{1} << 40;
  const auto why = [&](AddressRange range) {
    FakeMemory memory = recording_->memory;
    memory.put_words(kRanges, {range.start, range.end});
    memory.put_words(globals().mheap + layout().mheap.pages_in_use.offset, {kRanges, 1, 1});
    const Result<HeapPages> pages = read_pages(memory, globals());
    return pages ? std::string() : pages.error().message();
  };
  EXPECT_THAT(why({0 - kArenaBytes, 0 - kChunkBytesGo}), testing::HasSubstr("ranges: they make no sense"));
  EXPECT_THAT(why({kTiB, 17 * kTiB}), testing::HasSubstr("ranges: they are too large"));
  EXPECT_THAT(why({kTiB, 17 * kTiB - kArenaBytes}), testing::Not(testing::HasSubstr("ranges")));
}

// 3 objects of 0x5555555555555556 bytes are 2 bytes, modulo 2^64.
TEST_F(Hostile, objects_whose_product_wraps_are_no_objects) {
  Result<HeapPages> pages = read_pages(recording_->memory, globals());
  ASSERT_TRUE(pages);
  Result<SpanTable> truth = read_spans(recording_->memory, globals(), *pages);
  ASSERT_TRUE(truth);
  const auto span = std::find_if(truth->spans.begin(), truth->spans.end(), [](const Span& each) {
    return each.kind == SpanKind::kObjects && !each.noscan;
  });
  ASSERT_NE(span, truth->spans.end());
  const auto run = std::find_if(pages->runs.begin(), pages->runs.end(),
                                [&](const PageRun& each) { return each.address == span->address; });
  const auto put = [&](FakeMemory& memory, Field where, uint64_t value) {
    memory.put(run->span + where.offset, std::as_bytes(std::span(&value, 1)).first(where.bytes));
  };
  for (const auto& [elements, bytes] : std::vector<std::pair<uint64_t, uint64_t>>{
           {3, 0x5555555555555556}, {2, uint64_t{1} << 63}, {1, ~uint64_t{0}}, {1, span->bytes() + 1}}) {
    FakeMemory memory = recording_->memory;
    put(memory, layout().mspan.nelems, elements);
    put(memory, layout().mspan.elemsize, bytes);
    put(memory, layout().mspan.alloc_count, 1);
    put(memory, layout().mspan.freeindex, 1);
    Result<SpanTable> read = read_spans(memory, globals(), *pages);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->spans[static_cast<size_t>(span - truth->spans.begin())].kind, SpanKind::kInMotion)
        << elements << " of " << bytes;
  }
}

// allgs has 2^24 entries, all of them the same goroutine.
TEST_F(Hostile, a_goroutine_that_is_named_sixteen_million_times_is_one) {
  constexpr uint64_t kEntries = 1 << 24, kArray = uint64_t{1} << 46;
  const Goroutine same = parked();
  ASSERT_NE(same.address, 0u);
  FakeMemory truth = recording_->memory;
  truth.put_words(*globals().allgs, {kArray, kEntries, kEntries});
  LyingMemory memory(truth);
  memory.range = {kArray, kArray + 8 * kEntries};
  memory.word = [&](uint64_t) { return same.address; };
  Result<GoroutineList> list = read_goroutines(memory, globals());
  ASSERT_TRUE(list);
  ASSERT_EQ(list->goroutines.size(), 1u);
  EXPECT_EQ(list->goroutines[0].id, same.id);
  EXPECT_EQ(list->kind_of(list->goroutines[0]).frames().size(), list_.kind_of(same).frames().size());
  EXPECT_EQ(list->unread, 0u);
  EXPECT_LT(memory.reads(), 1000u);
}

// A million goroutines, each with a stack of its own: what is kept of them is what one reading may keep, and the others
// are counted.
TEST_F(Hostile, goroutines_with_a_million_stacks_are_kept_within_the_budget) {
  constexpr uint64_t kCount = 1'000'000;
  const std::unique_ptr<LyingMemory> memory = many_goroutines(kCount);
  list_them(*memory, kCount);
  remote::Budget budget({.kept_bytes = 64 << 20});
  remote::MeteredMemory metered(*memory, budget);
  Result<GoroutineList> list = read_goroutines(metered, globals());
  ASSERT_TRUE(list);
  EXPECT_GT(list->goroutines.size(), 10'000u);
  EXPECT_GT(list->cut, 100'000u);
  EXPECT_EQ(list->goroutines.size() + list->unread, kCount);
  EXPECT_EQ(budget.spent(), remote::Budget::Spent::kKeptBytes);
}

// What each group keeps is looked for with a queue for each: so of ten thousand groups some are left, and that is told.
TEST_F(Hostile, of_very_many_stacks_some_are_looked_at) {
  constexpr uint64_t kCount = 10'000;
  GoProcess process = process_of_many(kCount);
  const std::optional<events::GoGoroutines> all = process.goroutines();
  ASSERT_TRUE(all);
  EXPECT_EQ(all->count, kCount);
  EXPECT_EQ(all->groups.size(), 256u);
  EXPECT_THAT(
      process.take_notices(),
      testing::Contains("Its goroutines have 10000 different stacks: only the 4096 of most goroutines are "
                        "looked at."));
}

// The recording has to end: the reading does, with what it has. Clocks that stand still: nothing else can end it.
TEST_F(Hostile, a_reading_ends_when_there_is_no_time_left) {
  constexpr uint64_t kCount = 1'000'000;
  const auto still = [] { return uint64_t{0}; };
  GoProcess process = process_of_many(kCount, {still, still});
  int asked = 0;
  process.stop_when([&asked] { return ++asked > 3; });
  const std::optional<events::GoGoroutines> all = process.goroutines();
  ASSERT_TRUE(all);
  EXPECT_EQ(all->count, kCount);
  EXPECT_FALSE(all->complete);
  EXPECT_LT(asked, 10);
  EXPECT_THAT(process.take_notices(), testing::Contains(testing::MatchesRegex(
                                          "Of its 1000000 goroutines [0-9]+ were not read: it would take "
                                          "more time than one reading may.")));
  EXPECT_FALSE(process.statistics()) << "nothing more is begun";
}

// On a busy machine the last look may have no time: what it began must not take the place of what was read whole.
TEST_F(Hostile, what_was_read_whole_stands_when_there_is_no_time_for_it_again) {
  GoProcess process(std::make_shared<FakeMemory>(recording_->memory), recording_->program);
  const std::optional<events::GoGoroutines> whole = process.goroutines();
  ASSERT_TRUE(whole && whole->complete);
  process.take_notices();
  for (int least : {0, 1, 2, 3}) {  // looks at the clock before it is over: in the list, or in the walk
    int asked = 0;
    process.stop_when([&] { return ++asked > least; });
    EXPECT_FALSE(process.goroutines()) << least;
  }
  EXPECT_THAT(
      process.take_notices(),
      testing::ElementsAre("What its goroutines keep is as of the look before: the recording had to end."));
  process.stop_when({});
  EXPECT_TRUE(process.goroutines());
}

// Variables of 200 MiB that are all resident: the search looks through 64 MiB of them, and keeps no more than it may.
TEST_F(Hostile, variables_that_are_larger_than_a_search_may_keep_end_it) {
  const auto& m = layout().moduledata;
  FakeMemory truth = recording_->memory;
  const uint64_t end = *remote::read_value<uint64_t>(truth, globals().moduledata + m.enoptrbss.offset);
  const uint64_t from = (end + (64 << 10)) & ~uint64_t{0xffff};
  truth.put_word(globals().moduledata + m.enoptrbss.offset, from + (200 << 20));
  LyingMemory memory(truth);
  memory.range = {from, from + (200 << 20)};
  memory.word = [](uint64_t) { return 0; };
  remote::Budget budget({.kept_bytes = 30 << 20});
  remote::MeteredMemory metered(memory, budget);
  EXPECT_FALSE(find_globals(metered, layout(), recording_->program.image).ok());
  EXPECT_EQ(budget.spent(), remote::Budget::Spent::kKeptBytes);
  remote::Budget enough({.kept_bytes = 100 << 20});
  remote::MeteredMemory rich(memory, enough);
  EXPECT_TRUE(find_globals(rich, layout(), recording_->program.image).ok());
}

// An array of pointers of 1 TiB that nobody touched: looking for its pages ends, and the walk is not finished.
TEST_F(Hostile, an_array_that_is_not_there_ends_the_walk) {
  FakeMemory memory;
  constexpr uint64_t kRoot = 0x10000, kArray = uint64_t{1} << 40, kBytes = uint64_t{1} << 40;
  memory.put_word(kRoot, kArray);
  Globals made;
  made.layout = &layout();
  made.roots = {{kRoot, kRoot + 8}};
  SpanTable spans;
  Span& span = spans.spans.emplace_back();
  span.address = kArray;
  span.pages = kBytes / 8192;
  span.kind = SpanKind::kObjects;
  span.large = true;
  span.elements = span.allocated = 1;
  span.element_bytes = kBytes;
  span.bits = {1, 1};
  const Reach reached = reach(memory, made, spans, {}, {}, {.absent_bytes = uint64_t{1} << 30});
  EXPECT_FALSE(reached.finished);
  EXPECT_EQ(reached.objects_walked, 1u);
  EXPECT_EQ(reached.bytes_read, 8u);
  EXPECT_LT(memory.reads(), 20'000u);
}

// Variables of 40 MiB that are all pointers: they are looked through as far as one walk may read, a block at a time.
TEST_F(Hostile, variables_are_read_within_the_budget_of_a_walk) {
  constexpr uint64_t kModule = 0x10000, kData = uint64_t{1} << 40, kBytes = 40 << 20, kMask = kData + kBytes;
  const auto& m = layout().moduledata;
  FakeMemory truth;
  std::vector<std::byte> module(m.size);
  const auto put = [&](uint64_t offset, uint64_t value) { std::memcpy(&module[offset], &value, 8); };
  put(m.data.offset, kData);
  put(m.edata.offset, kData + kBytes);
  put(m.bss.offset, kData);
  put(m.ebss.offset, kData + 8);
  const uint64_t masks = (m.size - 32) & ~uint64_t{7};
  put(masks, kBytes / 8);
  put(masks + 8, kMask);
  put(masks + 16, 1);
  put(masks + 24, kMask);
  truth.put(kModule, module);
  LyingMemory memory(truth);
  memory.range = {kData, kMask + kBytes / 64};
  memory.word = [&](uint64_t address) { return address < kMask ? 0 : ~uint64_t{0}; };
  Globals made;
  made.layout = &layout();
  made.moduledata = kModule;
  SpanTable spans;
  const Reach reached = reach(memory, made, spans, {}, {}, {.read_bytes = 10 << 20});
  EXPECT_FALSE(reached.finished);
  EXPECT_GE(reached.bytes_read, 10u << 20);
  EXPECT_LT(reached.bytes_read, 12u << 20);
  const Reach whole = reach(memory, made, spans, {}, {}, {});
  EXPECT_TRUE(whole.finished);
  EXPECT_GE(whole.bytes_read, kBytes + 8);
}

// Buckets that overlap in memory are as many bytes as they say, however few they are in.
TEST_F(Hostile, buckets_that_overlap_are_paid_for) {
  constexpr uint64_t kFirst = 0x100000, kBuckets = 1 << 17, kFrames = 1000;
  const auto& b = layout().bucket;
  LyingMemory memory{FakeMemory()};
  memory.range = {kFirst, kFirst + kBuckets * 64 + 8 * kFrames};
  memory.word = [&](uint64_t address) -> uint64_t {
    const uint64_t at = (address - kFirst) % 64;
    return at == b.allnext.offset ? address - at + 64 : at == (b.nstk.offset & ~7u) ? kFrames : 1;
  };
  remote::Budget budget({.kept_bytes = 1 << 20});
  remote::MeteredMemory metered(memory, budget);
  uint64_t visited = 0;
  const Status whole =
      walk_buckets(metered, globals(), kFirst, 0, [&](uint64_t, std::span<const std::byte>) -> Status {
        ++visited;
        return {};
      });
  EXPECT_FALSE(whole.ok());
  EXPECT_GT(visited, 100u);
  EXPECT_LT(visited, (1 << 20) / (8 * kFrames) + 1);
}

}  // namespace
}  // namespace memwhy::goruntime::test
