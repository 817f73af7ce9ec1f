// SPDX-License-Identifier: Apache-2.0
#include "explain/go/rules/words.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace memwhy::explain {

const events::GoCounters* go_counters(const Case& c) {
  if (c.go == nullptr || !c.go->layout_trusted()) return nullptr;
  return &c.go->heap()->counters;
}

std::string goal_text(const events::GoCounters& counters) {
  if (const std::optional<uint64_t> goal = heap_goal(counters))
    return "a goal of " + human_bytes(*goal) + " for the heap";
  return counters.gc_percent < 0 ? "no goal for the heap (GOGC=off)"
                                 : "a goal for the heap that is not known";
}

uint32_t collections_seen(const Case& c) {
  if (c.go == nullptr || c.go->curve().empty()) return 0;
  const uint32_t first = c.go->curve().front().counters.gc_cycles,
                 last = c.go->curve().back().counters.gc_cycles;
  return last - std::min(first, last);
}

Stay stay_of(const Case& c, Owner owner) {
  Stay stay;
  for (auto sample = c.samples.rbegin(); sample != c.samples.rend(); ++sample) {
    const uint64_t bytes = of(sample->bytes, owner);
    if (bytes < problem_threshold(c.ledger)) break;
    stay.least_bytes = stay.scans == 0 ? bytes : std::min(stay.least_bytes, bytes);
    ++stay.scans;
  }
  if (stay.scans < 2) return stay;
  const TimeNs since = c.samples[c.samples.size() - stay.scans].time;
  const double seconds = static_cast<double>(c.samples.back().time - since) / 1e9;
  stay.lasts = stay.scans == c.samples.size() || seconds >= kLastingSeconds;
  return stay;
}

bool go_at_least(const Case& c, int minor) {
  constexpr std::string_view kMajor = "go1.";
  if (!c.process.go || !c.process.go->version.starts_with(kMajor)) return false;
  const std::string& version = c.process.go->version;
  int found = 0;
  const char* digits = version.data() + kMajor.size();
  return std::from_chars(digits, version.data() + version.size(), found).ec == std::errc() && found >= minor;
}

Finding go_finding(const Case& c, std::string id, bool problem, std::initializer_list<Owner> owners) {
  Finding finding;
  finding.id = std::move(id);
  finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
  finding.bytes = c.ledger.total(owners);
  finding.growth_bytes_per_s = trend_of(c.samples, owners).bytes_per_s;
  for (const Owner owner : owners) finding.owners.push_back(owner);
  return finding;
}

}  // namespace memwhy::explain
