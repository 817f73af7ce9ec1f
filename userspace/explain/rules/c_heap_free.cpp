// SPDX-License-Identifier: Apache-2.0
// c-heap-free: memory that the program freed and its allocator keeps. What a call would return is a fact about pages, so it is
// promised; what a setting would have saved depends on unseen moments, so it is only bounded.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/allocator_words.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kDefaultThreshold = 128 << 10;
constexpr uint64_t kLittle = uint64_t{1} << 20;  // less than that has no sentence
constexpr uint64_t kWorthASetting = uint64_t{16} << 20;

class CHeapFree : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const AllocatorFacts* const facts =
        largest_c_heap(c.allocators, [](const AllocatorFacts& each) { return each.free_bytes(); });
    if (facts == nullptr) return std::nullopt;
    const events::AllocatorHeap& heap = *facts->heap;
    const AllocatorWords& words = *words_of(*facts);
    uint64_t bytes = of(c.ledger.bytes, Owner::kCHeapFree);
    if (several(c)) bytes = std::min(bytes, facts->free_bytes());
    if (bytes < problem_threshold(c.ledger)) return std::nullopt;

    const bool locked = all_locked(c);
    const uint64_t back = locked ? 0 : std::min(heap.trimmable_bytes, bytes);
    // What goes back by itself is no problem, but what stays is; nor what a collector frees all at once and fills again.
    const uint64_t stays =
        words.decays || collects_unseen(c) ? std::min(back, facts->lasting_trimmable_bytes()) : back;
    Finding finding;
    finding.id = "c-heap-free";
    // A collector frees native buffers all at once, and the program fills the room again until the next collection.
    const bool room = collects_unseen(c) && bytes <= of(c.ledger.bytes, Owner::kCHeapUsed);
    finding.kind =
        stays >= problem_threshold(c.ledger) && !room ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = bytes;
    finding.owners = {Owner::kCHeapFree};
    finding.growth_bytes_per_s = trend_of(c.samples, {Owner::kCHeapFree}).bytes_per_s;
    if (!locked) finding.recoverable_bytes = back;
    finding.confidence = heap.problem.empty() ? Confidence::kHigh : Confidence::kMedium;
    finding.headline = fmt::format("{} are free memory that {} keeps; {}", bytes_and_share(bytes, c.ledger),
                                   words.keeper, outlook(heap, words, back, locked, ""));
    finding.claim = fmt::format("{} keeps {} of memory that {} has freed; {}.", words.keeper,
                                bytes_and_share(bytes, c.ledger), c.process.comm,
                                outlook(heap, words, back, locked, " of it"));
    finding.bytes_figure("free_bytes", bytes);
    if (words.exact && !locked) finding.bytes_figure("trimmable_bytes", back);
    add_evidence(*facts, words, finding);
    if (locked)
      finding.remedy = kLockedRemedy;
    else
      add_remedy(heap, words, back, finding);
    if (!locked) add_doubts(heap, words, finding);
    if (stays < back)
      finding.against.push_back(
          words.decays ? fmt::format("{} gives it back by itself: shortly before only {} of it were there",
                                     words.keeper, human_bytes(stays))
                       : fmt::format("shortly before only {} of it were free: the program fills it again",
                                     human_bytes(stays)));
    if (room)
      finding.against.emplace_back(
          "the program's runtime collects garbage: what one collection frees is room until the next");
    return finding;
  }

 private:
  // "malloc_trim(0) would return 9 MiB"
  static std::string what_a_call_returns(const events::AllocatorHeap& heap, const AllocatorWords& words,
                                         uint64_t back) {
    if (words.call.empty()) return "no call returns it";
    return words.exact ? fmt::format("{} would return {}", words.call, human_bytes(back))
                       : fmt::format("{} would return at most {}", words.call, human_bytes(heap.top_bytes));
  }
  static std::string outlook(const events::AllocatorHeap& heap, const AllocatorWords& words, uint64_t back,
                             bool locked, std::string_view of_it) {
    if (locked) return "it is locked (mlockall), so that little or none of it comes back";
    if (!words.call.empty() && words.exact && back < kLittle)
      return "no call returns it: " + why_nothing(heap);
    return fmt::format("{}{} now", what_a_call_returns(heap, words, back), words.call.empty() ? "" : of_it);
  }
  static bool several(const Case& c) {
    return std::count_if(c.allocators.begin(), c.allocators.end(),
                         [](const AllocatorFacts& each) { return words_of(each) != nullptr; }) > 1;
  }
  // A sentence with its number in it.
  static void say(Finding& finding, std::string_view figure, uint64_t bytes, const std::string& sentence) {
    finding.evidence.push_back(fmt::format("{} {}", human_bytes(bytes), sentence));
    finding.bytes_figure(figure, bytes);
  }

  static void add_evidence(const AllocatorFacts& facts, const AllocatorWords& words, Finding& finding) {
    const events::AllocatorHeap& heap = *facts.heap;
    say(finding, "used_bytes", heap.used_bytes + heap.mapped_bytes,
        fmt::format("are in use, {} of them in mappings of their own", human_bytes(heap.mapped_bytes)));
    if (heap.pinned_bytes >= kLittle)
      say(finding, "pinned_bytes", heap.pinned_bytes,
          "are free but share pages with objects in use" + most_common(facts) + ": no call returns them");
    if (heap.top_bytes >= kLittle) say(finding, "top_bytes", heap.top_bytes, std::string(words.beyond));
    if (heap.cached_bytes >= kLittle) {
      say(finding, "cached_bytes", heap.cached_bytes,
          fmt::format("are in the caches of {} threads: they go when the threads end", heap.caches));
      finding.count_figure("caches", heap.caches);
    }
    if (many_arenas(heap)) {
      const timeline::AllocatorPoint fullest = facts.fullest();
      say(finding, "beside_main_bytes", heap.free_beside_main_bytes,
          fmt::format("of the free memory are in {} arenas beside the main one; at the fullest moment seen "
                      "{} were in use in "
                      "all of them together",
                      heap.arenas - 1, human_bytes(fullest.used_bytes)));
      finding.bytes_figure("fullest_used_bytes", fullest.used_bytes);
    }
    if (raised_threshold(heap)) {
      say(finding, "large_free_bytes", heap.large_free_bytes,
          fmt::format("of it are in runs of 128 KiB and more: malloc raised its mmap threshold to {} when a "
                      "large block was freed",
                      human_bytes(heap.mmap_threshold)));
      finding.bytes_figure("mmap_threshold_bytes", heap.mmap_threshold);
    }
  }
  // " (mostly chunks of 1008 bytes)"
  static std::string most_common(const AllocatorFacts& facts) {
    if (facts.sizes.empty()) return "";
    const std::vector<events::AllocatorSize>& sizes = facts.sizes.back().heap->sizes;
    uint64_t small = 0;
    const events::AllocatorSize* most = nullptr;
    for (const events::AllocatorSize& size : sizes) {
      if (size.chunk_bytes >= kPageBytes) continue;
      small += size.bytes;
      if (most == nullptr || size.bytes > most->bytes) most = &size;
    }
    if (most == nullptr || most->bytes * 2 < small) return "";
    return fmt::format(" (mostly chunks of {} bytes)", most->chunk_bytes);
  }
  static bool many_arenas(const events::AllocatorHeap& heap) {
    return heap.arena_max == 0 && heap.arenas > 2 && heap.free_beside_main_bytes >= kWorthASetting;
  }
  static bool raised_threshold(const events::AllocatorHeap& heap) {
    return !heap.thresholds_fixed && heap.mmap_threshold > kDefaultThreshold &&
           heap.large_free_bytes >= kWorthASetting;
  }

  static void add_remedy(const events::AllocatorHeap& heap, const AllocatorWords& words, uint64_t back,
                         Finding& finding) {
    if (back >= kLittle)
      finding.remedy = fmt::format(
          "Call {} when a peak is over: it would return {} now, and {}. The pages come back when the program "
          "needs the memory again.",
          words.call, human_bytes(back), words.cost);
    else if (!words.exact && heap.top_bytes >= kLittle)
      finding.remedy = fmt::format("Call {} in each thread when a peak is over: at most {} come back.",
                                   words.call, human_bytes(heap.top_bytes));
    else
      finding.remedy = fmt::format("No call returns this memory: {}.", why_nothing(heap));
    if (many_arenas(heap))
      finding.remedy += fmt::format(
          " MALLOC_ARENA_MAX=1 (after a restart; threads then wait for each other) would save at most {}, "
          "perhaps nothing.",
          human_bytes(heap.free_beside_main_bytes));
    if (raised_threshold(heap))
      finding.remedy += " MALLOC_TRIM_THRESHOLD_=131072 (after a restart) may keep it lower.";
    if (heap.pinned_bytes >= back && heap.pinned_bytes >= kWorthASetting)
      finding.remedy += " Another allocator may pack small objects more tightly.";
  }

  static std::string why_nothing(const events::AllocatorHeap& heap) {
    if (heap.top_bytes > heap.pinned_bytes)
      return heap.allocator == "glibc" ? "it is at the top of arenas" : "it is where the call does not reach";
    if (heap.cached_bytes > heap.pinned_bytes) return "it is in the caches of threads";
    return "each of its pages holds an object in use";
  }

  static void add_doubts(const events::AllocatorHeap& heap, const AllocatorWords& words, Finding& finding) {
    if (heap.trimmable_huge_bytes > 0) {
      finding.against.push_back(fmt::format(
          "{} of what {} returns are parts of huge pages: they leave RSS, but the cgroup's memory "
          "only under pressure",
          human_bytes(heap.trimmable_huge_bytes), words.call));
      finding.bytes_figure("trimmable_huge_bytes", heap.trimmable_huge_bytes);
    }
    if (!heap.problem.empty())
      finding.against.push_back(
          fmt::format("not everything was read: {}; that counts as in use", heap.problem));
    if (heap.age_ns > 1'000'000'000)
      finding.against.push_back(fmt::format("what is free was read {} before the last scan",
                                            human_seconds(static_cast<double>(heap.age_ns) / 1e9)));
    finding.against.emplace_back("a program that soon needs the memory again gains nothing");
  }
};

}  // namespace

const Rule& c_heap_free_rule() {
  static const CHeapFree kRule;
  return kRule;
}

}  // namespace memwhy::explain
