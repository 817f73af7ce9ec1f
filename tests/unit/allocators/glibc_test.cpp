// SPDX-License-Identifier: Apache-2.0
// glibc's malloc in made-up memory: found in each layout, to the byte, by the lists and by the walk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "allocators/glibc_beside.h"
#include "allocators/glibc_find.h"
#include "allocators/glibc_free.h"
#include "allocators/glibc_join.h"
#include "allocators/glibc_process.h"
#include "unit/allocators/made_heap.h"

namespace memwhy::allocators {
namespace {

using test::MadeHeap;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A reading of it.
struct Seen {
  explicit Seen(MadeHeap& of) : made(of), memory(of.memory, [&of] { return of.vmas; }, {}) {
    EXPECT_TRUE(memory.refresh());
    search = find_glibc(memory, false);
    if (search.found.size() == 1) {
      Glibc& libc = search.found.front();
      libc.safe_linking = (libc.par && libc.par->layout->safe_linking) || guess_safe_linking(memory, libc);
    }
  }
  Glibc& libc() { return search.found.at(0); }
  void read_all() {
    for (Arena& arena : libc().arenas) read_free(memory, libc(), arena);
    find_mapped_chunks(memory, libc());
  }
  events::AllocatorHeap heap() { return join_residency(search.found, memory.vmas(), made.resident()).heap; }

