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
    const std::string with = shared_with(c, finding);
    finding.claim = fmt::format("Shared memory holds {} of {}'s memory{}{}.",
                                bytes_and_share(bytes, c.ledger), c.process.comm, with, growth_clause(trend));
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
    if (with.empty())
      finding.against.emplace_back(
          "other processes may map the same pages: the sum over processes counts them several times");
    else
      finding.against.emplace_back("the sum over these processes counts it several times");
    return finding;
  }

 private:
  // ", shared with 5 other processes", where most of it is.
  static std::string shared_with(const Case& c, Finding& finding) {
    const std::optional<events::SharedPages>& shared = c.process.shared;
    if (!shared || shared->memory_mappers < 2 || shared->memory_bytes * 2 < finding.bytes) return "";
    const uint64_t others = shared->memory_mappers - 1;
    finding.count_figure("others", others);
    return fmt::format(", shared with {} other process{}", others, others == 1 ? "" : "es");
  }
};

}  // namespace

const Rule& shared_memory_rule() {
  static const SharedMemory kRule;
  return kRule;
}

}  // namespace memwhy::explain
