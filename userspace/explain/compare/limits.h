// SPDX-License-Identifier: Apache-2.0
// Limits: demands on an explanation, and a sentence for each that does not hold. For scripts and CI; the exit status is
// chosen elsewhere.
//
//   bases   300, 310, 305 MiB   mean 305, deviation 5
//   now     330 MiB             more than 10 % above the mean? no: holds
//           350 MiB             yes (335.5), and above 3 deviations (320): "RSS is 350.0 MiB, 14 % more than …"
//
// Noise is what repetitions show: with one base alone there is no deviation, and only the tolerance counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "explain/compare/totals.h"

namespace memwhy::explain {

constexpr std::string_view kAnyProblem = "any-problem";

// Whether a finding may have this id, or it is kAnyProblem.
bool is_finding_id(std::string_view id);

struct OwnerLimit {
  std::string id;  // "race.shadow", or a family: "go.heap" for all lines that begin with "go.heap."
  uint64_t bytes = 0;
};

struct Limits {
  std::optional<uint64_t> max_rss_bytes;  // of each process
  std::vector<OwnerLimit> max_owners;     // of each process
  std::vector<std::string> fail_on;       // ids of findings that must be no problem
};

enum class LimitKind : uint8_t { kRss, kOwner, kFinding, kBase, kNewProblem, kNothingSeen };
constexpr size_t kLimitKinds = 6;

struct BrokenLimit {
  LimitKind kind{};
  std::string id;       // of the owner or finding; "" of RSS
  std::string program;  // "web (pid 812)", "web"
  std::optional<uint64_t> bytes, allowed;
  std::string sentence;
};

// Heaviest process first. kNothingSeen: there is no ledger that could hold anything.
std::vector<BrokenLimit> broken_limits(const Explanation& now, const Limits& limits);
// The problems alone: of Limits::fail_on.
std::vector<BrokenLimit> met_findings(const Explanation& now, const std::vector<std::string>& fail_on);

// Mean and sample deviation of repetitions; no deviation of fewer than two.
struct Spread {
  size_t count = 0;
  double mean = 0;
  std::optional<double> deviation;
};
Spread spread_of(const std::vector<uint64_t>& values);

struct BaseOptions {
  double tolerance = 0.10;  // of the mean
};
// RSS and each owner that is much more than in the bases, and problems that none of them has. Owners are compared where
// they changed by max(1 MiB, 1 % of RSS). A program that the bases do not have is kBase too.
std::vector<BrokenLimit> broken_against(const std::vector<ProgramTotals>& now,
                                        const std::vector<std::vector<ProgramTotals>>& bases,
                                        const BaseOptions& options);

}  // namespace memwhy::explain
