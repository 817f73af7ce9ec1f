// SPDX-License-Identifier: Apache-2.0
// thread-stacks: what threads touched of their stacks stays resident until the thread ends. A tenth of a
// process in stacks means very many threads or very deep ones.
#include <fmt/format.h>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/rules/huge_stacks.h"
#include "explain/rules/stack_bytes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class ThreadStacks : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    uint64_t bytes = of(c.ledger.bytes, Owner::kThreadStacks);
    bool problem = bytes - huge_stacks(c).unused_bytes >= problem_threshold(c.ledger);
    if (bytes == 0 || (!problem && c.largest_family != "thread.stacks")) return std::nullopt;
    Trend trend = trend_of(c.moments, {Owner::kThreadStacks});
    uint64_t stacks = of(c.ledger.mappings, Owner::kThreadStacks);

    Finding finding;
    finding.id = "thread-stacks";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = bytes;
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.headline = bytes_and_share(bytes, c.ledger) + " are thread stacks";
    finding.claim = fmt::format("Stacks of threads hold {} of {}'s memory{}: {} stacks, {} each on average.",
                                bytes_and_share(bytes, c.ledger), c.process.comm, growth_clause(trend),
                                stacks, human_bytes(stacks > 0 ? bytes / stacks : 0));
    finding.count_figure("stacks", stacks);
    finding.bytes_figure("bytes_each", stacks > 0 ? bytes / stacks : 0);
    finding.count_figure("threads", c.process.threads);
    finding.confidence = Confidence::kHigh;
    finding.evidence.push_back(
        fmt::format("{} threads; {} thread stack mappings", c.process.threads, stacks));
    for (std::string& entry : heaviest_texts(c, Owner::kThreadStacks, 3))
      finding.evidence.push_back(std::move(entry));
    if (trend.rising) {
      finding.evidence.push_back(grown_text(trend));
      finding.bytes_figure("grown_bytes", trend.grown_bytes);
    }
    // More than libc keeps for new threads: theirs have ended, though not each was read as such (thread-leak).
    const uint64_t each = stack_bytes(c, Owner::kThreadStacks);
    const bool ended =
        each > 0 && stacks > 2 * c.process.threads + kSpareStackBytes / each && !thread_leak_rule().judge(c);
    if (ended) {
      finding.headline += fmt::format(", most of threads that ended: {} stacks, {} thread{}", stacks,
                                      c.process.threads, c.process.threads == 1 ? "" : "s");
      finding.confidence = Confidence::kMedium;
    }
    const bool locked = add_locked(c, bytes, finding);
    finding.remedy =
        !problem ? "None needed."
        : locked ? "Lock what is touched only (mlockall with MCL_ONFAULT), or what is named (mlock): "
                   "MCL_FUTURE makes each stack resident as a whole. Smaller stacks "
                   "(pthread_attr_setstacksize) cost less."
        : ended  ? "Join or detach every thread (pthread_join, pthread_detach): the stack of one that "
                   "is neither stays when it ends."
                 : "Run fewer threads (a bounded pool), or make the deep frames smaller.";
    if (c.process.threads < stacks && !ended) {
      finding.against.emplace_back(
          "some stacks have no thread: libc caches up to 40 MiB of them for new threads");
    }
    return finding;
  }

 private:
  // Whether all of them may be locked: then they are resident because they are mapped, and not because threads use them.
  static bool add_locked(const Case& c, uint64_t bytes, Finding& finding) {
    const uint64_t locked = c.process.counters ? c.process.counters->locked_bytes : 0;
    const uint64_t used = huge_stacks(c).used_bytes;
    if (locked < bytes || used * 2 > bytes) return false;
    finding.headline += ", locked as a whole (mlockall)";
    finding.evidence.push_back(
        fmt::format("{} of mappings are locked (VmLck); threads use {} of their stacks now, by their stack "
                    "pointers",
                    human_bytes(locked), human_bytes(used)));
    finding.bytes_figure("locked_bytes", locked);
    finding.bytes_figure("used_bytes", used);
    return true;
  }
};

}  // namespace

const Rule& thread_stacks_rule() {
  static const ThreadStacks kRule;
  return kRule;
}

}  // namespace memwhy::explain
