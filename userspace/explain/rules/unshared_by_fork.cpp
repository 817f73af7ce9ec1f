// SPDX-License-Identifier: Apache-2.0
// unshared-by-fork: processes that were forked share their parent's anonymous memory until one of them writes to it; then each
// has a copy of its own. Recognised by mappings of which some pages are still mapped by others, and by those that the parent
// has too: the rest of these mappings was copied, or came after the fork. The memory of a prefork server is then counted once
// for each worker. It explains; whether the workers could share more depends on the program. Memory that is meant to be shared:
// shared-memory.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class UnsharedByFork : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const std::optional<events::SharedPages>& shared = c.process.shared;
    if (!shared || shared->anonymous_mappers < 2 || shared->own_bytes < problem_threshold(c.ledger))
      return std::nullopt;
    const uint64_t others = shared->anonymous_mappers - 1;
    Finding finding;
    finding.id = "unshared-by-fork";
    finding.bytes = std::min(shared->own_bytes, c.ledger.rss.anon);
    // Where they are most of the largest owner's pages, whatever the rest is, they are no attribute of it.
    const LedgerLine& largest = c.ledger.lines.front();
    const uint64_t both = finding.bytes + largest.bytes;
    finding.of_other_owners = (both - std::min(both, c.ledger.rss.bytes)) * 2 < largest.bytes;
    if (!finding.of_other_owners) finding.owners = {largest.owner};
    finding.confidence = Confidence::kMedium;
    finding.headline = fmt::format("{} were written since a fork", bytes_and_share(finding.bytes, c.ledger));
    finding.claim = fmt::format(
        "{} of {}'s memory are its own copies, or came, since a fork; {} of the same mappings are still "
        "shared with {} other process{}.",
        bytes_and_share(finding.bytes, c.ledger), c.process.comm, human_bytes(shared->anonymous_bytes),
        others, others == 1 ? "" : "es");
    finding.bytes_figure("shared_bytes", shared->anonymous_bytes);
    finding.count_figure("others", others);
    finding.evidence.emplace_back(
        "the kernel's count of page tables that map each page, of a sample of 512 pages");
    finding.remedy =
        "Have in memory before the fork what all processes read, and do not write to it after: counts of "
        "references (CPython: gc.freeze()), a collector that moves objects or marks in them, and malloc "
        "beside them copy pages.";
    finding.against.emplace_back(
        "which pages were there at the fork, and which came after it, is not told apart");
    return finding;
  }
};

}  // namespace

const Rule& unshared_by_fork_rule() {
  static const UnsharedByFork kRule;
  return kRule;
}

}  // namespace memwhy::explain
