// SPDX-License-Identifier: Apache-2.0
#include "explain/compare/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "base/whole.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr double kDeviations = 3;
constexpr uint64_t kOwnerStep = uint64_t{1} << 20;
constexpr double kOwnerShare = 0.01;

std::string name_of(const ProcessExplanation& process) {
  return fmt::format("{} (pid {})", process.comm, process.pid);
}

bool is_of(std::string_view owner, std::string_view id) {
  return owner == id || (owner.size() > id.size() && owner.starts_with(id) && owner[id.size()] == '.');
}

// The claim without its full stop, as a part of a sentence.
std::string clause(const std::string& claim) {
  return claim.ends_with('.') ? claim.substr(0, claim.size() - 1) : claim;
}

void check_bytes(const ProcessExplanation& process, const Limits& limits, std::vector<BrokenLimit>& out) {
  const std::string name = name_of(process);
  if (limits.max_rss_bytes && process.rss.bytes > *limits.max_rss_bytes)
    out.push_back({LimitKind::kRss, "", name, process.rss.bytes, limits.max_rss_bytes,
                   fmt::format("RSS of {} is {}, more than {}", name, human_bytes(process.rss.bytes),
                               human_bytes(*limits.max_rss_bytes))});
  for (const OwnerLimit& limit : limits.max_owners) {
    uint64_t bytes = 0;
    for (const LedgerLine& line : process.ledger)
      if (is_of(line.id(), limit.id)) bytes += line.bytes;
    if (bytes > limit.bytes)
      out.push_back({LimitKind::kOwner, limit.id, name, bytes, limit.bytes,
                     fmt::format("{} of {} is {}, more than {}", limit.id, name, human_bytes(bytes),
                                 human_bytes(limit.bytes))});
  }
}

struct Amount {
  uint64_t now = 0;
  Spread base;
};

// The most that is no more than in the bases.
double allowed(const Spread& base, double tolerance) {
  return std::max(base.mean * (1 + tolerance), base.mean + kDeviations * base.deviation.value_or(0));
}

std::string compared_text(const Amount& amount) {
  const std::string mean = human_bytes(nearest(amount.base.mean));
  std::string base = amount.base.count == 1
                         ? fmt::format("{} of the base", mean)
                         : fmt::format("{}, the mean of {} bases", mean, amount.base.count);
  if (amount.base.deviation)
    base += fmt::format(" (deviation {})", human_bytes(nearest(*amount.base.deviation)));
  if (amount.base.mean < 1) return fmt::format("{}, and was nothing in the base", human_bytes(amount.now));
  return fmt::format("{}, {} more than {}", human_bytes(amount.now),
                     human_share(static_cast<double>(amount.now) / amount.base.mean - 1), base);
}

using Programs = std::vector<const ProgramTotals*>;  // of one name, one for each base that has it

Amount owner_amount(const ProgramTotals& now, const Programs& then, const std::string& id) {
  const auto bytes_of = [&](const ProgramTotals& program) {
    const auto found = program.of(Aspect::kOwner).find(id);
    return found == program.of(Aspect::kOwner).end() ? 0 : found->second;
  };
  std::vector<uint64_t> values;
  values.reserve(then.size());
  for (const ProgramTotals* each : then) values.push_back(bytes_of(*each));
  return {bytes_of(now), spread_of(values)};
}

void check_program(const ProgramTotals& now, const Programs& then, const BaseOptions& options,
                   std::vector<BrokenLimit>& out) {
  const auto check = [&](const std::string& id, const Amount& amount, double least) {
    const double most = std::max(allowed(amount.base, options.tolerance), amount.base.mean + least);
    if (static_cast<double>(amount.now) <= most) return;
    out.push_back(
        {LimitKind::kBase, id, now.program, amount.now, nearest(most),
         fmt::format("{} of {} is {}", id.empty() ? "RSS" : id, now.program, compared_text(amount))});
  };
  std::vector<uint64_t> rss;
  rss.reserve(then.size());
  for (const ProgramTotals* each : then) rss.push_back(each->rss_bytes);
  check("", {now.rss_bytes, spread_of(rss)}, 0);
  const double least = std::max(static_cast<double>(kOwnerStep), kOwnerShare * spread_of(rss).mean);
  for (const auto& [id, bytes] : now.of(Aspect::kOwner)) check(id, owner_amount(now, then, id), least);
  for (const auto& [id, claim] : now.problems) {
    const bool known = std::any_of(then.begin(), then.end(),
                                   [&](const ProgramTotals* each) { return each->problems.contains(id); });
    if (!known)
      out.push_back({LimitKind::kNewProblem, id, now.program, std::nullopt, std::nullopt,
                     fmt::format("{} is a problem that no base has: {}", id, clause(claim))});
  }
}

}  // namespace

