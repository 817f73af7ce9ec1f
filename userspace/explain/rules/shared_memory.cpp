// SPDX-License-Identifier: Apache-2.0
// shared-memory: memfd, tmpfs, SysV, shared anonymous memory. It cannot be dropped like a file's pages, only
// swapped; it is charged to whoever touched it first, and it can outlive every process. Growing is a problem;
// being there is not.
#include <fmt/format.h>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class SharedMemory : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    uint64_t bytes = of(c.ledger.bytes, Owner::kShmem);
    if (bytes == 0 || (bytes < problem_threshold(c.ledger) && c.largest_family != "shmem"))
      return std::nullopt;
    Trend trend = trend_of(c.moments, {Owner::kShmem});
    bool problem = bytes >= problem_threshold(c.ledger) && trend.lasting() &&
                   trend.grown_bytes >= problem_threshold(c.ledger);

    Finding finding;
    finding.id = "shared-memory";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = bytes;
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.headline = bytes_and_share(bytes, c.ledger) + " are shared memory";
    finding.claim = fmt::format("Shared memory holds {} of {}'s memory{}.", bytes_and_share(bytes, c.ledger),
                                c.process.comm, growth_clause(trend));
    finding.confidence = Confidence::kHigh;
    finding.evidence = heaviest_texts(c, Owner::kShmem, 5);
    if (problem) {
      finding.evidence.push_back(grown_text(trend));
      finding.bytes_figure("grown_bytes", trend.grown_bytes);
      finding.remedy = "Find who extends the object, and truncate, unlink or unmap what is no longer used.";
    } else {
      finding.remedy =
          "None needed if this object is meant to be this large; it counts against the cgroup that touched "
          "it first.";
    }
    finding.against.emplace_back(
        "other processes may map the same pages: the sum over processes counts them several times");
    return finding;
  }
};

}  // namespace

const Rule& shared_memory_rule() {
  static const SharedMemory kRule;
  return kRule;
}

}  // namespace memwhy::explain
