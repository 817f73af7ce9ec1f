// SPDX-License-Identifier: Apache-2.0
// Absent pages, garbage, pointers that lie and layouts of other releases: an error or "not verified", never a
// wrong number, a crash, or a read without end.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <random>

#include "goruntime/go_process.h"
#include "goruntime/goroutines.h"
#include "goruntime/pages.h"
#include "goruntime/profile.h"
#include "goruntime/reach.h"
#include "goruntime/spans.h"
#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"
#include "unit/remote/fake_memory.h"

namespace memwhy::goruntime::test {
namespace {

using remote::test::FakeMemory;
using remote::test::RecordedMemory;

constexpr size_t kPagesTried = 200;
constexpr uint64_t kMostReads = 3'000'000;  // of one round of all readings

// Every reader, one after the other, as far as they come.
struct Readings {
  std::optional<HeapPages> pages;
  std::optional<SpanTable> spans;
  std::optional<GoroutineList> goroutines;
  std::optional<HeapProfile> profile;
  std::optional<Reach> reached;
};

Readings read_all(remote::RemoteMemory& memory, const Globals& globals) {
  Readings out;
  if (Result<HeapPages> pages = read_pages(memory, globals); pages) {
    if (Result<SpanTable> spans = read_spans(memory, globals, *pages); spans) {
      for (const Span& span : spans->spans)
        if (span.kind == SpanKind::kObjects)
          occupancy(span, span.address, span.address + std::min(span.bytes(), kPageBytes));
      out.spans = std::move(*spans);
    }
    if (pages->verified) out.pages = std::move(*pages);
  }
  if (Result<GoroutineList> list = read_goroutines(memory, globals); list) out.goroutines = std::move(*list);
  const BucketLists lists = find_buckets(memory, globals);
  BucketPages().update(memory, globals, 0);
  if (Result<std::optional<HeapProfile>> profile = read_profile(memory, globals, lists); profile)
    out.profile = std::move(*profile);
  if (out.spans && out.goroutines) {
    std::vector<uint32_t> each(out.goroutines->goroutines.size());
    std::iota(each.begin(), each.end(), 0);
    std::vector<Members> groups;
    for (const uint32_t& one : each) groups.emplace_back(&one, 1);
    out.reached = reach(memory, globals, *out.spans, *out.goroutines, groups, ReachBudget{});
  }
  return out;
}

// A memory whose word at an address is one more than it was, the first `times` times that it is looked at.
class TornMemory final : public remote::RemoteMemory {
 public:
  TornMemory(remote::RemoteMemory& memory, uint64_t word, int times)
      : memory_(memory), word_(word), times_(times) {}
  Status read(uint64_t address, std::span<std::byte> into) override {
    Status status = memory_.read(address, into);
    tear(address, into);
    return status;
  }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    Result<uint64_t> there = memory_.read_present(address, into);
    tear(address, into);
    return there;
  }

 private:
  void tear(uint64_t address, std::span<std::byte> into) {
    if (address > word_ || word_ + 8 > address + into.size() || times_-- <= 0) return;
    uint64_t value = 0;
    std::memcpy(&value, &into[word_ - address], sizeof value);
    ++value;
    std::memcpy(&into[word_ - address], &value, sizeof value);
  }
  remote::RemoteMemory& memory_;
  uint64_t word_;
  int times_;
};

// What all the readers touched of a live program, kept; the program is gone.
class Damaged : public testing::Test {
 protected:
  void SetUp() override {
    const Build build{release(26), Variant::kStripped, "hourly_job", true};
    const std::string path = built(build);
    MEMWHY_REQUIRE_BUILT(path, build);
    LiveTarget target(path, {"-runs", "2", "-size", "1", "-period", "1ms"});
    ASSERT_TRUE(target.wait_for("done"));
    target.wait_until_still();
    const std::optional<GoProgram> program = target.program();
    ASSERT_TRUE(program);
    image_ = program->image;
    const std::unique_ptr<remote::ProcessMemory> live = target.memory();
    RecordedMemory recorder(*live);
    Result<Globals> globals = find_globals(recorder, *layout_of(26), image_);
    ASSERT_TRUE(globals.ok());
    globals_ = *globals;
    found_by_ = recorder.recorded().pages();
    whole_ = read_all(recorder, globals_);
    lists_ = find_buckets(recorder, globals_);
    memory_ = recorder.recorded();
    ASSERT_TRUE(whole_.pages && whole_.goroutines && whole_.profile && whole_.reached);
    ASSERT_GT(whole_.profile->buckets.size(), 0u);
  }

