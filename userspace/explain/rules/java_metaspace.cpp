// SPDX-License-Identifier: Apache-2.0
// java-metaspace: the classes of a JVM, where they are much of its memory. It has no limit unless one is set, and a class goes
// with its class loader: one reachable object of it keeps them all. Growth is a problem after five minutes (lasting_seconds):
// a program that starts loads classes as well. The objects themselves are java.heap.*.
#include <fmt/format.h>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class JavaMetaspace : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const LedgerLine* const line = line_of(c.ledger, "java.metaspace");
    if (line == nullptr || line->bytes < problem_threshold(c.ledger)) return std::nullopt;
    const Trend trend = trend_of(c.moments, {line->owner});
    const bool rises = trend.lasting() && trend.grown_bytes >= problem_threshold(c.ledger);
    const bool problem = rises && trend.shown_seconds >= lasting_seconds(c);
    if (!rises && line != &c.ledger.lines.front()) return std::nullopt;

    Finding finding;
    finding.id = "java-metaspace";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = line->bytes;
    finding.owners = {line->owner};
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.confidence = Confidence::kMedium;
    const std::string bytes = bytes_and_share(line->bytes, c.ledger);
    finding.headline = bytes + " are classes of the JVM (metaspace)" +
                       (problem ? ", and more are loaded all the time"
                        : rises ? ", and more are loaded: a leak of class loaders or a start is not known yet"
                                : "");
    finding.claim = fmt::format("{} of {} are classes of the JVM (metaspace){}{}.", bytes, c.process.comm,
                                growth_clause(trend), problem ? ", and more are loaded all the time" : "");
    finding.evidence.emplace_back(line->label());
    if (rises) {
      finding.evidence.push_back(grown_text(trend));
      finding.bytes_figure("grown_bytes", trend.grown_bytes);
    }
    finding.remedy =
        rises ? "jcmd PID VM.classloader_stats counts the class loaders and what each has loaded; one object "
                "of a class, a thread or a listener keeps the whole loader. -XX:MaxMetaspaceSize bounds it."
              : "None needed if the program has so many classes: jcmd PID VM.classloader_stats counts them.";
    if (rises)
      finding.against.push_back(
          fmt::format("a program that starts loads classes as well{}",
                      problem ? std::string()
                              : fmt::format(": whether it goes on is known when it was seen to rise for {}",
                                            human_seconds(lasting_seconds(c)))));
    return finding;
  }
};

}  // namespace

const Rule& java_metaspace_rule() {
  static const JavaMetaspace kRule;
  return kRule;
}

}  // namespace memwhy::explain
