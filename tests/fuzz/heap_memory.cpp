// SPDX-License-Identifier: Apache-2.0
// Fuzz target: allocators and managed heaps of a process that does not tell the truth, through each of their readers. An input
// names a process that is made up (heap_shapes.h), and what of it is something else: words, pages that are not resident, and
// mappings, some of them only from the second time on that they are looked at. Each reader reads three times, the second time
// with as little time as the input says.
//
//   u8 which shape | u8 time of the second reading | { u64 address, u64 value, u8 from, u8 until } …      18 bytes each, at most 64
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "allocators/ended_stacks.h"
#include "allocators/glibc_join.h"
#include "allocators/glibc_process.h"
#include "allocators/hotspot_frames.h"
#include "fuzz/support/check.h"
#include "heap_process.h"
#include "heap_shapes.h"

namespace memwhy::fuzz {
namespace {

using namespace allocators;

// The clocks of a budget are looked at every 64 steps, and a reading ends with them: the same on a machine that is busy.
constexpr int kMostLooks = 400;
constexpr uint64_t kMostReads = 200'000;  // of all readings; the most that was seen is 30,000

struct Input {
  uint8_t shape = 0, second = 0;
  std::vector<Patch> patches;
};

Input input_of(const uint8_t* data, size_t size) {
  Input out;
  if (size < 2) return out;
  out.shape = data[0];
  out.second = data[1];
  out.patches = patches_of({data + 2, size - 2});
  return out;
}

std::string bytes_of(const Input& input) {
  const char first[] = {static_cast<char>(input.shape), static_cast<char>(input.second)};
  return std::string(first, sizeof first) + bytes_of(input.patches);
}

// ---- what must hold ----

void check_pages(const HeapProcess& process, const events::RuntimePages& pages) {
  PageNumber before = 0;
  for (const events::RuntimeRun& run : pages.runs) {
    check(run.count > 0 && run.page >= before, "runs are in order and do not overlap");
    before = run.page + run.count;
    check(run.use < pages.uses.size(), "a run has a use that has a name");
    check(run.live_bytes <= run.count * kPageBytes && run.free_bytes <= run.count * kPageBytes &&
              run.live_bytes + run.free_bytes <= run.count * kPageBytes,
          "a run has no more bytes than its pages");
    // What is around an arena that could not be read may have gaps.
    check(pages.uses[run.use] == kGlibcUses[kUseUnread] || process.was_mapped({run.page, before}),
          "a run is of memory that was mapped");
  }
}

void check_heap(const HeapProcess& process, const events::AllocatorHeap& heap) {
  const uint64_t resident = process.resident_bytes();
  for (const uint64_t part : {heap.used_bytes, heap.trimmable_bytes, heap.pinned_bytes, heap.top_bytes,
                              heap.cached_bytes, heap.mapped_bytes})
    check(part <= resident, "no part of a heap is more than what is resident");
  check(heap.used_bytes + heap.trimmable_bytes + heap.pinned_bytes + heap.top_bytes + heap.cached_bytes +
                heap.mapped_bytes <=
            resident,
        "the parts of a heap are no more than what is resident");
  check(heap.trimmable_huge_bytes <= heap.trimmable_bytes, "parts of huge pages are a part");
}

// ---- readings ----

// So many looks at the clocks, then there is no more time.
struct Time {
  int left = kMostLooks;
  std::function<bool()> stop() {
    return [this] { return left-- <= 0; };
  }
};

// Each returns whether the last reading found what is there.
bool read_glibc(HeapProcess& process, int second) {
  Time time;
  bool found = false;
  GlibcProcess glibc(process.memory(), process.vmas(), false, {});
  glibc.stop_when(time.stop());
  for (const int looks : {kMostLooks, second, kMostLooks}) {
    time.left = looks;
    const events::PageScan scan = process.scan();
    const GlibcReading reading = glibc.read(scan);
    check_pages(process, reading.pages);
    found = reading.heap && reading.heap->problem.empty();
    if (reading.heap) check_heap(process, *reading.heap);
    time.left = kMostLooks;
    if (const auto sizes = glibc.sizes()) check(sizes->sizes.size() <= 64, "as many sizes as the code says");
  }
  return found;
}

bool read_blocks(HeapProcess& process, int second) {
  Time time;
  bool found = false;
  BlockHeap heap(process.shape().reader(process.file()), process.memory(), process.vmas(), {});
  heap.stop_when(time.stop());
  for (const int looks : {kMostLooks, second, kMostLooks}) {
    time.left = looks;
    const events::PageScan scan = process.scan();
    const BlockReading reading = heap.read(scan);
    check_pages(process, reading.pages);
    found = reading.heap.has_value();
    if (reading.heap) check_heap(process, *reading.heap);
  }
  return found;
}

bool read_stacks(HeapProcess& process, int second) {
  Time time;
  bool found = false;
  EndedStacks stacks(process.memory(), process.vmas());
  stacks.stop_when(time.stop());
  for (const int looks : {kMostLooks, second, kMostLooks}) {
    time.left = looks;
    const events::RuntimePages pages = stacks.read(process.scan());
    check_pages(process, pages);
    found = !pages.runs.empty();
  }
  return found;
}

bool read_frames(HeapProcess& process) {
  Time time;
  remote::Budget budget({.steps = 64 * kMostLooks}, time.stop());
  const std::unique_ptr<remote::RemoteMemory> memory = process.memory();
  remote::MeteredMemory metered(*memory, budget);
  HeapMemory heap(metered, process.vmas(), {});
  if (!heap.refresh()) return false;
  const std::optional<HotspotTables> tables = HotspotFrames::find_tables(heap, process.file());
  std::optional<HotspotFrames> frames = tables ? HotspotFrames::find(heap, *tables) : std::nullopt;
  bool found = false;
  for (int round = 0; round < 2 && frames; ++round) {
    for (const uint64_t address : process.shape().code) {
      const auto frame = frames->frame(heap, address);
      check(!frame || frame->bytes <= 128 << 10, "a frame is no larger than a stack");
      found = found || frame;
    }
    heap.forget();
    static_cast<void>(frames->gone(heap));
  }
  return found;
}

bool read_all(HeapProcess& process, uint8_t second) {
  switch (process.shape().kind) {
    case HeapKind::kGlibc:
      return read_glibc(process, second);
    case HeapKind::kBlocks:
      return read_blocks(process, second);
    case HeapKind::kThreadStacks:
      return read_stacks(process, second);
    case HeapKind::kJvmFrames:
      return read_frames(process);
  }
  return false;
}

// ---- mutations ----

struct Seed {
  HeapShape shape;
  std::vector<std::pair<uint64_t, uint64_t>> words;  // that are read and not zero: address, value
};

const std::vector<Seed>& seeds() {
  static const std::vector<Seed> all = [] {
    std::vector<Seed> out;
    for (HeapShape& shape : heap_shapes()) {
      Seed& seed = out.emplace_back();
      seed.shape = std::move(shape);
      HeapProcess process(seed.shape, {});
      // Else nothing that is mutated in it would be looked at.
      check(read_all(process, 255), "a process that was not changed is read");
      seed.words = process.words_read();
    }
    return out;
  }();
  return all;
}

const Seed& seed_of(const Input& input) { return seeds()[input.shape % seeds().size()]; }

uint64_t some_address(const Seed& seed, Random& random) {
  if (random.one_in(3)) {
    const AddressRange& range = seed.shape.vmas[random.below(seed.shape.vmas.size())].range;
    return (random.one_in(2) ? range.start : range.end) + 8 * random.below(4) - 8 * random.below(4);
  }
  const uint64_t address = seed.words[random.below(seed.words.size())].first;
  return random.one_in(2) ? address & ~uint64_t{15} : address;
}

uint64_t new_value(const Seed& seed, uint64_t old, Random& random) {
  switch (random.below(8)) {
    case 0:
      return random.nasty();
    case 1:
      return some_address(seed, random);
    case 2:
      return seed.words[random.below(seed.words.size())].second;
    case 3:
      return mutated_word(old);
    case 4:  // flags of a chunk
      return old ^ (uint64_t{1} << random.below(3));
    case 5:
      return old + 16 * random.below(512) - 16 * random.below(512);
    case 6:
      return old + kPageBytes * random.below(64) - kPageBytes * random.below(64);
    default:
      return random.near(old);
  }
}

void change_times(Patch& patch, Random& random) {
  patch.from = random.one_in(2) ? 0 : static_cast<uint8_t>(random.below(8));
  if (patch.until < Patch::kMirror - 2)
    patch.until = random.one_in(3) ? static_cast<uint8_t>(patch.from + 1 + random.below(3)) : Patch::kForever;
}

// A word; one beside another that is changed; or all that name the same thing, as a whole and consistent change would.
void add_words(const Seed& seed, Input& input, Random& random) {
  size_t at = random.below(seed.words.size());
  if (!input.patches.empty() && random.one_in(2)) {
    const uint64_t near = input.patches[random.below(input.patches.size())].address;
    at = static_cast<size_t>(
        std::lower_bound(seed.words.begin(), seed.words.end(), std::pair(near, uint64_t{0})) -
        seed.words.begin());
    at = std::min(at + random.below(8), seed.words.size() - 1);
    at -= std::min(at, random.below(8));
  }
  Patch patch;
  patch.address = seed.words[at].first;
  const uint64_t old = seed.words[at].second;
  patch.value = new_value(seed, old, random);
  change_times(patch, random);
  if (random.one_in(8)) patch.address += 8 * random.below(8);  // what is zero
  input.patches.push_back(patch);
  if (!random.one_in(4)) return;
  for (size_t i = 0, more = 0; i < seed.words.size() && more < 8; ++i) {
    if (i == at || seed.words[i].second != old) continue;
    patch.address = seed.words[i].first;
    input.patches.push_back(patch);
    ++more;
  }
}

// A pointer leads to a chunk that is made elsewhere, with a size that is plausible there.
void add_chunk(const Seed& seed, Input& input, Random& random) {
  size_t at = random.below(seed.words.size());
  for (int tries = 0; tries < 16 && seed.words[at].second < kPageBytes; ++tries)
    at = random.below(seed.words.size());
  Patch patch;
  patch.address = seed.words[at].first;
  patch.value = seed.words[random.below(seed.words.size())].first & ~uint64_t{15};
  change_times(patch, random);
  input.patches.push_back(patch);
  patch.address = patch.value + 8;
  patch.value =
      16 * (1 + random.below(random.one_in(2) ? 64 : 65536)) + (random.one_in(4) ? random.below(8) : 1);
  input.patches.push_back(patch);
}

Patch other_patch(const Seed& seed, Random& random) {
  Patch patch;
  patch.address = some_address(seed, random);
  patch.from = static_cast<uint8_t>(random.one_in(2) ? 0 : random.below(8));
  const size_t what = random.below(6);
  if (what == 0) {
    patch.until = Patch::kMirror;
    patch.value = random.one_in(2) ? uint64_t{1} << 45 : some_address(seed, random);
  } else if (what == 1) {
    patch.until = HeapProcess::kAbsent;
  } else {
    patch.until = HeapProcess::kMapping;
    patch.value = random.next();
  }
  return patch;
}

void mutate_one(const Seed& seed, Input& input, Random& random) {
  const size_t at = random.below(input.patches.size());
  if (random.one_in(16)) {
    input.second = static_cast<uint8_t>(random.below(random.one_in(2) ? 16 : 256));
  } else if (input.patches.empty() || random.one_in(3)) {
    if (random.one_in(6))
      input.patches.push_back(other_patch(seed, random));
    else if (random.one_in(4))
      add_chunk(seed, input, random);
    else
      add_words(seed, input, random);
  } else if (random.one_in(6)) {
    input.patches.erase(input.patches.begin() + static_cast<ptrdiff_t>(at));
  } else if (random.one_in(4)) {
    change_times(input.patches[at], random);
  } else if (random.one_in(8)) {
    input.patches[at].address += 8 * random.below(32);
  } else {
    input.patches[at].value = new_value(seed, input.patches[at].value, random);
  }
  if (input.patches.size() > kMostPatches) input.patches.resize(kMostPatches);
}

}  // namespace
}  // namespace memwhy::fuzz

// Not within the time of the first input.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  memwhy::fuzz::seeds();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace memwhy::fuzz;
  const Input input = input_of(data, size);
  HeapProcess process(seed_of(input).shape, input.patches);
  read_all(process, input.second);
  check(process.reads() <= kMostReads, "a reading has a bounded number of reads");
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  using namespace memwhy::fuzz;
  Random random(seed);
  Input input = input_of(data, size);
  if (random.one_in(32)) input.shape = static_cast<uint8_t>(random.below(seeds().size()));
  return mutate_patches(
      data, size, most, random, [&] { mutate_one(seed_of(input), input, random); },
      [&] { return bytes_of(input); });
}