bool is_finding_id(std::string_view id) {
  static const std::vector<std::string> kIds = [] {
    std::vector<std::string> ids = {std::string(kAnyProblem), "rss-growth", "largest-owner"};
#define MEMWHY_NAME_CAUSE(name) ids.emplace_back(#name);
    MEMWHY_CAUSES(MEMWHY_NAME_CAUSE)
#undef MEMWHY_NAME_CAUSE
    for (std::string& each : ids) std::replace(each.begin(), each.end(), '_', '-');
    return ids;
  }();
  return std::find(kIds.begin(), kIds.end(), id) != kIds.end();
}

std::vector<BrokenLimit> met_findings(const Explanation& now, const std::vector<std::string>& fail_on) {
  std::vector<BrokenLimit> out;
  const auto wanted = [&](const std::string& id) {
    return std::any_of(fail_on.begin(), fail_on.end(),
                       [&](const std::string& each) { return each == id || each == kAnyProblem; });
  };
  for (const ProcessExplanation& process : now.processes) {
    if (process.replaced) continue;  // what it was before is over
    for (const Finding& found : process.findings)
      if (found.kind == FindingKind::kProblem && wanted(found.id))
        out.push_back(
            {LimitKind::kFinding, found.id, name_of(process), found.bytes, std::nullopt,
             fmt::format("{} is a problem of {}: {}", found.id, name_of(process), clause(found.claim))});
  }
  return out;
}

std::vector<BrokenLimit> broken_limits(const Explanation& now, const Limits& limits) {
  std::vector<BrokenLimit> out;
  bool seen = false;
  for (const ProcessExplanation& process : now.processes) {
    if (process.replaced || !process.scan_time) continue;
    seen = true;
    check_bytes(process, limits, out);
  }
  if (!seen)
    out.push_back({LimitKind::kNothingSeen, "", "", std::nullopt, std::nullopt,
                   "nothing is known: no process of the recording was scanned"});
  for (BrokenLimit& met : met_findings(now, limits.fail_on)) out.push_back(std::move(met));
  return out;
}

Spread spread_of(const std::vector<uint64_t>& values) {
  Spread out;
  out.count = values.size();
  if (values.empty()) return out;
  for (const uint64_t value : values) out.mean += static_cast<double>(value);
  out.mean /= static_cast<double>(values.size());
  if (values.size() < 2) return out;
  double squares = 0;
  for (const uint64_t value : values) {
    const double apart = static_cast<double>(value) - out.mean;
    squares += apart * apart;
  }
  out.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return out;
}

std::vector<BrokenLimit> broken_against(const std::vector<ProgramTotals>& now,
                                        const std::vector<std::vector<ProgramTotals>>& bases,
                                        const BaseOptions& options) {
  std::vector<BrokenLimit> out;
  const bool one_each = now.size() == 1 && std::all_of(bases.begin(), bases.end(),
                                                       [](const auto& base) { return base.size() == 1; });
  for (const ProgramTotals& program : now) {
    Programs then;
    for (const auto& base : bases)
      for (const ProgramTotals& each : base)
        if (one_each || each.program == program.program) then.push_back(&each);
    if (then.empty()) {
      out.push_back({LimitKind::kBase, "", program.program, program.rss_bytes, std::nullopt,
                     fmt::format("{} is in no base: its {} are not compared with anything", program.program,
                                 human_bytes(program.rss_bytes))});
      continue;
    }
    check_program(program, then, options, out);
  }
  return out;
}

}  // namespace memwhy::explain
