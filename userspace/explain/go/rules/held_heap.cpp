// SPDX-License-Identifier: Apache-2.0
// held-heap: the variable, goroutines or queue from which most of a Go heap hangs. A heap profile shows what allocated it, this
// what keeps it. It explains; whether it is too much is not judged here.
//
//   main.sessions ──► map, 0 entries in 2097152 slots     251.0 MiB
//   main.findings ──► 1600 objects of 256 KiB, to which pointers with lengths of 20 bytes lead
//
// Of one holder alone where that is enough; else of the nearest of several.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "explain/go/rules/goroutine_standing.h"
#include "explain/go/rules/holder_words.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

using Holder = events::GoHolder;
constexpr size_t kOthersNamed = 3;
constexpr uint64_t kFullMap = 4;  // slots for each entry; with fewer, a map is as full as maps are

bool has_empty_map(const Holder& holder) {
  return holder.slots != 0 && holder.entries <= holder.slots / kFullMap;
}

bool has_pins(const Holder& holder) { return holder.pinned_bytes * 2 >= holder.bytes; }

// What it is, where that is known: ", a map of 0 entries in 2097152 slots".
std::string text_of_content(const Holder& holder, Finding& finding) {
  if (has_empty_map(holder)) {
    finding.count_figure("map_entries", holder.entries);
    finding.count_figure("map_slots", holder.slots);
    return fmt::format(", {} of {} entries in {} slots",
                       holder.kind == Holder::Kind::kVariable ? "a map" : "maps", holder.entries,
                       holder.slots);
  }
  if (has_pins(holder)) {
    finding.count_figure("pinned_objects", holder.pinned);
    finding.bytes_figure("pinned_bytes", holder.pinned_bytes);
    finding.bytes_figure("used_bytes", holder.used_bytes);
    return fmt::format("; strings or slices of {} total keep {} objects of {} total",
                       human_bytes(holder.used_bytes), holder.pinned, human_bytes(holder.pinned_bytes));
  }
  return "";
}

// Others that hold a part worth naming.
void add_others(const Case& c, const events::GoHeld& held, const Holder& first, Finding& finding) {
  size_t named = 0;
  for (const Holder& other : held.holders) {
    if (&other == &first || other.resident_bytes * 100 < c.ledger.rss.bytes || named == kOthersNamed)
      continue;
    ++named;
    finding.evidence.push_back(
        fmt::format("{} hang from {}", human_bytes(other.resident_bytes), text_of_holder(c, other)));
  }
}

class HeldHeap : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (c.go == nullptr || !c.go->layout_trusted() || c.go->goroutines().empty()) return std::nullopt;
    const std::optional<events::GoHeld>& held = c.go->goroutines().back().all->held;
    if (!held || held->holders.empty()) return std::nullopt;
    const std::vector<const Holder*> open = unsaid(c, *held);
    if (open.empty()) return std::nullopt;
    const auto by = [&](auto bytes) -> const Holder& {
      return **std::max_element(open.begin(), open.end(),
                                [&](const Holder* a, const Holder* b) { return bytes(*a) < bytes(*b); });
    };
    const uint64_t heap =
        c.ledger.total({Owner::kGoHeapLive, Owner::kGoHeapUnmarked, Owner::kGoHeapUnclassified});
    const Holder& alone = by([](const Holder& holder) { return holder.resident_bytes; });
    if (const uint64_t bytes = std::min(alone.resident_bytes, heap); is_much(c, bytes))
      return told(c, *held, alone, bytes);
    const Holder& nearest = by([](const Holder& holder) { return holder.bytes + holder.also_bytes; });
    if (const uint64_t bytes = std::min(nearest.bytes + nearest.also_bytes, heap); is_much(c, bytes))
      return shared(c, *held, nearest, bytes);
    return std::nullopt;
  }

 private:
  static bool is_much(const Case& c, uint64_t bytes) {
    const LedgerLine* live = line_of(c.ledger, Owner::kGoHeapLive);
    return bytes >= problem_threshold(c.ledger) ||
           (c.largest_family == "go.heap" && live != nullptr && bytes * 2 >= live->bytes);
  }

  // Whoever waits for ever with it is the better sentence, and of another rule.
  static std::vector<const Holder*> unsaid(const Case& c, const events::GoHeld& held) {
    const bool leak = goroutine_leak_rule().judge(c).has_value();
    const bool many = goroutines_rule().judge(c).has_value();
    const bool queue = finalizer_queue_rule().judge(c).has_value();
    const bool pool = pool_retention_rule().judge(c).has_value();
    std::vector<const Holder*> out;
    for (const Holder& holder : held.holders) {
      const bool said =
          (holder.kind == Holder::Kind::kGoroutines && (leak || (many && holder.count >= kManyGoroutines))) ||
          (holder.kind == Holder::Kind::kFinalizers && queue) || (holder.pool_lists != 0 && pool);
      if (!said) out.push_back(&holder);
    }
    return out;
  }

  static Finding begun(const Case& c, const events::GoHeld& held, uint64_t bytes) {
    Finding finding = go_finding(c, "held-heap", false, {Owner::kGoHeapLive});
    finding.bytes = bytes;
    finding.growth_bytes_per_s.reset();  // of the heap, not of the holder
    finding.confidence = held.complete ? Confidence::kHigh : Confidence::kMedium;
    if (!held.complete)
      finding.against.emplace_back(
          "the walk of the heap was not finished: it reaches at least this, and others may refer to it too");
    finding.remedy =
        "None needed if the program wants it: this says who keeps the memory, not that it is too much.";
    return finding;
  }

  static Finding told(const Case& c, const events::GoHeld& held, const Holder& holder, uint64_t bytes) {
    Finding finding = begun(c, held, bytes);
    const std::string who = text_of_holder(c, holder), what = text_of_content(holder, finding);
    finding.headline = fmt::format("{} hang from {}{}", bytes_and_share(bytes, c.ledger), who, what);
    finding.claim = fmt::format("{} of {}'s memory hang from {}{}{}.", bytes_and_share(bytes, c.ledger),
                                c.process.comm, who, held.complete ? " alone" : "", what);
    add_sizes(holder, finding);
    add_sites(c, holder, finding);
    add_others(c, held, holder, finding);
    if (has_empty_map(holder))
      finding.remedy =
          "A Go map keeps its tables when entries are deleted: make a new one and copy into it what is left.";
    else if (has_pins(holder))
      finding.remedy =
          "A part of a string or slice keeps all of it: copy what is kept (strings.Clone, slices.Clone).";
    return finding;
  }

  static Finding shared(const Case& c, const events::GoHeld& held, const Holder& holder, uint64_t bytes) {
    Finding finding = begun(c, held, bytes);
    finding.confidence = Confidence::kMedium;
    const std::string who = text_of_holder(c, holder);
    finding.headline =
        fmt::format("{} are reached from {} and from others", bytes_and_share(bytes, c.ledger), who);
    finding.claim = fmt::format("{} of {}'s heap are reached from {}, which is nearest, and from others.",
                                bytes_and_share(bytes, c.ledger), c.process.comm, who);
    finding.evidence.push_back(
        fmt::format("{} virtual are reached from it and from others too", human_bytes(holder.also_bytes)));
    finding.bytes_figure("shared_bytes", holder.also_bytes);
    if (holder.objects != 0) add_sizes(holder, finding);
    return finding;
  }
};

}  // namespace

const Rule& held_heap_rule() {
  static const HeldHeap kRule;
  return kRule;
}

}  // namespace memwhy::explain