  // What was read of a damaged memory is what is true, or less of it and told.
  void expect_no_wrong_number(const Readings& read) {
    if (read.pages) {
      // Pages of a span that can't be seen are unknown, and of no other kind.
      uint64_t some = 0, all = 0;
      for (size_t i = 0; i < kPageClasses; ++i) {
        some += read.pages->bytes[i];
        all += whole_.pages->bytes[i];
        if (i != static_cast<size_t>(PageClass::kUnknown)) {
          EXPECT_LE(read.pages->bytes[i], whole_.pages->bytes[i]);
        }
      }
      EXPECT_EQ(some, all);
    }
    if (read.goroutines) {
      const GoroutineList &all = *whole_.goroutines, &some = *read.goroutines;
      EXPECT_LE(some.goroutines.size(), all.goroutines.size());
      // A goroutine that can't be read may be a dead one.
      EXPECT_GE(some.goroutines.size() + some.unread, all.goroutines.size());
    }
    if (read.profile) {
      EXPECT_EQ(read.profile->buckets.size(), whole_.profile->buckets.size());
    }
  }

  Image image_;
  Globals globals_;
  BucketLists lists_;
  FakeMemory memory_;
  std::vector<PageNumber> found_by_;
  Readings whole_;
};

// The list moved to a larger array between two reads of the data.
TEST_F(Damaged, a_list_of_goroutines_that_grows_while_it_is_looked_for_is_found) {
  for (const int times : {1, 3}) {
    TornMemory torn(memory_, *globals_.allgs, times);
    const Result<Globals> found = find_globals(torn, *layout_of(26), image_);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->allgs, globals_.allgs) << times;
  }
  TornMemory never(memory_, *globals_.allgs, 1000);
  const Result<Globals> found = find_globals(never, *layout_of(26), image_);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->allgs, std::nullopt);
}

TEST_F(Damaged, the_record_reads_as_the_process_did) {
  Result<Globals> globals = find_globals(memory_, *layout_of(26), image_);
  ASSERT_TRUE(globals.ok());
  EXPECT_EQ(globals->mheap, globals_.mheap);
  EXPECT_EQ(globals->allgs, globals_.allgs);
  EXPECT_EQ(globals->allp, globals_.allp);
  const BucketLists lists = find_buckets(memory_, *globals);
  EXPECT_EQ(lists.heads, lists_.heads);
  EXPECT_EQ(lists.table, lists_.table);
  const Readings read = read_all(memory_, *globals);
  ASSERT_TRUE(read.pages && read.goroutines && read.reached);
  expect_no_wrong_number(read);
  EXPECT_EQ(read.goroutines->goroutines.size(), whole_.goroutines->goroutines.size());
  EXPECT_EQ(read.reached->objects_walked, whole_.reached->objects_walked);
}

TEST_F(Damaged, any_page_absent) {
  size_t refused = 0;
  const std::vector<PageNumber> pages = memory_.pages();
  const size_t step = std::max<size_t>(1, pages.size() / kPagesTried);
  for (size_t i = 0; i < pages.size(); i += step) {
    const FakeMemory::Page kept = memory_.page(pages[i]);
    memory_.drop(pages[i]);
    const Readings read = read_all(memory_, globals_);
    memory_.put(pages[i] * kPageBytes, kept);
    expect_no_wrong_number(read);
    refused += read.pages && read.goroutines && read.goroutines->unread == 0 && read.profile ? 0 : 1;
  }
  EXPECT_GT(refused, 3u) << "tables are in many pages";
}

TEST_F(Damaged, any_page_that_the_search_needs_absent) {
  size_t found = 0;
  const size_t step = std::max<size_t>(1, found_by_.size() / kPagesTried);
  for (size_t i = 0; i < found_by_.size(); i += step) {
    const FakeMemory::Page kept = memory_.page(found_by_[i]);
    memory_.drop(found_by_[i]);
    Result<Globals> globals = find_globals(memory_, *layout_of(26), image_);
    memory_.put(found_by_[i] * kPageBytes, kept);
    if (!globals) continue;
    ++found;
    EXPECT_EQ(globals->mheap, globals_.mheap);
    EXPECT_EQ(globals->gc_controller, globals_.gc_controller);
    EXPECT_TRUE(!globals->allgs || globals->allgs == globals_.allgs);
  }
  EXPECT_LT(found, found_by_.size() / step);
}

TEST_F(Damaged, garbage_in_the_tables) {
  std::mt19937_64 random(1);
  const std::vector<PageNumber> pages = memory_.pages();
  const auto lie = [&]() -> uint64_t {
    switch (random() % 6) {
      case 0:
        return random();
      case 1:
        return ~uint64_t{0};
      case 2:
        return uint64_t{1} << (random() % 64);
      case 3:
        return random() % 4096;
      case 4:
        return 0;
      default:
        return pages[random() % pages.size()] * kPageBytes + random() % 512 * 8;
    }
  };
  for (int round = 0; round < 20; ++round) {
    FakeMemory damaged = memory_;
    for (int i = 0; i < 400; ++i) {
      // Near what the readers follow as often as anywhere.
      const uint64_t bases[] = {globals_.mheap,  globals_.memstats, globals_.gc_controller,
                                *globals_.allgs, *globals_.allp,    lists_.head(BucketKind::kMemory)};
      const bool near = random() % 4 == 0;
      const uint64_t at = near ? bases[random() % 6] + random() % 16 * 8
                               : pages[random() % pages.size()] * kPageBytes + random() % 512 * 8;
      damaged.put_word(at & ~uint64_t{7}, lie());
    }
    (void)read_all(damaged, globals_);
    if (Result<Globals> globals = find_globals(damaged, *layout_of(26), image_)) read_all(damaged, *globals);
    EXPECT_LT(damaged.reads(), kMostReads) << round;
  }
}

