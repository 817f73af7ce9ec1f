// SPDX-License-Identifier: Apache-2.0
// thread-leak: threads that have ended and were never joined. Their stacks stay mapped, with what they touched, until
// pthread_join is called. Not live threads (thread-stacks), and not the stacks that glibc keeps for the next thread:
//
//   3,999 stacks of 8 MiB without a thread      glibc keeps up to 40 MiB of them: 5
//   → at least 3,994 were not joined
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/rules/stack_bytes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class ThreadLeak : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const uint64_t bytes = of(c.ledger.bytes, Owner::kThreadStacksEnded);
    const uint64_t ended = of(c.ledger.mappings, Owner::kThreadStacksEnded),
                   each = stack_bytes(c, Owner::kThreadStacksEnded);
    if (each == 0 || ended * each <= kSpareStackBytes + each)
      return std::nullopt;  // they may be glibc's spare ones
    const uint64_t leaked = ended - kSpareStackBytes / each;
    // Which of them are spare is unknown: each stack counts as the average.
    const uint64_t proven = bytes / ended * leaked;
    const bool problem = proven >= problem_threshold(c.ledger);
    const Trend trend = trend_of(c.moments, {Owner::kThreadStacksEnded});

    Finding finding;
    finding.id = "thread-leak";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = bytes;
    finding.owners = {Owner::kThreadStacksEnded};
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.headline = fmt::format("{} are stacks of threads that ended, at least {} of {} never joined",
                                   bytes_and_share(bytes, c.ledger), leaked, ended);
    finding.claim = fmt::format(
        "Stacks of threads that ended hold {} of {}'s memory{}: at least {} of {} stacks are of threads that "
        "were never joined.",
        bytes_and_share(bytes, c.ledger), c.process.comm, growth_clause(trend), leaked, ended);
    finding.count_figure("ended_threads", ended);
    finding.count_figure("threads", c.process.threads);
    finding.evidence.push_back(fmt::format("{} thread{} live; {} stacks of {} have a thread that ended",
                                           c.process.threads, c.process.threads == 1 ? "" : "s", ended,
                                           human_bytes(each)));
    finding.bytes_figure("stack_bytes", each);
    finding.evidence.push_back(
        fmt::format("glibc keeps at most {} of such stacks for new threads: at least {} were not joined",
                    human_bytes(kSpareStackBytes), leaked));
    finding.count_figure("not_joined", leaked);
    finding.recoverable_bytes = proven;
    finding.remedy =
        "Join each thread (pthread_join), or detach it (pthread_detach): its stack is given back then.";
    finding.confidence = Confidence::kHigh;
    finding.against.emplace_back("GLIBC_TUNABLES=glibc.pthread.stack_cache_size may allow more spare stacks");
    return finding;
  }
};

}  // namespace

const Rule& thread_leak_rule() {
  static const ThreadLeak kRule;
  return kRule;
}

}  // namespace memwhy::explain