  MadeHeap& made;
  HeapMemory memory;
  Search search;
};

uint64_t free_of(const Arena& arena) {
  uint64_t sum = 0;
  for (const Region& region : arena.regions)
    for (const uint16_t bytes : region.free) sum += bytes;
  return sum;
}
std::vector<PageNumber> trimmed_of(const Region& region) {
  std::vector<PageNumber> out;
  for (size_t i = 0; i < region.trimmed.size(); ++i)
    if (region.trimmed[i]) out.push_back(region.first_page() + i);
  return out;
}

void usual(MadeHeap& made) {
  made.used(0x290);
  made.used(1008);
  made.free(5 * kPageBytes);
  made.used(48);
  made.free(800);
  made.used(160);
  made.finish();
}

// Beside the main one, at kHeap.
constexpr uint64_t kHeap = 0x7e00'0000'0000;
void with_an_arena(MadeHeap& made) {
  made.used(1008);
  made.arena(kHeap, 256 << 10);
  made.used(0x290);
  made.finish();
}

struct Layouts {
  size_t shape, par;
};
class GlibcLayouts : public ::testing::TestWithParam<Layouts> {};

TEST_P(GlibcLayouts, IsFoundAndReadToTheByte) {
  MadeHeap made(kStateShapes[GetParam().shape], kParLayouts[GetParam().par]);
  usual(made);
  Seen seen(made);
  ASSERT_EQ(seen.search.found.size(), 1u);
  EXPECT_EQ(seen.libc().main_arena, test::kMainArena);
  EXPECT_EQ(seen.libc().shape->releases, kStateShapes[GetParam().shape].releases);
  ASSERT_TRUE(seen.libc().par.has_value());
  EXPECT_EQ(seen.libc().par->layout->releases, kParLayouts[GetParam().par].releases);
  seen.read_all();
  EXPECT_EQ(free_of(seen.libc().arenas[0]), 5 * kPageBytes + 800);
  EXPECT_FALSE(seen.libc().arenas[0].walked);
  EXPECT_EQ(seen.libc().arenas[0].cut, "");
  // The free chunk begins in the heap's first page: of its 20 KiB the four whole pages go.
  EXPECT_THAT(trimmed_of(seen.libc().arenas[0].regions.at(0)),
              ElementsAre((test::kBrk >> 12) + 1, (test::kBrk >> 12) + 2, (test::kBrk >> 12) + 3,
                          (test::kBrk >> 12) + 4));
}

INSTANTIATE_TEST_SUITE_P(All, GlibcLayouts,
                         ::testing::Values(Layouts{0, 0}, Layouts{0, 1}, Layouts{1, 2}, Layouts{2, 0}));

TEST(Glibc, TheWalkFindsWhatTheListsFindAndTheSizesOfWhatIsInUse) {
  MadeHeap made;
  usual(made);
  Seen seen(made);
  Arena& arena = seen.libc().arenas[0];
  arena.regions[0].prepare();
  SizeClasses sizes;
  walk_chunks(seen.memory, arena, sizes);
  EXPECT_EQ(free_of(arena), 5 * kPageBytes + 800);
  EXPECT_EQ(trimmed_of(arena.regions[0]).size(), 4u);
  EXPECT_EQ(arena.unknown_bytes, 0u);
  EXPECT_EQ(sizes, (SizeClasses{{48, 48}, {160, 160}, {0x290, 0x290}, {1008, 1008}}));
}

TEST(Glibc, FastbinChunksLookUsedAreFreeAndMergeWithTheirNeighbours) {
  for (const size_t par : {size_t{0}, size_t{1}}) {  // plain links, and protected ones
    MadeHeap made(kStateShapes[0], kParLayouts[par]);
    made.used(1008);
    made.fast(64);
    made.fast(64);
    made.fast(176);
    made.used(48);
    made.finish();
    Seen seen(made);
    seen.read_all();
    EXPECT_EQ(seen.libc().arenas[0].fast.size(), 3u) << par;
    EXPECT_EQ(free_of(seen.libc().arenas[0]), 64u + 64 + 176) << par;
    EXPECT_EQ(seen.libc().arenas[0].cut, "") << par;
  }
}

// What reaches top is given back with it.
TEST(Glibc, AFastbinRunThatReachesTopBelongsToIt) {
  MadeHeap made;
  for (int i = 0; i < 200; ++i) made.fast(176);
  made.finish();
  Seen seen(made);
  seen.read_all();
  const Arena& arena = seen.libc().arenas[0];
  EXPECT_EQ(arena.merged_top, test::kBrk);
  EXPECT_THAT(trimmed_of(arena.regions[0]), IsEmpty());
  const events::AllocatorHeap heap = seen.heap();
  EXPECT_EQ(heap.pinned_bytes + heap.used_bytes, kPageBytes) << "the least chunk stays";
  EXPECT_EQ(heap.trimmable_bytes, 8 * kPageBytes);
}

TEST(Glibc, FurtherArenasAreFoundAndTheirTopStays) {
  MadeHeap made;
  made.used(1008);
  made.arena(kHeap, 256 << 10);
  made.used(0x290);
  made.free(3 * kPageBytes);
  made.used(100 * 16);
  made.finish();
  for (uint64_t page = kHeap + (128 << 10); page < kHeap + (136 << 10); page += kPageBytes)
    made.memory.put_word(page, 0);
  Seen seen(made);
  ASSERT_EQ(seen.libc().arenas.size(), 2u);
  seen.read_all();
  ASSERT_TRUE(seen.libc().arenas[1].believed);
  EXPECT_EQ(free_of(seen.libc().arenas[1]), 3 * kPageBytes);
  const events::AllocatorHeap heap = seen.heap();
  EXPECT_EQ(heap.arenas, 2u);
  EXPECT_EQ(heap.trimmable_bytes, 2 * kPageBytes);
  EXPECT_GE(heap.top_bytes, 2 * kPageBytes) << "two pages of top are resident, and no call returns them";
  EXPECT_EQ(heap.free_beside_main_bytes,
            heap.trimmable_bytes + heap.pinned_bytes + heap.top_bytes - (4096 - 1008));
}

TEST(Glibc, MappedChunksAreFoundByTheirHeaders) {
  for (const size_t layout : {size_t{1}, size_t{2}}) {
    MadeHeap made(kStateShapes[layout == 2 ? 1 : 0], kParLayouts[layout]);
    made.used(1008);
    made.mapped(0x7e80'0000'0000, 64 * kPageBytes);
    made.mapped(0x7e80'0000'0000 + 64 * kPageBytes,
                33 * kPageBytes);  // the kernel makes one mapping of neighbours
    made.finish();
    Seen seen(made);
    seen.read_all();
    EXPECT_EQ(seen.libc().mapped_bytes(), 97 * kPageBytes) << layout;
    EXPECT_EQ(seen.heap().mapped_bytes, 2 * kPageBytes) << "only their first pages are resident";
  }
}

// Counts calls, as each costs more than the bytes that it brings.
class CountedMemory final : public remote::test::PresentMemory {
 public:
  explicit CountedMemory(remote::RemoteMemory& memory) : memory_(memory) {}
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    ++calls;
    return memory_.read_present(address, into);
  }
  Status read_each(std::span<remote::Piece> pieces) override {
    ++calls;
    return memory_.read_each(pieces);
  }
  uint64_t calls = 0;

