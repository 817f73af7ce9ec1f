// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the Go runtime of a process that does not tell the truth, through every reader: heap, profile, goroutines,
// statistics. An input names a snapshot of a real process (go_snapshot.h) and words of it that are something else, some of
// them only from the second reading on, or once.
//
//   u8 which snapshot | { u64 address, u64 value, u8 from, u8 until } …        18 bytes each, at most 64
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/support/check.h"
#include "go_snapshot.h"
#include "go_structures.h"

namespace memwhy::fuzz {
namespace {

constexpr size_t kMostGroups = 256, kMostFrames = 1024;
constexpr size_t kMostReads = 200;      // of a word, that are told apart
constexpr size_t kMostHotBytes = 8192;  // of one read: larger ones are objects, not tables
constexpr uint64_t kPageBytes = 4096;

struct Input {
  uint8_t snapshot = 0;
  std::vector<Patch> patches;
};

Input input_of(const uint8_t* data, size_t size) {
  Input out;
  if (size == 0) return out;
  out.snapshot = data[0];
  out.patches = patches_of({data + 1, size - 1});
  return out;
}

std::string bytes_of(const Input& input) {
  return std::string(1, static_cast<char>(input.snapshot)) + bytes_of(input.patches);
}

// What a memory was asked for.
class NotingMemory final : public remote::RemoteMemory {
 public:
  NotingMemory(const Pages& pages, std::vector<uint64_t>& words) : memory_(pages, {}), words_(words) {}
  Status read(uint64_t address, std::span<std::byte> into) override {
    note(address, into.size());
    return memory_.read(address, into);
  }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    note(address, into.size());
    return memory_.read_present(address, into);
  }

 private:
  void note(uint64_t address, size_t bytes) {
    if (bytes > kMostHotBytes) return;
    for (uint64_t at = address & ~uint64_t{7}; at < address + bytes; at += 8) words_.push_back(at);
  }
  PatchedMemory memory_;
  std::vector<uint64_t>& words_;
};

// A clock of the work that is done, so that an input takes the same however busy the machine is: it is looked at every 64 steps.
// Slower than the real one, so that what is without end ends soon.
uint64_t work_done() {
  static uint64_t now = 0;
  return now += 2'000'000;
}

struct Read {
  goruntime::HeapReading heap;
  events::GoProfile profile;
  std::optional<events::GoGoroutines> goroutines;
  std::optional<events::GoStatistics> statistics;
};

Read read_all(const GoSnapshot& snapshot, std::unique_ptr<remote::RemoteMemory> memory) {
  goruntime::GoProgram program = snapshot.program;
  program.image.file = std::make_shared<PatchedMemory>(snapshot.file, std::vector<Patch>{});
  program.variables = [writable = program.image.writable] { return writable; };
  goruntime::GoProcess process(std::move(memory), std::move(program), {work_done, work_done});
  events::PageScan scan;
  scan.scan = 1;
  scan.runs = snapshot.resident;
  Read out;
  out.profile = process.profile().value();
  out.heap = process.heap(scan);
  out.goroutines = process.goroutines(true);
  out.statistics = process.statistics();
  out.profile = process.profile().value();
  return out;
}

struct Seed {
  GoSnapshot snapshot;
  std::vector<uint64_t> words;  // that the readers look at; in order
  std::vector<uint8_t> reads;   // of each, how many times; at most kMostReads
  std::vector<GoStructure> structures;
};

// Of a word for each reading: the words, and how many readings.
void count_reads(Seed& seed) {
  std::sort(seed.words.begin(), seed.words.end());
  size_t kept = 0;
  for (size_t at = 0, next = 0; at < seed.words.size(); at = next) {
    while (next < seed.words.size() && seed.words[next] == seed.words[at]) ++next;
    seed.words[kept++] = seed.words[at];
    seed.reads.push_back(static_cast<uint8_t>(std::min(next - at, kMostReads)));
  }
  seed.words.resize(kept);
}

const std::vector<Seed>& seeds() {
  static const std::vector<Seed> all = [] {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(MEMWHY_FUZZ_DATA "/snapshots"))
      if (entry.path().extension() == ".zst") names.push_back(entry.path());
    std::sort(names.begin(), names.end());
    std::vector<Seed> out;
    for (const std::string& name : names) {
      Seed& seed = out.emplace_back();
      seed.snapshot = snapshot_from(name);
      const Read read =
          read_all(seed.snapshot, std::make_unique<NotingMemory>(seed.snapshot.memory, seed.words));
      // Else nothing that is mutated in it would be looked at.
      check(events::trusted(read.heap.how.layout) && read.goroutines && read.goroutines->count > 5 &&
                read.statistics && !read.profile.buckets.empty(),
            "a snapshot that was not changed can be read");
      count_reads(seed);
      seed.structures = structures_of(seed.snapshot);
    }
    check(!out.empty() && out.size() < 256, "there are snapshots");
    return out;
  }();
  return all;
}

const Seed& seed_of(const Input& input) { return seeds()[input.snapshot % seeds().size()]; }

// ---- what must hold ----

