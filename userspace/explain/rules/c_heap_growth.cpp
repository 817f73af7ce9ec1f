// SPDX-License-Identifier: Apache-2.0
// c-heap-growth: what a C program has allocated and not freed keeps rising. Its size class follows from the headers of its
// chunks; the code that allocated it does not: the stack that first touched a page is often another object's, so none is
// named as the cause. With --who-allocates, sampled calls of malloc show which code allocates that size.
// Where a runtime collects garbage and counts what its objects hold of malloc's memory (strings, buffers), the next collection
// frees what is garbage: for five minutes a rise is no problem (lasting_seconds). A JVM does not count it: direct buffers and
// deflaters that are garbage stay until the Java heap is full.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "explain/allocator_words.h"
#include "explain/rules/causes.h"
#include "explain/rules/chunk_words.h"
#include "explain/runtimes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

struct GrownSize {
  uint64_t chunk_bytes = 0, before = 0, now = 0;
  uint64_t grown() const { return now > before ? now - before : 0; }
};

// By how much each size grew between the first reading of sizes and the last, most first.
std::vector<GrownSize> grown_sizes(const AllocatorFacts& facts) {
  if (facts.sizes.size() < 2) return {};
  std::map<uint64_t, GrownSize> sizes;
  for (const events::AllocatorSize& size : facts.sizes.front().heap->sizes)
    sizes[size.chunk_bytes] = {size.chunk_bytes, size.bytes, 0};
  for (const events::AllocatorSize& size : facts.sizes.back().heap->sizes) {
    GrownSize& grown = sizes[size.chunk_bytes];
    grown.chunk_bytes = size.chunk_bytes;
    grown.now = size.bytes;
  }
  std::vector<GrownSize> out;
  for (const auto& [bytes, size] : sizes)
    if (size.grown() > 0) out.push_back(size);
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.grown() > b.grown(); });
  return out;
}

// The requested size for a malloc chunk of this size; none is smaller than 32 bytes.
std::string request_text(uint64_t chunk_bytes) {
  chunk_bytes = std::max<uint64_t>(chunk_bytes, 32);
  return fmt::format("{} to {} bytes", chunk_bytes - 23, chunk_bytes - 8);
}

// "290 by leak (server.c:88), 12 by main (server.c:20)"
std::string callers_text(const AllocationSites& sites) {
  constexpr size_t kSaid = 3;
  std::string out;
  for (size_t i = 0; i < sites.sites.size() && i < kSaid; ++i) {
    const AllocationSite& site = sites.sites[i];
    out += fmt::format("{}{} by {}", i == 0 ? "" : ", ", grouped(site.calls),
                       site.where.empty() ? "code that is not known" : site.where);
  }
  return out;
}

// What a runtime with a heap of its own has from malloc.
struct ManagedRuntime {
  std::string_view allocator, heap, outside, remedy;
};
constexpr ManagedRuntime kBesideMalloc[] = {
    {"v8", "V8's heap", "Node.js has what Buffers and ArrayBuffers hold from malloc",
     "process.memoryUsage().arrayBuffers is how much Buffers hold; --max-old-space-size does not bound it."},
    {"hotspot", "the Java heap",
     "a JVM has direct ByteBuffers and all that its native libraries allocate from malloc",
     "jcmd PID VM.native_memory, of a JVM with -XX:NativeMemoryTracking=summary, tells direct buffers and "
     "the JVM's own memory from that of libraries; -Xmx does not bound it."},
};

const ManagedRuntime* managed_runtime(const Case& c) {
  const auto* const found =
      std::find_if(std::begin(kBesideMalloc), std::end(kBesideMalloc),
                   [&](const ManagedRuntime& each) { return allocator_facts(c, each.allocator) != nullptr; });
  return found == std::end(kBesideMalloc) ? nullptr : found;
}