 private:
  remote::RemoteMemory& memory_;
};

TEST(Glibc, AMappedChunkBehindMemoryOfOthersIsFoundInFewCalls) {
  constexpr uint64_t kOthers = 0x7e80'0000'0000, kPages = 2000;
  MadeHeap made;
  made.used(1008);
  for (uint64_t i = 0; i < kPages; ++i)
    if (i % 50 != 0) made.memory.put_word(kOthers + i * kPageBytes, 7);
  made.mapped(kOthers + kPages * kPageBytes, 33 * kPageBytes);
  // One mapping of all of it.
  for (events::Vma& vma : made.vmas)
    if (vma.range.start == kOthers + kPages * kPageBytes) vma.range.start = kOthers;
  made.finish();
  Seen seen(made);
  CountedMemory counted(made.memory);
  HeapMemory memory(counted, [&made] { return made.vmas; }, {});
  ASSERT_TRUE(memory.refresh());
  find_mapped_chunks(memory, seen.libc());
  EXPECT_EQ(seen.libc().mapped_bytes(), 33 * kPageBytes);
  EXPECT_LT(counted.calls, kPages / 10);
}

TEST(Glibc, ThreadCachesAreFoundByTheControlBlock) {
  MadeHeap made;
  const uint64_t tcache = made.used(0x290);
  const uint64_t first = made.used(64), second = made.used(64);
  made.finish();
  const uint16_t count = 2;
  made.memory.put(tcache + 2 * 2, std::as_bytes(std::span(&count, 1)));  // chunks of 64 bytes: bin 2
  made.memory.put_word(tcache + 128 + 8 * 2, second);
  made.memory.put_words(second, {first ^ (second >> 12), 1});
  made.memory.put_words(first, {first >> 12, 1});
  constexpr uint64_t kTls = 0x7e90'0000'0000, kTcb = kTls + 0x740;
  made.vmas.insert(made.vmas.begin() + 1, MadeHeap::vma({kTls, kTls + 0x3000}, ""));
  made.memory.put_word(kTls, 0);
  made.memory.put_words(kTcb, {kTcb, 0, kTcb});
  made.memory.put_word(kTcb + kTcbTid, 4711);
  made.memory.put_word(kTcb - 0x50, tcache);
  Seen seen(made);
  seen.read_all();
  const std::vector<uint64_t> threads = find_threads(seen.memory);
  EXPECT_THAT(threads, ElementsAre(kTcb));
  read_tcaches(seen.memory, threads, seen.libc());
  EXPECT_EQ(seen.libc().tcaches, 1u);
  EXPECT_EQ(seen.heap().cached_bytes, 128u);
}

// Thousands of threads may have ended and not been joined: a page of the stack of each is read, the last.
TEST(Glibc, TheSearchForThreadsReadsAPageOfAStackWhoseThreadEnded) {
  MadeHeap made;
  usual(made);
  constexpr uint64_t kStacks = 0x7e90'0000'0000, kEach = 1 << 20, kMany = 100;
  std::vector<events::Vma> stacks;
  for (uint64_t at = kStacks; at < kStacks + kMany * kEach; at += kEach) {
    stacks.push_back(MadeHeap::vma({at, at + kPageBytes}, ""));
    stacks.back().read = stacks.back().write = false;
    stacks.push_back(MadeHeap::vma({at + kPageBytes, at + kEach}, ""));
    const uint64_t tcb = at + kEach - 0x900;
    made.memory.put_words(tcb, {tcb, 0, tcb});
    made.memory.put_word(tcb + kTcbTid, at == kStacks ? 4711 : 0);
  }
  made.vmas.insert(made.vmas.begin() + 1, stacks.begin(), stacks.end());
  Seen seen(made);
  seen.read_all();
  const uint64_t before = seen.memory.pages_read();
  EXPECT_THAT(find_threads(seen.memory), ElementsAre(kStacks + kEach - 0x900));
  EXPECT_LE(seen.memory.pages_read() - before, 2 * kMany);
}

TEST(Glibc, ALoopInAListEndsAndTheWalkTakesOver) {
  MadeHeap made;
  usual(made);
  const uint64_t chunk = made.arenas[0].free[0].start, other = made.arenas[0].free[1].start;
  made.memory.put_word(other + 16, chunk);  // fd leads back
  made.memory.put_word(chunk + 24, other);
  Seen seen(made);
  seen.read_all();
  EXPECT_TRUE(seen.libc().arenas[0].walked);
  EXPECT_EQ(free_of(seen.libc().arenas[0]), 5 * kPageBytes + 800);
}

// It says that it reaches up to top. All of [heap] would be given back with it.
TEST(Glibc, AFreeChunkBesideTheHeapIsNoPartOfTop) {
  constexpr uint64_t kBeside = test::kBrk - 0x10000;
  MadeHeap made;
  made.used(1008);
  made.finish();
  made.vmas.insert(made.vmas.begin(), MadeHeap::vma({kBeside, kBeside + kPageBytes}, ""));
  const uint64_t bin = test::kMainArena + kStateShapes[0].start;
  made.memory.put_words(kBeside, {0, (made.arenas[0].at - kBeside) | kPrevInUse, bin, bin});
  made.memory.put_words(bin + 16, {kBeside, kBeside});
  Seen seen(made);
  seen.read_all();
  EXPECT_FALSE(seen.libc().arenas.at(0).walked);
  EXPECT_EQ(seen.libc().arenas.at(0).merged_top, 0u);
}

// What it has from the system it says itself: no bound for a list that leads back into itself.
TEST(Glibc, ALoopInAFastbinEnds) {
  for (const bool at_once : {true, false}) {
    MadeHeap made(kStateShapes[0], kParLayouts[0]);  // plain links
    const uint64_t first = made.fast(64), second = made.fast(64), third = made.fast(64);
    made.used(48);
    made.finish();
    for (const uint64_t word : {kStateSystem, kStateMaxSystem})
      made.memory.put_word(test::kMainArena + kStateShapes[0].start + word, uint64_t{1} << 60);
    made.memory.put_word(third, (at_once ? third : second) - kHeader);
    Seen seen(made);
    Arena& arena = seen.libc().arenas.at(0);
    read_fastbins(seen.memory, seen.libc(), arena);
    EXPECT_EQ(arena.fast.size(), 3u) << first;
    EXPECT_EQ(arena.cut, "a fastbin was in motion");
  }
}

TEST(Glibc, AHeapOfAnArenaIsMappedWhole) {
  MadeHeap made;
  with_an_arena(made);
  for (events::Vma& vma : made.vmas)
    if (vma.range.start == kHeap) vma.range.end -= 128 << 10;
  made.vmas.insert(made.vmas.end() - 1, MadeHeap::vma({kHeap + (192 << 10), kHeap + (256 << 10)}, ""));
  std::sort(made.vmas.begin(), made.vmas.end(),
            [](const auto& a, const auto& b) { return a.range < b.range; });
  Seen seen(made);
  EXPECT_FALSE(seen.libc().arenas.at(1).believed);
}

// Counts the steps that are asked for when there is no time left.
class NoTime final : public remote::test::PresentMemory {
 public:
  Result<uint64_t> read_present(uint64_t, std::span<std::byte> into) override {
    std::fill(into.begin(), into.end(), std::byte{0});
    return uint64_t{0};
  }
  bool step(uint64_t) override {
    ++steps;
    return false;
  }
  int steps = 0;
};

TEST(Glibc, ASearchWithoutTimeDoesNotGoOnToTheNextFile) {
  std::vector<events::Vma> vmas;
  for (uint64_t i = 0; i < 20; ++i)
    vmas.push_back(
        MadeHeap::vma({0x7e00'0000'0000 + 0x10000 * i, 0x7e00'0000'8000 + 0x10000 * i}, "/tmp/libc.so.6", 5));
  NoTime none;
  HeapMemory memory(none, [&vmas] { return vmas; }, {});
  ASSERT_TRUE(memory.refresh());
  EXPECT_THAT(find_glibc(memory, false).found, IsEmpty());
  EXPECT_EQ(none.steps, 1);
}

TEST(Glibc, AWrongHeaderCostsWhatFollowsItUpToTheNextKnownChunk) {
  MadeHeap made;
  made.used(1008);
  const uint64_t wrong = made.used(2000) - kHeader;
  made.free(2 * kPageBytes);
  made.used(48);
  made.finish();
  made.memory.put_word(wrong + 8, 0x7777'7777'7777);
  Seen seen(made);
  Arena& arena = seen.libc().arenas[0];
  arena.regions[0].prepare();
  arena.known = {made.arenas[0].free[0].start};
  SizeClasses sizes;
  walk_chunks(seen.memory, arena, sizes);
  EXPECT_EQ(arena.unknown_bytes, 2000u);
  EXPECT_EQ(free_of(arena), 2 * kPageBytes);
  EXPECT_NE(arena.cut, "");
}

// Another's sbrk in the middle of [heap]: two fenceposts, what it keeps there, and then chunks from a page boundary on.
TEST(Glibc, TheWalkGoesOnBehindAForeignSbrk) {
  MadeHeap made(kStateShapes[0], kParLayouts[1], 512 << 10);
  made.used(3 * kPageBytes - 2 * kHeader);
  made.used(kHeader);
  made.used(kHeader);
  made.used(20 * kPageBytes);  // the foreign part
  const uint64_t foreign = made.arenas[0].used.back().start;
  made.used(1008);
  made.free(3 * kPageBytes);
  made.used(48);
  made.used(48);
  made.finish();
  for (uint64_t at = foreign; at < foreign + 20 * kPageBytes; at += 8)
    made.memory.put_word(at, 0x0101010101010101);
  Seen seen(made);
  Arena& arena = seen.libc().arenas[0];
  arena.regions[0].prepare();
  SizeClasses sizes;
  walk_chunks(seen.memory, arena, sizes);
  EXPECT_EQ(free_of(arena), 3 * kPageBytes);
  EXPECT_EQ(arena.cut, "");
}

// What was [heap] keeps its chunks, those that are free too; the rest is found from what the bins and top lead to.
TEST(Glibc, AMainArenaGoesOnInAMappingWhereBrkIsRefused) {
  MadeHeap made;
  made.used(1008);
  made.free(3 * kPageBytes);
  made.used(48);
  made.brk_refused(0x7d00'0000'0000, 1 << 20);
  made.used(48);
  made.free(5 * kPageBytes);
  made.used(64);
  made.finish();
  Seen seen(made);
  seen.read_all();
  const Arena& arena = seen.libc().arenas[0];
  EXPECT_EQ(arena.cut, "");
  EXPECT_EQ(arena.regions.size(), 2u);
  EXPECT_EQ(free_of(arena), made.free_bytes());
}

// malloc_trim of one copy of glibc does nothing for the other's heap.
TEST(GlibcJoin, OnlyTheProgramsOwnLibcIsPromised) {
  MadeHeap made;
  usual(made);
  Seen seen(made);
  seen.read_all();
  Glibc other = seen.libc();
  seen.libc().arenas[0].contiguous = false;
  other.main_arena -= 0x10000;
  for (Region& region : other.arenas[0].regions) {
    region.range = {region.range.start + (1 << 20), region.range.end + (1 << 20)};
    region.chunks = {region.chunks.start + (1 << 20), region.chunks.end + (1 << 20)};
  }
  seen.search.found.push_back(other);
  std::vector<events::ScanRun> runs = made.resident();
  const auto heap_only = std::vector<events::ScanRun>{runs.front()};
  // Which of the two has its pages there: by what is resident.
  const uint64_t as_other =
      join_residency(seen.search.found, seen.memory.vmas(), heap_only).heap.trimmable_bytes;
  seen.libc().arenas[0].contiguous = true;
  const uint64_t as_own =
      join_residency(seen.search.found, seen.memory.vmas(), heap_only).heap.trimmable_bytes;
  EXPECT_EQ(as_other, 0u);
  EXPECT_GT(as_own, 0u);
}

TEST(Glibc, PagesThatAreSwappedAreNeverRead) {
  MadeHeap made(kStateShapes[0], kParLayouts[1], 256 << 10);
  made.used(1008);
  made.free(40 * kPageBytes);
  made.used(48);
  made.finish();
  for (uint64_t page = (test::kBrk >> 12) + 2; page < (test::kBrk >> 12) + 38; ++page) made.memory.drop(page);
  Seen seen(made);
  seen.read_all();
  Arena& arena = seen.libc().arenas[0];
  EXPECT_EQ(free_of(arena), 40 * kPageBytes);
  arena.regions[0].prepare();
  SizeClasses sizes;
  walk_chunks(seen.memory, arena, sizes);  // nothing is needed from inside a free chunk
  EXPECT_EQ(free_of(arena), 40 * kPageBytes);
  EXPECT_EQ(arena.unknown_bytes, 0u);
}

// Python keeps its pools in a table of pairs that point 16 bytes before themselves, too; it has 32 or 64.
TEST(Glibc, ATableThatLooksAlikeIsNotTaken) {
  MadeHeap made;
  usual(made);
  for (uint64_t at = test::kMainArena - 0x70; at < test::kMainArena + 0x900; at += 8)
    made.memory.put_word(at, 0);
  for (uint64_t at = test::kData + 0x1000; at < test::kData + 0x1000 + 64 * 16; at += 16)
    made.memory.put_words(at, {at - 16, at - 16});
  Seen seen(made);
  EXPECT_THAT(seen.search.found, IsEmpty());
}

TEST(Glibc, AnAllocatorThatReplacesMallocLeavesNothingToFind) {
  MadeHeap made;
  for (uint64_t at = test::kData; at < test::kData + test::kDataBytes; at += 8) made.memory.put_word(at, 0);
  Seen seen(made);
  EXPECT_THAT(seen.search.found, IsEmpty());
  EXPECT_FALSE(seen.search.rejected);
}

TEST(Glibc, AnArenaThatDoesNotSumIsKeptApart) {
  MadeHeap made;
  with_an_arena(made);
  made.memory.put_word(kHeap + 16, 128 << 10);  // heap_info.size
  Seen seen(made);
  ASSERT_EQ(seen.search.found.size(), 1u);
  seen.read_all();
  EXPECT_FALSE(seen.libc().arenas.at(1).believed);
  const JoinedHeap joined = join_residency(seen.search.found, seen.memory.vmas(), made.resident());
  EXPECT_EQ(joined.heap.unread_arenas, 1u);
  EXPECT_TRUE(std::any_of(joined.runs.begin(), joined.runs.end(),
                          [](const auto& run) { return run.use == kUseUnread && run.page == kHeap >> 12; }));
}

// The parts of what is resident sum to it, whatever is there.
TEST(GlibcJoin, EachResidentByteIsUsedOrFree) {
  MadeHeap made;
  usual(made);
  Seen seen(made);
  seen.read_all();
  std::vector<events::ScanRun> runs = made.resident();
  runs.front().count -= 1;  // of [heap]
  const JoinedHeap joined = join_residency(seen.search.found, seen.memory.vmas(), runs);
  ASSERT_EQ(joined.runs.size(), 1u);
  uint64_t there = 0;
  for (const events::ScanRun& run : runs)
    if (run.page >= joined.runs[0].page && run.page < joined.runs[0].page + joined.runs[0].count)
      there += run.count * kPageBytes;
  EXPECT_EQ(joined.runs[0].live_bytes + joined.runs[0].free_bytes, there);
  const events::AllocatorHeap& heap = joined.heap;
  EXPECT_EQ(heap.used_bytes + heap.trimmable_bytes + heap.pinned_bytes + heap.top_bytes + heap.cached_bytes,
            there);
}

TEST(GlibcJoin, PartsOfHugePagesAreApart) {
  MadeHeap made(kStateShapes[0], kParLayouts[1], 6 << 20);
  made.used(1008);
  made.free(5 << 20);
  made.used(48);
  made.finish();
  Seen seen(made);
  seen.read_all();
  // One huge page is dropped whole, its neighbours in part.
  const PageNumber first = test::kBrk >> 12;
  std::vector<events::ScanRun> runs = {{first, 1536, events::kScanHuge}};
  const events::AllocatorHeap heap = join_residency(seen.search.found, seen.memory.vmas(), runs).heap;
  EXPECT_EQ(heap.trimmable_bytes - heap.trimmable_huge_bytes, uint64_t{2} << 20);
  EXPECT_GT(heap.trimmable_huge_bytes, uint64_t{2} << 20);
}

class GlibcDamage : public ::testing::TestWithParam<int> {};

// Words of libc's data and of the heap are overwritten: readings end, and what they say is in order.
TEST_P(GlibcDamage, EndsAndStaysInOrder) {
  uint64_t state = 0x9e37'79b9'7f4a'7c15 * static_cast<uint64_t>(GetParam() + 1);
  const auto random = [&state](uint64_t most) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state % most;
  };
  MadeHeap made;
  for (int i = 0; i < 60; ++i) {
    made.used(16 * (2 + random(100)));
    made.free(16 * (64 + random(100)));
    made.fast(16 * (2 + random(9)));
  }
  made.used(64);
  if (GetParam() % 2 != 0) {
    made.brk_refused(0x7d00'0000'0000, 1 << 20);
    made.free(800);
    made.used(64);
  }
  made.arena(kHeap, 256 << 10);
  for (int i = 0; i < 40; ++i) {
    made.used(16 * (2 + random(100)));
    made.free(16 * (2 + random(300)));
  }
  made.used(64);
  made.mapped(0x7e80'0000'0000, 64 * kPageBytes);
  made.finish();
  const std::vector<PageNumber> pages = made.memory.pages();
  const uint64_t words = 1 + random(100);
  for (uint64_t i = 0; i < words; ++i) {
    const uint64_t at = pages[random(pages.size())] * kPageBytes + 8 * random(512);
    const uint64_t values[] = {random(~uint64_t{0}),
                               0,
                               ~uint64_t{0},
                               at - 16,
                               made.arenas[0].free[0].start,
                               16 * random(1 << 20) + 1,
                               kHeap,
                               test::kBrk + 16 * random(8000)};
    made.memory.put_word(at, values[random(std::size(values))]);
  }
  GlibcProcess process(std::make_unique<remote::test::RecordedMemory>(made.memory),
                       [&made] { return made.vmas; }, false, {});
  events::PageScan scan;
  scan.runs = made.resident();
  const GlibcReading reading = process.read(scan);
  PageNumber end = 0;
  for (const events::RuntimeRun& run : reading.pages.runs) {
    EXPECT_GE(run.page, end);
    EXPECT_LT(run.use, reading.pages.uses.size());
    end = run.page + run.count;
    EXPECT_LE(run.live_bytes + run.free_bytes, uint64_t{run.count} * kPageBytes);
  }
  static_cast<void>(process.sizes());
}
INSTANTIATE_TEST_SUITE_P(Seeds, GlibcDamage, ::testing::Range(0, 500));

