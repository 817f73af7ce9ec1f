// SPDX-License-Identifier: Apache-2.0
// live-heap-growth: what each collection leaves in use keeps rising: a cache, a map, a slice that is never cut. Not garbage
// (gc-headroom), and not what blocked goroutines keep (goroutine-leak), which is more specific.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/text.h"
#include "explain/go/books.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class LiveHeapGrowth : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const events::GoCounters* counters = go_counters(c);
    const uint64_t bytes = of(c.ledger.bytes, Owner::kGoHeapLive);
    if (counters == nullptr || bytes < problem_threshold(c.ledger)) return std::nullopt;
    const HeapBooks books = books_of(c.go->curve());
    if (!books.lasting() || books.grown_bytes < problem_threshold(c.ledger) ||
        said_better(c, std::min(books.grown_bytes, bytes)))
      return std::nullopt;

    Trend trend;
    trend.bytes_per_s = books.bytes_per_s;
    Finding finding = go_finding(c, "live-heap-growth", true, {Owner::kGoHeapLive});
    finding.headline = bytes_and_share(bytes, c.ledger) + " are Go objects in use, and growing";
    std::vector<std::string> sites = heaviest_texts(c, Owner::kGoHeapLive, 3);
    if (!sites.empty()) finding.headline += ": " + sites.front();
    finding.claim = fmt::format("Objects in use on the Go heap of {} keep growing: {}{}.", c.process.comm,
                                bytes_and_share(bytes, c.ledger), growth_clause(trend));
    finding.growth_bytes_per_s = books.bytes_per_s;
    finding.recoverable_bytes =
        std::min(books.grown_bytes, bytes);  // the books count what is not resident too
    finding.confidence = Confidence::kMedium;
    add_books(books, finding);
    if (std::string steps = steps_of(c); !steps.empty()) finding.evidence.push_back(std::move(steps));
    for (std::string& entry : sites) finding.evidence.push_back(std::move(entry));
    if (c.go->profile_bytes().value_or(0) == 0) add_probed(c, finding);
    finding.remedy =
        "Look at the heaviest allocation sites of go.heap.live: what they make stays reachable. Bound the "
        "cache, delete "
        "from the map, or copy what is needed out of a large slice.";
    finding.against.emplace_back(
        "a cache that is still warming up looks the same: a longer recording will tell them apart");
    return finding;
  }

 private:
  static void add_books(const HeapBooks& books, Finding& finding) {
    finding.evidence.push_back(fmt::format(
        "{} collections were seen; what they left in use rose by {}, from {} to {}", books.collections,
        human_bytes(books.grown_bytes), human_bytes(books.live_before), human_bytes(books.live_now)));
    finding.bytes_figure("grown_bytes", books.grown_bytes);
    finding.bytes_figure("live_before_bytes", books.live_before);
    finding.bytes_figure("live_bytes", books.live_now);
    finding.count_figure("collections", books.collections);
    if (books.allocated == 0) return;
    finding.evidence.push_back(fmt::format("of {} that were allocated in {} they freed {}",
                                           human_bytes(books.allocated), human_seconds(books.seconds),
                                           human_bytes(books.freed)));
    finding.bytes_figure("allocated_bytes", books.allocated);
    finding.bytes_figure("freed_bytes", books.freed);
  }

  static std::string steps_of(const Case& c) {
    constexpr size_t kShown = 4;
    if (c.go_summary == nullptr || c.go_summary->steps.steps.empty()) return "";
    const GoSteps& all = c.go_summary->steps;
    const size_t count = all.steps.size() + all.left_out;
    std::string text = fmt::format("it rose in {} step{}: ", count, count == 1 ? "" : "s");
    const size_t from = all.steps.size() - std::min(all.steps.size(), kShown);
    if (from + all.left_out > 0) text += "the last are ";
    std::map<Frame, size_t, PlacesBefore> sites;
    for (size_t i = 0; i < all.steps.size(); ++i) {
      const GoStep& step = all.steps[i];
      const std::string by = c.go->clock(step.allocated != 0 ? step.allocated : step.time);
      if (i >= from)
        text += fmt::format("{}+{}{}", i == from ? "" : ", ", human_bytes(step.bytes),
                            by.empty() ? "" : (step.allocated != 0 ? " at " : " by ") + by);
      const Frame site = program_frame(c.attribution.frames_of(step.stack));
      if (site.known()) ++sites[site];
    }
    const auto most = std::max_element(sites.begin(), sites.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most == sites.end()) return text;
    return text + fmt::format("; the large objects in {} of them were allocated at {}", most->second,
                              text_of(most->first, FrameText::kShort));
  }

  // Without a heap profile: the code that allocated large objects while memwhy watched. They may have died since.
  static void add_probed(const Case& c, Finding& finding) {
    constexpr size_t kShown = 3;
    std::map<Frame, std::pair<uint64_t, uint64_t>, PlacesBefore> sites;  // calls, bytes
    for (const timeline::GoCallSite& call : c.go->call_sites()) {
      if (call.function != events::GoFunction::kLargeAllocation) continue;
      auto& [calls, bytes] = sites[program_frame(c.go->frames_of(call.stack))];
      calls += call.calls;
      bytes += call.bytes;
    }
    sites.erase(Frame{});
    std::vector<std::pair<Frame, std::pair<uint64_t, uint64_t>>> heaviest(sites.begin(), sites.end());
    std::stable_sort(heaviest.begin(), heaviest.end(),
                     [](const auto& a, const auto& b) { return a.second.second > b.second.second; });
    if (heaviest.size() > kShown) heaviest.resize(kShown);
    for (const auto& [site, sum] : heaviest)
      finding.evidence.push_back(
          fmt::format("{} large object{}, {} total, allocated at {} during the recording", sum.first,
                      sum.first == 1 ? "" : "s", human_bytes(sum.second), text_of(site, FrameText::kShort)));
  }

  // Whatever keeps the growth is the cause: goroutines that wait for ever, a blocked finalizer. Resident bytes, like theirs.
  static bool said_better(const Case& c, uint64_t grown_bytes) {
    const std::array<const Rule*, 2> better = {&goroutine_leak_rule(), &finalizer_queue_rule()};
    return std::any_of(better.begin(), better.end(), [&](const Rule* rule) {
      const std::optional<Finding> finding = rule->judge(c);
      return finding && finding->kind == FindingKind::kProblem && finding->bytes * 2 >= grown_bytes;
    });
  }
};

}  // namespace

const Rule& live_heap_growth_rule() {
  static const LiveHeapGrowth kRule;
  return kRule;
}

}  // namespace memwhy::explain
