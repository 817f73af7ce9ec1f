// SPDX-License-Identifier: Apache-2.0
// What happens when there is no room: it is counted, told, and given back.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <map>
#include <set>
#include <utility>

#include "support.h"

namespace memwhy::kernel_test {
namespace {

uint64_t kind(const events::Coverage& c, const std::string& name, uint64_t events::KindCount::*field) {
  for (const events::KindCount& k : c.kinds)
    if (k.kind == name) return k.*field;
  ADD_FAILURE() << "no kind " << name;
  return 0;
}

void map_and_unmap(size_t times) {
  for (size_t i = 0; i < times; ++i)
    ::munmap(::mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), kPage);
}

TEST(Loss, NoneWithRoom) {
  OPEN_PROBE(probe, {});
  Target target([](Report&) { map_and_unmap(1000); });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  EXPECT_GE(seen.drain(), 2000u);
  const events::Coverage c = probe.coverage();
  EXPECT_EQ(kind(c, "vma_map", &events::KindCount::seen), 1000u);
  EXPECT_EQ(kind(c, "vma_map", &events::KindCount::delivered), 1000u);
  EXPECT_EQ(kind(c, "vma_unmap", &events::KindCount::delivered), 1000u);
  EXPECT_EQ(seen.all<events::VmaMapped>(space).size(), 1000u);
  EXPECT_EQ(seen.lost("removal"), 0u);
}

TEST(Loss, IsCountedWhenTheRingIsTiny) {
  probe::Options options;
  options.ring_bytes = 4096;
  OPEN_PROBE(probe, options);
  Target target([](Report&) { map_and_unmap(1000); });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  const events::Coverage c = probe.coverage();
  uint64_t all = 0, lost = 0;
  for (const events::KindCount& k : c.kinds) {
    EXPECT_EQ(k.seen, k.delivered + k.lost) << k.kind;
    if (k.kind == "page_fault") continue;
    all += k.seen;
    lost += k.lost;
  }
  EXPECT_EQ(all, 2000u);
  EXPECT_GT(lost * 5, all) << "more than 20 %";
  EXPECT_EQ(seen.lost("removal"), kind(c, "vma_unmap", &events::KindCount::lost));
  EXPECT_EQ(seen.lost("mapping"), kind(c, "vma_map", &events::KindCount::lost));
  EXPECT_EQ(seen.all<events::VmaUnmapped>(space).size(), kind(c, "vma_unmap", &events::KindCount::delivered));
  seen.clear_events();
  seen.drain();
  EXPECT_EQ(seen.lost("removal"), 0u) << "a loss is told once";
}

// The ring is full when a traced process forks and its child execs: both events are lost, and both spaces are looked at.
TEST(Loss, OfAForkOrAnExecIsMadeGood) {
  probe::Options options;
  options.ring_bytes = 4096;
  OPEN_PROBE(probe, options);
  int tell[2], hold[2];
  ASSERT_EQ(::pipe(tell), 0);
  ASSERT_EQ(::pipe(hold), 0);
  Target target([&](Report& report) {
    map_and_unmap(1000);
    for (int i = 0; i < 3; ++i) {  // their events are smaller, and take what room there still is
      const pid_t child = ::fork();
      if (child == 0) ::_exit(0);
      ::waitpid(child, nullptr, 0);
    }
    const pid_t forked = ::fork();
    if (forked == 0) {
      char byte = 0;
      char* memory = fresh_pages(16);
      for (size_t i = 0; i < 16; ++i) static_cast<volatile char*>(memory)[i * kPage] = 1;
      ssize_t done = ::write(tell[1], &memory, sizeof memory);
      done = ::read(hold[0], &byte, 1);
      ::_exit(done == 1 ? 0 : 1);
    }
    const pid_t execed = ::fork();
    if (execed == 0) exec_target(tell[1], hold[0]);
    report.pids[0] = forked;  // shared with the children, who have 0 there
    report.pids[1] = execed;
  });
  TRACE(parent, probe, target.pid(), true);
  target.go();
  uint64_t address = 0;
  for (int i = 0; i < 2; ++i)
    ASSERT_EQ(::read(tell[0], &address, sizeof address), static_cast<ssize_t>(sizeof address));
  Observer seen(probe);
  seen.drain();
  const events::Coverage c = probe.coverage();
  EXPECT_GE(kind(c, "space_fork", &events::KindCount::lost), 2u);
  EXPECT_EQ(kind(c, "space_exec", &events::KindCount::lost), 1u);
  std::map<Pid, events::SpaceStart> starts;
  for (const events::Event& event : seen.events())
    if (const auto* start = std::get_if<events::SpaceStart>(&event.payload)) {
      if (start->tgid != target.report().pids[0] && start->tgid != target.report().pids[1]) continue;
      EXPECT_TRUE(starts.emplace(start->tgid, *start).second) << "told twice";
      EXPECT_EQ(start->how, events::StartHow::kForked);
      EXPECT_EQ(start->parent, SpaceId::kNone) << "from whom is lost";
    }
  ASSERT_EQ(starts.size(), 2u);
  for (const int child : {0, 1}) {
    const auto start = starts.find(target.report().pids[child]);
    ASSERT_NE(start, starts.end());
    EXPECT_NE(start->second.space, parent);
    seen.read(start->second.space);
    EXPECT_GE(seen.table(start->second.space).size(), child == 0 ? 16u : 64u);
  }
  seen.clear_events();
  map_and_unmap(1);
  seen.drain();
  for (const events::Event& event : seen.events())
    EXPECT_FALSE(std::holds_alternative<events::SpaceStart>(event.payload));
  ASSERT_EQ(::write(hold[1], "xx", 2), 2);
  for (const int fd : {tell[0], tell[1], hold[0], hold[1]}) ::close(fd);
}

TEST(TableFull, IsCountedAndChunksComeBack) {
  constexpr size_t kChunks = 16, kTouched = 64;
  probe::Options options;
  options.chunks = kChunks;
  OPEN_PROBE(probe, options);
  Target first([](Report& report) {
    char* memory = fresh_pages(kTouched * 512);
    report.address = reinterpret_cast<uint64_t>(memory);
    for (size_t i = 0; i < kTouched; ++i) *static_cast<volatile char*>(memory + (i << 21)) = 1;
  });
  {
    TRACE(space, probe, first.pid(), false);
    first.go();
    Observer seen(probe);
    seen.drain();
    seen.read(space);
    const events::Coverage c = probe.coverage();
    EXPECT_EQ(c.chunks_used, kChunks);
    EXPECT_EQ(c.chunks_limit, kChunks);
    EXPECT_GE(c.faults_table_full, kTouched - kChunks);
    EXPECT_EQ(c.faults_seen, c.faults_recorded + c.faults_table_full);
    first.kill_and_wait();
    probe.reclaim(space, std::nullopt);
    probe.settle();
    EXPECT_EQ(probe.coverage().chunks_used, 0u);
    EXPECT_EQ(probe.attached(), 0u) << "nobody is traced any more";
  }
  Target second([](Report& report) {
    char* memory = fresh_pages(2 * 512);
    report.address = reinterpret_cast<uint64_t>(memory);
    for (size_t i = 0; i < 2 * 512; i += 2) *static_cast<volatile char*>(memory + i * kPage) = 1;
  });
  TRACE(space, probe, second.pid(), false);
  second.go();
  Observer seen(probe);
  seen.drain();
  ASSERT_TRUE(seen.read(space));
  for (size_t i = 0; i < 2 * 512; ++i) {
    const Entry entry = seen.entry(space, second.report().address + i * kPage);
    EXPECT_EQ(entry.stack != StackId::kNone, i % 2 == 0)
        << "page " << i << ": nothing of the chunk's last owner";
  }
}

TEST(Reclaim, GivesBackWhatIsUnmapped) {
  OPEN_PROBE(probe, {});
  Target target([](Report& report) {
    char* memory = fresh_pages(8 * 512);
    report.address = reinterpret_cast<uint64_t>(memory);
    for (size_t i = 0; i < 8; ++i) *static_cast<volatile char*>(memory + (i << 21)) = 1;
    ::munmap(memory + (size_t{4} << 21), size_t{4} << 21);
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  seen.read(space);
  const uint64_t used = probe.coverage().chunks_used;
  const uint64_t at = target.report().address;
  const std::vector<AddressRange> mapped = {{0, at + (4ull << 21)}, {at + (8ull << 21), ~0ull}};
  probe.reclaim(space, mapped);
  EXPECT_EQ(probe.coverage().chunks_used, used) << "one list is not enough: a mapping may be younger";
  probe.reclaim(space, mapped);
  EXPECT_EQ(probe.coverage().chunks_used, used - 4);
  seen.read(space, true);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(seen.entry(space, at + (i << 21)).stack != StackId::kNone, i < 4);
}

// Rounds of stacks that nobody names any more: each page is touched again from elsewhere.
TEST(Stacks, AreGivenBackAndKeepTheirIds) {
  constexpr size_t kSlots = 256, kRounds = 12, kEach = 48;
  probe::Options options;
  options.stacks = kSlots;
  OPEN_PROBE(probe, options);
  int step[2];
  ASSERT_EQ(::pipe(step), 0);
  int done[2];
  ASSERT_EQ(::pipe(done), 0);
  Target target([&](Report& report) {
    char* pages = fresh_pages(kEach);
    char* stack = fresh_pages(1);
    report.address = reinterpret_cast<uint64_t>(pages);
    char byte = 0;
    for (size_t round = 0; round < kRounds; ++round) {
      ::madvise(pages, kEach * kPage, MADV_DONTNEED);
      for (size_t i = 0; i < kEach; ++i) {
        auto* frame = reinterpret_cast<uint64_t*>(stack + 64);
        frame[0] = 0;
        frame[1] = 0x400000 + (round % 4 * kEach + i) * 16;  // four rounds of stacks, again and again
        touch_with_stack(reinterpret_cast<uint64_t>(stack), reinterpret_cast<uint64_t>(frame),
                         pages + i * kPage);
      }
      (void)!::write(done[1], "d", 1);
      (void)!::read(step[0], &byte, 1);
    }
  });
  TRACE(space, probe, target.pid(), false);
  target.start();
  Observer seen(probe);
  std::map<uint64_t, StackId> id_of;
  size_t lost = 0;  // the table is half full: now and then all slots that a stack may take are taken
  char byte = 0;
  for (size_t round = 0; round < kRounds; ++round) {
    ASSERT_EQ(::read(done[0], &byte, 1), 1);
    seen.drain();
    seen.read(space);
    for (size_t i = 0; i < kEach; ++i) {
      const StackId id = seen.entry(space, target.report().address + i * kPage).stack;
      lost += id == StackId::kLost;
      if (id == StackId::kLost) continue;
      const std::vector<uint64_t> frames = seen.frames(id);
      ASSERT_EQ(frames.size(), 2u) << "round " << round << " page " << i;
      const uint64_t expected = 0x400000 + (round % 4 * kEach + i) * 16;
      EXPECT_EQ(frames[1], expected);
      EXPECT_EQ(id_of.emplace(expected, id).first->second, id) << "the same stack, the same id";
    }
    for (int pass = 0; pass < 4; ++pass) {
      seen.drain();
      seen.drain();
      probe.reclaim(space, std::vector<AddressRange>{{0, ~0ull}});
    }
    ASSERT_EQ(::write(step[1], "s", 1), 1);
  }
  target.wait_done();
  const events::Coverage c = probe.coverage();
  EXPECT_GE(c.stacks_lost, lost);
  EXPECT_LE(c.stacks_lost, kRounds * kEach / 50);
  EXPECT_GT(c.stacks_new, kSlots) << "more than ever fit at once";
  EXPECT_LE(c.stacks_used, kSlots);
  for (const int fd : {step[0], step[1], done[0], done[1]}) ::close(fd);
}

TEST(Stacks, LossIsTold) {
  constexpr size_t kSlots = 16, kPages = 256;
  probe::Options options;
  options.stacks = kSlots;
  OPEN_PROBE(probe, options);
  Target target([](Report& report) {
    char* pages = fresh_pages(kPages);
    char* stack = fresh_pages(1);
    report.address = reinterpret_cast<uint64_t>(pages);
    for (size_t i = 0; i < kPages; ++i) {
      auto* frame = reinterpret_cast<uint64_t*>(stack + 64);
      frame[0] = 0;
      frame[1] = 0x400000 + i * 16;
      touch_with_stack(reinterpret_cast<uint64_t>(stack), reinterpret_cast<uint64_t>(frame),
                       pages + i * kPage);
    }
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  seen.read(space);
  size_t lost = 0;
  for (size_t i = 0; i < kPages; ++i) {
    const StackId id = seen.entry(space, target.report().address + i * kPage).stack;
    EXPECT_NE(id, StackId::kNone) << "the page is known, its stack is not";
    lost += id == StackId::kLost;
  }
  EXPECT_GE(lost, kPages - kSlots);
  EXPECT_GE(probe.coverage().stacks_lost, lost);
  EXPECT_EQ(probe.coverage().stacks_used, kSlots);

  // what is recorded next has all the room there is
  ASSERT_TRUE(probe.untrace(space));
  for (int pass = 0; pass < 4; ++pass) {
    seen.drain();
    seen.drain();
    probe.settle();
  }
  EXPECT_EQ(probe.coverage().stacks_used, 0u);
}

// Touches a page through a chain of two frames that the test chose, and waits.
class ChainTarget {
 public:
  using Chain = std::array<uint64_t, 2>;
  explicit ChainTarget(std::vector<Chain> chains)
      : target([chains = std::move(chains)](Report& report) {
          char* pages = fresh_pages(chains.size());
          char* stack = fresh_pages(1);
          report.address = reinterpret_cast<uint64_t>(pages);
          for (size_t i = 0; i < chains.size(); ++i) {
            auto* frame = reinterpret_cast<uint64_t*>(stack + 64);
            frame[0] = reinterpret_cast<uint64_t>(frame + 2);
            frame[1] = chains[i][0];
            frame[2] = 0;
            frame[3] = chains[i][1];
            touch_with_stack(reinterpret_cast<uint64_t>(stack), reinterpret_cast<uint64_t>(frame),
                             pages + i * kPage);
          }
        }) {}
  // The frames above the faulting instruction of page i, as they were recorded.
  static ChainTarget::Chain recorded(Observer& seen, SpaceId space, const Report& report, size_t i) {
    const std::vector<uint64_t> frames = seen.frames(seen.entry(space, report.address + i * kPage).stack);
    return frames.size() == 3 ? Chain{frames[1], frames[2]} : Chain{};
  }
  // The first of them, of which there is room when there is none for more.
  static uint64_t caller(Observer& seen, SpaceId space, const Report& report, size_t i) {
    const std::vector<uint64_t> frames = seen.frames(seen.entry(space, report.address + i * kPage).stack);
    return frames.size() < 2 ? 0 : frames[1];
  }
  Target target;
};

// hash = (hash ^ frame) * a known constant: for each first frame there is a second one with which the hash is the same.
// Nor does it help to change only bits that a multiplication cannot spread.
TEST(Stacks, ThatWouldCollideUnderAHashWithoutAKeyAreToldApart) {
  constexpr uint64_t kKnown = 0x9E3779B97F4A7C15ull;
  uint64_t ip = 0;
  {
    OPEN_PROBE(probe, {});
    ChainTarget first({{0x401000, 0x402000}});
    TRACE(space, probe, first.target.pid(), false);
    first.target.go();
    Observer seen(probe);
    seen.drain();
    seen.read(space);
    ip = seen.frames(seen.entry(space, first.target.report().address).stack).at(0);
  }
  std::vector<ChainTarget::Chain> chains = {{0x401000, 0x402000}};
  const auto after_first = [&](uint64_t frame) { return ((ip * kKnown) ^ frame) * kKnown; };
  for (uint64_t i = 1; i <= 64; ++i) {
    const uint64_t frame = 0x500000 + i * 16;
    chains.push_back({frame, 0x402000 ^ after_first(0x401000) ^ after_first(frame)});
  }
  constexpr uint64_t kTop = uint64_t{1} << 63;
  for (const uint64_t low : {uint64_t{0}, kTop >> 29, kTop >> 31, kTop >> 32, kTop >> 33})
    chains.push_back({0x401000 ^ kTop, 0x402000 ^ kTop ^ low});
  OPEN_PROBE(probe, {});
  ChainTarget all(chains);
  TRACE(space, probe, all.target.pid(), false);
  all.target.go();
  Observer seen(probe);
  seen.drain();
  seen.read(space);
  size_t wrong = 0;
  for (size_t i = 0; i < chains.size(); ++i)
    wrong += ChainTarget::recorded(seen, space, all.target.report(), i) != chains[i];
  EXPECT_EQ(wrong, 0u) << "of " << chains.size() << " pages have the stack of another";
}

// One target takes all that it can get: a neighbour's stacks and pages are recorded all the same, and it is told who went
// without.
TEST(Shares, OneTargetCannotUseUpTheTablesOfAnother) {
  constexpr size_t kStacks = 256, kChunks = 256, kMany = 2048, kFew = 16, kNext = 64;
  probe::Options options;
  options.stacks = kStacks;
  options.chunks = kChunks;
  OPEN_PROBE(probe, options);
  const auto chains = [](uint64_t from, size_t count) {
    std::vector<ChainTarget::Chain> all;
    for (size_t i = 0; i < count; ++i) all.push_back({from + i * 16, 0x402000});
    return all;
  };
  Target islands([](Report&) {
    char* memory = fresh_pages(kMany * 512);
    for (size_t i = 0; i < kMany; ++i) *static_cast<volatile char*>(memory + (i << 21)) = 1;
  });
  ChainTarget hog(chains(0x1000000, kMany));
  ChainTarget neighbour(chains(0x400000, kFew));
  TRACE(of_neighbour, probe, neighbour.target.pid(), false);
  TRACE(of_hog, probe, hog.target.pid(), false);
  TRACE(of_islands, probe, islands.pid(), false);
  hog.target.go();
  EXPECT_LE(probe.coverage().stacks_used,
            kStacks * 5 / 8);  // its half, and what the others did until they wait
  neighbour.target.go();
  islands.go();
  EXPECT_LE(probe.coverage().chunks_used, kChunks * 2 / 3 + 8);
  Observer seen(probe);
  seen.drain();
  seen.read(of_neighbour);
  for (size_t i = 0; i < kFew; ++i)
    EXPECT_EQ(ChainTarget::caller(seen, of_neighbour, neighbour.target.report(), i), 0x400000 + i * 16);
  std::map<std::pair<SpaceId, std::string>, uint64_t> lost;
  for (const events::Loss& loss : seen.all<events::Loss>()) lost[{loss.space, loss.what}] += loss.count;
  const auto most_stacks = lost[{of_hog, "stack_share"}], most_pages = lost[{of_islands, "page_share"}];
  EXPECT_GE(most_stacks, kMany - kStacks);
  EXPECT_GE(most_pages, kMany - kChunks);
  EXPECT_EQ(lost.count({of_neighbour, "stack_share"}) + lost.count({of_neighbour, "page_share"}), 0u);

  // What is given back counts no more: the next one has its share of an empty table.
  hog.target.kill_and_wait();
  islands.kill_and_wait();
  for (const SpaceId ended : {of_hog, of_islands}) probe.reclaim(ended, std::nullopt);
  probe.settle();
  for (int pass = 0; pass < 4; ++pass) {
    seen.drain();
    seen.drain();
    probe.reclaim(of_neighbour, std::vector<AddressRange>{{0, ~0ull}});
  }
  ChainTarget next(chains(0x2000000, kNext));
  TRACE(of_next, probe, next.target.pid(), false);
  next.target.go();
  seen.drain();
  seen.read(of_next);
  size_t known = 0;
  for (size_t i = 0; i < kNext; ++i)
    known += ChainTarget::recorded(seen, of_next, next.target.report(), i)[0] == 0x2000000 + i * 16;
  EXPECT_GE(known, kNext - 2) << "beside what the first had there would be room for about 40";
}

TEST(Spaces, FullIsToldAsALostFork) {
  probe::Options options;
  options.spaces = 1;
  OPEN_PROBE(probe, options);
  Target target([](Report&) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
  });
  TRACE(space, probe, target.pid(), true);
  target.go();
  Observer seen(probe);
  seen.drain();
  EXPECT_EQ(seen.lost("fork"), 1u);
  Target other([](Report&) {});
  const auto refused = probe.trace(other.pid(), false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kEnvironment);
}

TEST(Table, RestatesWhatTheDifferencesSaid) {
  OPEN_PROBE(probe, {});
  Target target([](Report& report) {
    char* memory = fresh_pages(4096);
    report.address = reinterpret_cast<uint64_t>(memory);
    touch_by_class(memory, 2048);
    ::madvise(memory, 1024 * kPage, MADV_DONTNEED);
    touch_by_class(memory, 4096);
  });
  TRACE(space, probe, target.pid(), false);
  Observer seen(probe);
  target.start();
  for (int i = 0; i < 50; ++i) seen.read(space);  // while it runs
  target.wait_done();
  seen.drain();
  seen.read(space);
  const std::map<PageNumber, Entry> by_differences = seen.table(space);
  EXPECT_GE(by_differences.size(), 4096u);
  ASSERT_TRUE(seen.read(space, true));
  EXPECT_EQ(seen.table(space), by_differences);
  ASSERT_TRUE(probe.untrace(space));
  EXPECT_EQ(probe.attached(), 0u);
}

}  // namespace
}  // namespace memwhy::kernel_test