void check_heap(const goruntime::HeapReading& heap) {
  check(events::trusted(heap.how.layout) == (heap.pages.trust == events::Trust::kVerified),
        "the pages are as good as their reading");
  if (!events::trusted(heap.how.layout)) {
    check(!heap.pages.problem.empty(), "a heap that is not told says why");
    return;
  }
  uint64_t before = 0;
  for (const events::RuntimeRun& run : heap.pages.runs) {
    check(run.count > 0 && run.page >= before, "runs are in order");
    before = run.page;
    const uint64_t most = run.count * kPageBytes;
    check(run.live_bytes <= most && run.dead_bytes <= most && run.free_bytes <= most &&
              run.live_bytes + run.dead_bytes + run.free_bytes <= most,
          "a run has no more bytes than its pages");
  }
}

void check_goroutines(const events::GoGoroutines& goroutines) {
  check(goroutines.groups.size() <= kMostGroups, "as many groups are kept as the code says");
  uint64_t count = 0;
  for (const events::GoGroup& group : goroutines.groups) {
    count += group.count;
    check(group.count > 0 && group.frames.size() <= kMostFrames, "a group has members and a bounded stack");
    uint64_t large = 0;
    for (const events::GoKeptObject& object : group.large) large += object.bytes;
    check(large <= group.kept_bytes, "the large objects that a group keeps are a part of what it keeps");
  }
  check(count <= goroutines.count, "groups have no more members than there are goroutines");
}

// ---- mutations ----

uint64_t value_at(const Seed& seed, uint64_t address) {
  uint64_t value = 0;
  (void)PatchedMemory(seed.snapshot.memory, {})
      .read(address, std::as_writable_bytes(std::span(&value, 1)))
      .ok();
  return value;
}

uint64_t new_value(const Seed& seed, uint64_t old, Random& random) {
  const std::vector<uint64_t>& words = seed.words;
  switch (random.below(6)) {
    case 0:
      return random.nasty();
    case 1:  // a pointer to what something else is
      return words[random.below(words.size())];
    case 2:  // what stands elsewhere
      return value_at(seed, words[random.below(words.size())]);
    case 3:
      return mutated_word(old);
    default:
      return random.near(old);
  }
}

// Between any two of the readings that there are of the word.
void change_times(const Seed& seed, Patch& patch, Random& random) {
  const auto at = std::lower_bound(seed.words.begin(), seed.words.end(), patch.address);
  const bool known = at != seed.words.end() && *at == patch.address;
  const size_t reads = known ? seed.reads[static_cast<size_t>(at - seed.words.begin())] : 6;
  patch.from = random.one_in(2) ? 0 : static_cast<uint8_t>(random.below(reads));
  patch.until = random.one_in(3) ? static_cast<uint8_t>(patch.from + 1 + random.below(3)) : Patch::kForever;
}

Patch new_patch(const Seed& seed, const Input& input, Random& random) {
  const std::vector<uint64_t>& words = seed.words;
  Patch patch;
  size_t at = random.below(words.size());
  if (!input.patches.empty() && random.one_in(2)) {  // beside one that is changed: of the same structure
    const uint64_t near = input.patches[random.below(input.patches.size())].address;
    at = static_cast<size_t>(std::lower_bound(words.begin(), words.end(), near) - words.begin());
    at = std::min(at + random.below(16), words.size() - 1);
    at -= std::min(at, random.below(16));
  }
  if (random.one_in(2)) {
    patch = patch_of_field(seed.snapshot, seed.structures, random);
    change_times(seed, patch, random);
    return patch;
  }
  patch.address = words[at];
  if (random.one_in(24)) {
    patch.value = random.one_in(2) ? uint64_t{1} << 45 : random.next() >> 17;
    patch.until = Patch::kMirror;
    return patch;
  }
  patch.value = new_value(seed, value_at(seed, patch.address), random);
  change_times(seed, patch, random);
  return patch;
}

void mutate_one(const Seed& seed, Input& input, Random& random) {
  const size_t at = random.below(input.patches.size());
  if (input.patches.empty() || (random.one_in(3) && input.patches.size() < kMostPatches)) {
    input.patches.push_back(new_patch(seed, input, random));
  } else if (random.one_in(6)) {
    input.patches.erase(input.patches.begin() + static_cast<ptrdiff_t>(at));
  } else if (random.one_in(4)) {
    change_times(seed, input.patches[at], random);
  } else if (random.one_in(8)) {
    input.patches[at].address += 8 * random.below(32);
  } else {
    input.patches[at].value = new_value(seed, input.patches[at].value, random);
  }
}

}  // namespace
}  // namespace memwhy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace memwhy::fuzz;
  const Input input = input_of(data, size);
  const Seed& seed = seed_of(input);
  const Read read =
      read_all(seed.snapshot, std::make_unique<PatchedMemory>(seed.snapshot.memory, input.patches));
  check_heap(read.heap);
  if (read.goroutines) check_goroutines(*read.goroutines);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  using namespace memwhy::fuzz;
  Random random(seed);
  Input input = input_of(data, size);
  if (random.one_in(32)) input.snapshot = static_cast<uint8_t>(random.below(seeds().size()));
  return mutate_patches(
      data, size, most, random, [&] { mutate_one(seed_of(input), input, random); },
      [&] { return bytes_of(input); });
}