class CHeapGrowth : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const AllocatorFacts* const facts = largest_c_heap(c.allocators, [](const AllocatorFacts& each) {
      return each.heap->used_bytes + each.heap->mapped_bytes;
    });
    if (facts == nullptr) return std::nullopt;
    const uint64_t bytes = of(c.ledger.bytes, Owner::kCHeapUsed);
    // A reading that failed, of a heap that is busy, leaves all of it unclassified for once: that is no fall.
    const Trend trend = trend_of(c.moments, {Owner::kCHeapUsed, Owner::kCHeapUnclassified});
    if (!trend.lasting() || trend.grown_bytes < problem_threshold(c.ledger) ||
        bytes < problem_threshold(c.ledger))
      return std::nullopt;

    const bool problem =
        !has_runtime(c, &UnreadRuntime::of_malloc) || trend.shown_seconds >= lasting_seconds(c);
    Finding finding;
    finding.id = "c-heap-growth";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = bytes;
    finding.owners = {Owner::kCHeapUsed};
    finding.growth_bytes_per_s = trend.bytes_per_s;
    const ManagedRuntime* const runtime = managed_runtime(c);
    finding.headline = fmt::format("{} are allocated with malloc{}, and {}", bytes_and_share(bytes, c.ledger),
                                   runtime == nullptr ? "" : fmt::format(", outside of {}", runtime->heap),
                                   problem ? "keep growing" : "rise: a leak or garbage is not known yet");
    finding.claim = fmt::format("What {} allocates with malloc and does not free {}: {} are in use{}.",
                                c.process.comm, problem ? "keeps growing" : "rises",
                                bytes_and_share(bytes, c.ledger), growth_clause(trend));
    finding.confidence = problem ? Confidence::kMedium : Confidence::kLow;
    finding.evidence.push_back(grown_text(trend));
    finding.bytes_figure("grown_bytes", trend.grown_bytes);
    if (runtime != nullptr) add_collections(c, *runtime, trend, finding);
    const std::vector<GrownSize> sizes = grown_sizes(*facts);
    add_sizes(sizes, finding);
    // Of blocks of a page and more the code that first touched them is that of whoever asked for them.
    if (!sizes.empty() && sizes.front().chunk_bytes >= kPageBytes) {
      if (const std::string most = touched_most(c, Owner::kCHeapUsed, "first touched by"); !most.empty())
        finding.headline += ": " + most;
    }
    if (!sizes.empty()) add_callers(c, sizes.front().chunk_bytes, finding);
    if (runtime != nullptr) {
      finding.evidence.emplace_back(runtime->outside);
      finding.remedy += fmt::format(" {}", runtime->remedy);
    }
    for (std::string& entry : touched_texts(c, Owner::kCHeapUsed, 3))
      finding.evidence.push_back(std::move(entry));
    finding.against.push_back(
        problem ? "a cache or a heap that is still warming up looks the same: a longer recording will tell "
                  "them apart"
                : fmt::format("what garbage holds is freed when the runtime collects it: whether it keeps "
                              "growing is known when it was seen to rise for {}",
                              human_seconds(lasting_seconds(c))));
    finding.against.emplace_back(
        "the code that first touched a page is not always the code whose objects fill it now");
    return finding;
  }

 private:
  static void add_collections(const Case& c, const ManagedRuntime& runtime, const Trend& trend,
                              Finding& finding) {
    const auto collections = allocator_facts(c, runtime.allocator)->collections_in(trend.shown_seconds);
    if (!collections) return;
    finding.evidence.push_back(collected_text(*collections));
    finding.count_figure("collections", *collections);
  }

  // Which code allocates the size that grew most. Not which keeps it.
  static void add_callers(const Case& c, uint64_t chunk, Finding& finding) {
    if (c.allocations == nullptr) {
      finding.remedy += " A recording with --who-allocates says who allocates that size.";
      return;
    }
    const AllocationSites of_size = of_chunk(*c.allocations, chunk);
    finding.count_figure("calls_seen", c.allocations->calls);
    finding.count_figure("calls_of_size", of_size.calls);
    if (of_size.sites.empty()) {
      finding.evidence.push_back(fmt::format("of {} calls of malloc and its kind, in {}, none was for {}",
                                             grouped(c.allocations->calls),
                                             human_seconds(c.allocations->seconds), size_text(chunk)));
      return;
    }
    finding.evidence.push_back(fmt::format("of {} calls of malloc and its kind, in {}, {} were for {}: {}",
                                           grouped(c.allocations->calls),
                                           human_seconds(c.allocations->seconds), grouped(of_size.calls),
                                           size_text(chunk), callers_text(of_size)));
    const AllocationSite& most = of_size.sites.front();
    if (most.where.empty() || most.calls * 2 < of_size.calls) return;
    finding.count_figure("calls_by_caller", most.calls);
    finding.remedy = fmt::format(
        "Look at what becomes of the {} that {} allocates: it made {} of the {} calls of that size "
        "that were looked at (who allocates, which need not be who keeps).",
        chunk < kPageBytes ? request_text(chunk) : "blocks", most.where, grouped(most.calls),
        grouped(of_size.calls));
  }

  static void add_sizes(const std::vector<GrownSize>& sizes, Finding& finding) {
    for (size_t i = 0; i < sizes.size() && i < 3; ++i)
      finding.evidence.push_back(fmt::format("{} grew by {}, to {}", size_text(sizes[i].chunk_bytes),
                                             human_bytes(sizes[i].grown()),
                                             virtual_text(sizes[i].now, finding.bytes)));
    finding.remedy =
        "Find what keeps these objects: a heap profiler of the program's language names who allocates them.";
    if (sizes.empty()) return;
    const uint64_t chunk = sizes.front().chunk_bytes;
    if (chunk < kPageBytes) finding.count_figure("chunk_size", chunk);
    finding.bytes_figure("chunk_grown_bytes", sizes.front().grown());
    finding.remedy =
        chunk < kPageBytes
            ? fmt::format("Look for an object of {} that is kept: chunks of that size grew most.",
                          request_text(chunk))
            : fmt::format("Look for blocks of {} and more that are kept: they grew most.",
                          human_bytes(chunk));
  }
};

}  // namespace

const Rule& c_heap_growth_rule() {
  static const CHeapGrowth kRule;
  return kRule;
}

}  // namespace memwhy::explain