TEST_F(Damaged, pages_full_of_noise) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 20; ++round) {
    FakeMemory damaged = memory_;
    const std::vector<PageNumber> pages = memory_.pages();
    for (int i = 0; i < 8; ++i) {
      const PageNumber page = pages[random() % pages.size()];
      for (uint64_t at = 0; at < kPageBytes; at += 8) damaged.put_word(page * kPageBytes + at, random());
    }
    (void)read_all(damaged, globals_);
    if (Result<Globals> globals = find_globals(damaged, *layout_of(26), image_)) read_all(damaged, *globals);
    EXPECT_LT(damaged.reads(), kMostReads) << round;
  }
}

TEST_F(Damaged, lengths_that_lie) {
  const Layout& layout = *layout_of(26);
  for (const uint64_t length :
       {uint64_t{1} << 20, uint64_t{1} << 24, uint64_t{1} << 40, ~uint64_t{0} / 8, ~uint64_t{0}}) {
    for (const uint64_t slice :
         {*globals_.allgs, *globals_.allp, globals_.mheap + layout.mheap.pages_in_use.offset}) {
      FakeMemory damaged = memory_;
      damaged.put_words(slice + 8, {length, length});
      const Readings read = read_all(damaged, globals_);
      EXPECT_FALSE(slice == *globals_.allgs ? read.goroutines.has_value() : read.pages.has_value()) << length;
    }
  }
}

TEST_F(Damaged, a_list_of_buckets_that_bites_its_tail) {
  const uint64_t head = *remote::read_value<uint64_t>(memory_, lists_.head(BucketKind::kMemory));
  memory_.put_word(head + layout_of(26)->bucket.allnext.offset, head);
  const uint64_t before = memory_.reads();
  EXPECT_FALSE(read_profile(memory_, globals_, lists_).ok());
  EXPECT_LT(memory_.reads() - before, 20u);
}

TEST(NoGo, noise_is_no_runtime) {
  std::mt19937_64 random(3);
  FakeMemory memory;
  for (uint64_t at = 0x500000; at < 0x580000; at += 8)
    memory.put_word(at, random() % 3 == 0 ? 0x400000 : random());
  const Image image = {0x400000, 64, {{0x500000, 0x580000}}};
  for (const Layout* layout : all_layouts()) {
    Result<Globals> globals = find_globals(memory, *layout, image);
    ASSERT_FALSE(globals.ok());
    EXPECT_EQ(globals.error().code(), ErrorCode::kAbsent);
    EXPECT_EQ(globals.error().message(), "the Go runtime's module data was not found");
  }
}

TEST(NoGo, a_release_that_is_not_known_is_one_sentence) {
  for (const auto& [version, sentence] : std::vector<std::pair<std::string, std::string>>{
           {"go1.28.1", "go1.28.1 is not known to this memwhy; showing the system's view only"},
           {"go1.18.10", "go1.18.10 is not known to this memwhy; showing the system's view only"},
           {"devel +abc", "devel +abc is not known to this memwhy; showing the system's view only"},
           {"", "the Go version is not known; showing the system's view only"}}) {
    GoProcess process(std::make_unique<FakeMemory>(), {version, {}, true});
    const HeapReading heap = process.heap({});
    EXPECT_EQ(heap.how.layout, events::GoLayout::kNone);
    EXPECT_EQ(heap.pages.problem, sentence);
    EXPECT_TRUE(heap.pages.runs.empty());
    EXPECT_FALSE(process.statistics());
    EXPECT_FALSE(process.goroutines());
    EXPECT_EQ(process.profile()->source, events::GoProfile::Source::kUnreadable);
  }
}

class WrongLayout : public testing::TestWithParam<Build> {};

INSTANTIATE_TEST_SUITE_P(Releases, WrongLayout, testing::ValuesIn([] {
                           std::vector<Build> out;
                           for (const Release each : kReleases) out.push_back({each, Variant::kStripped});
                           return out;
                         }()),
                         name_of);

TEST_P(WrongLayout, of_another_release_gives_no_number) {
  const std::string path = built(GetParam());
  MEMWHY_REQUIRE_BUILT(path, GetParam());
  LiveTarget target(path);
  ASSERT_TRUE(target.wait_for("ready"));
  const std::optional<GoProgram> program = target.program();
  ASSERT_TRUE(program);
  const std::unique_ptr<remote::ProcessMemory> memory = target.memory();
  for (const Layout* layout : all_layouts()) {
    if (layout->minor == GetParam().release.minor) continue;
    Result<Globals> globals = find_globals(*memory, *layout, program->image);
    if (!globals) continue;
    Result<HeapPages> pages = read_pages(*memory, *globals);
    EXPECT_FALSE(pages.ok() && pages->verified) << "layout of 1." << layout->minor;
  }
}

}  // namespace
}  // namespace memwhy::goruntime::test
