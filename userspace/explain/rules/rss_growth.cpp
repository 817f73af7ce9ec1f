// SPDX-License-Identifier: Apache-2.0
#include "explain/rules/rss_growth.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr size_t kOwnersShown = 4;

struct Grown {
  Owner owner{};
  uint64_t bytes = 0;
};

// By how much each owner is larger than when the rise began, most first.
std::vector<Grown> grown_owners(const Case& c, double seconds, const std::vector<Owner>& told) {
  const TimeNs end = c.moments.back().time;
  const auto from = std::find_if(c.moments.begin(), c.moments.end(), [&](const Sample& sample) {
    return static_cast<double>(end - sample.time) / 1e9 <= seconds;
  });
  std::vector<Grown> out;
  for (size_t i = 0; i < c.ledger.table->owners(); ++i) {
    const Owner owner = static_cast<Owner>(i);
    if (kind_of(owner) != Kind::kAnonymous || std::find(told.begin(), told.end(), owner) != told.end())
      continue;
    const uint64_t before = of(from->bytes, owner), now = of(c.moments.back().bytes, owner);
    if (now > before) out.push_back({owner, now - before});
  }
  std::stable_sort(out.begin(), out.end(), [](const Grown& a, const Grown& b) { return a.bytes > b.bytes; });
  return out;
}

}  // namespace

std::optional<Finding> rss_growth(const Case& c, const std::vector<std::optional<Finding>>& told) {
  if (c.moments.empty()) return std::nullopt;
  std::vector<Owner> spoken;
  for (const std::optional<Finding>& each : told)
    if (each && each->kind == FindingKind::kProblem)
      spoken.insert(spoken.end(), each->owners.begin(), each->owners.end());
  const Trend trend = trend_of(bytes_of_kind(c.moments, Kind::kAnonymous, spoken));
  std::vector<TrendPoint> rss;
  for (const Sample& sample : c.moments) rss.push_back({sample.time, sample.rss_bytes});
  // Copies of pages of files do not make the process larger.
  const uint64_t grown = std::min(trend.grown_bytes, trend_of(rss).floor_bytes);
  if (!trend.lasting() || trend.shown_seconds < lasting_seconds(c) || grown < problem_threshold(c.ledger))
    return std::nullopt;
  const std::vector<Grown> owners = grown_owners(c, trend.shown_seconds, spoken);
  if (owners.empty()) return std::nullopt;

  Finding finding;
  finding.id = "rss-growth";
  finding.kind = FindingKind::kProblem;
  finding.bytes = std::min(grown, c.ledger.rss.bytes);
  finding.growth_bytes_per_s = trend.bytes_per_s;
  for (const Grown& each : owners)
    if (finding.owners.size() < kOwnersShown) finding.owners.push_back(each.owner);
  finding.headline = fmt::format("it grew by {} in {} and keeps growing, mostly {}",
                                 bytes_and_share(finding.bytes, c.ledger), human_seconds(trend.shown_seconds),
                                 c.attribution.owner_id(owners.front().owner));
  finding.claim =
      fmt::format("{} grew by {} in {} and keeps growing{}.", c.process.comm, human_bytes(finding.bytes),
                  human_seconds(trend.shown_seconds), growth_clause(trend));
  for (size_t i = 0; i < std::min(owners.size(), kOwnersShown); ++i)
    finding.evidence.push_back(
        fmt::format("{} of it by {}", human_bytes(owners[i].bytes), c.attribution.owner_id(owners[i].owner)));
  for (std::string& entry : heaviest_texts(c, owners.front().owner, 2))
    finding.evidence.push_back(std::move(entry));
  finding.confidence = Confidence::kMedium;
  finding.remedy = "Look at the heaviest stacks of the owners that grew: what they make is not given back.";
  finding.against.emplace_back(
      "a cache or a heap that is still warming up looks the same: a longer recording will tell them apart");
  return finding;
}

}  // namespace memwhy::explain
