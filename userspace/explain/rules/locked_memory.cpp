// SPDX-License-Identifier: Apache-2.0
// locked-memory: mappings that mlock(2) or mlockall(2) hold: all of each is brought in, touched or not, and stays. It is an
// attribute of pages whose owners other causes speak of, so it never stands for one of them.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class LockedMemory : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const uint64_t locked = c.process.counters ? c.process.counters->locked_bytes : 0;
    if (locked < problem_threshold(c.ledger)) return std::nullopt;
    // Locked on fault only, or not yet brought in: what is not resident is not in RSS.
    const uint64_t bytes = std::min(locked, c.ledger.rss.bytes);
    Finding finding;
    finding.id = "locked-memory";
    finding.bytes = bytes;
    finding.of_other_owners = true;
    finding.headline = bytes_and_share(bytes, c.ledger) + " are locked (mlock)";
    finding.claim = fmt::format(
        "{} of {}'s memory are locked (mlock, mlockall): they were brought in whether touched or not, and "
        "the "
        "kernel can neither swap nor drop them.",
        bytes_and_share(bytes, c.ledger), c.process.comm);
    finding.evidence.push_back(
        fmt::format("VmLck of /proc/PID/status is {}: mappings, resident or not", human_bytes(locked)));
    finding.bytes_figure("locked_bytes", locked);
    finding.remedy =
        "None needed if it must never wait for a page. mlockall(MCL_FUTURE) also brings in whole stacks and "
        "arenas: MCL_ONFAULT locks only what is touched, mlock() only what is named.";
    finding.confidence = Confidence::kHigh;
    return finding;
  }
};

}  // namespace

const Rule& locked_memory_rule() {
  static const LockedMemory kRule;
  return kRule;
}

}  // namespace memwhy::explain
