// SPDX-License-Identifier: Apache-2.0
// locked-memory: mappings that mlock(2) or mlockall(2) hold: what is resident of them stays. All of it was brought in, touched
// or not, unless it was locked on fault (MLOCK_ONFAULT); the kernel counts mappings, not what is resident of them. It is an
// attribute of pages that other causes explain by owner, so it never replaces one of them.
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
    // No more than that is resident, and with locks on fault, or mappings of files, perhaps much less.
    const uint64_t bytes = std::min(locked, c.ledger.rss.bytes);
    Finding finding;
    finding.id = "locked-memory";
    finding.bytes = bytes;
    finding.of_other_owners = true;
    finding.headline = fmt::format("mappings of {} are locked (mlock): up to {} of RSS", human_bytes(locked),
                                   bytes_and_share(bytes, c.ledger));
    finding.claim = fmt::format(
        "Mappings of {} of {} are locked (mlock, mlockall): up to {} of RSS. They were brought in unless "
        "locked on fault, and the kernel can neither swap nor drop what is resident of them.",
        human_bytes(locked), c.process.comm, bytes_and_share(bytes, c.ledger));
    finding.evidence.push_back(
        fmt::format("VmLck of /proc/PID/status is {}: mappings, resident or not", human_bytes(locked)));
    finding.bytes_figure("locked_bytes", locked);
    finding.remedy =
        "None needed if it must never wait for a page. mlockall(MCL_FUTURE) also brings in whole stacks and "
        "arenas: MCL_ONFAULT locks only what is touched, mlock() only what is named.";
    finding.confidence = Confidence::kMedium;
    return finding;
  }
};

}  // namespace

const Rule& locked_memory_rule() {
  static const LockedMemory kRule;
  return kRule;
}

}  // namespace memwhy::explain