TEST(GlibcProcess, TellsWhatItReadAndItsSizes) {
  MadeHeap made;
  usual(made);
  GlibcProcess process(std::make_unique<remote::test::RecordedMemory>(made.memory),
                       [&made] { return made.vmas; }, false, {});
  events::PageScan scan;
  scan.scan = 7;
  scan.runs = made.resident();
  const GlibcReading reading = process.read(scan);
  EXPECT_EQ(reading.pages.trust, events::Trust::kVerified);
  ASSERT_TRUE(reading.heap.has_value());
  EXPECT_EQ(reading.heap->scan, 7u);
  EXPECT_EQ(reading.heap->allocator, "glibc");
  EXPECT_EQ(reading.heap->mmap_threshold, 128u << 10);
  EXPECT_THAT(reading.heap->sizes, IsEmpty());
  const std::optional<events::AllocatorHeap> sizes = process.sizes();
  ASSERT_TRUE(sizes.has_value());
  EXPECT_THAT(sizes->sizes,
              ElementsAre(events::AllocatorSize{1008, 1008}, events::AllocatorSize{0x290, 0x290},
                          events::AllocatorSize{160, 160}, events::AllocatorSize{48, 48}));
}

// Free memory that was known must not turn into used memory because the end of the recording leaves no time for the walk.
TEST(GlibcProcess, AReadingWithoutTimeKeepsWhatTheLastWholeOneFound) {
  MadeHeap made(kStateShapes[0], kParLayouts[1], 4 << 20);
  for (int i = 0; i < 3000; ++i) made.used(48), made.free(800);
  made.used(48);
  made.finish();
  bool no_time = false;
  const auto process_of = [&made, &no_time] {
    GlibcProcess process(std::make_unique<remote::test::RecordedMemory>(made.memory),
                         [&made] { return made.vmas; }, false, {});
    process.stop_when([&no_time] { return no_time; });
    return process;
  };
  events::PageScan scan;
  scan.runs = made.resident();
  const auto free_bytes = [&scan](GlibcProcess& process) {
    uint64_t sum = 0;
    const GlibcReading reading = process.read(scan);
    EXPECT_EQ(reading.pages.problem, "");
    for (const events::RuntimeRun& run : reading.pages.runs) sum += run.free_bytes;
    return sum;
  };
  GlibcProcess process = process_of();
  const uint64_t whole = free_bytes(process);
  EXPECT_GE(whole, 3000u * 700);
  no_time = true;
  EXPECT_EQ(free_bytes(process), whole);
  EXPECT_THAT(process.take_notices(), ElementsAre(testing::HasSubstr("is as of the last whole reading")));

  GlibcProcess late = process_of();
  const events::RuntimePages pages = late.read(scan).pages;
  EXPECT_EQ(pages.trust, events::Trust::kUnverified);
  EXPECT_EQ(pages.problem, "the search for the state of glibc's malloc takes more time than one may");
}

TEST(GlibcProcess, SaysNothingWhereThereIsNone) {
  MadeHeap made;
  GlibcProcess process(std::make_unique<remote::test::RecordedMemory>(made.memory),
                       [&made] { return made.vmas; }, false, {});
  const GlibcReading reading = process.read({});
  EXPECT_EQ(reading.pages.trust, events::Trust::kVerified);
  EXPECT_THAT(reading.pages.runs, IsEmpty());
  EXPECT_FALSE(reading.heap.has_value());
}

}  // namespace
}  // namespace memwhy::allocators
