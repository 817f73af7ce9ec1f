// SPDX-License-Identifier: Apache-2.0
// A finding: one cause, as a sentence for people and as figures for everything else. Part of explanation.h.
//
//   claim    "Stacks of threads hold 40.0 MiB (63 %) of server's memory: 20 stacks, 2.0 MiB each on average."
//   figures  stacks 20 count, stack_bytes 2097152 bytes;  bytes, share and growth have fields of their own
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "explain/owner.h"

namespace memwhy::explain {

enum class FindingKind : uint8_t { kExplains, kProblem };
enum class Confidence : uint8_t { kHigh, kMedium, kLow };

enum class FigureUnit : uint8_t { kBytes, kCount, kRatio, kTime };
constexpr size_t kFigureUnits = 4;

// A number in a sentence of the finding. `id` is stable and a literal; the rule that gives it is where it is
// explained. Bytes and counts are whole; kTime is CLOCK_MONOTONIC ns.
struct Figure {
  std::string_view id;
  FigureUnit unit = FigureUnit::kCount;
  double value = 0;
};

struct Finding {
  std::string id;  // architecture §4.2, stable
  FindingKind kind = FindingKind::kExplains;
  std::string claim;     // one sentence with bytes
  std::string headline;  // the same in a clause, for the verdict: "300.0 MiB (74 %) are stacks of threads"
  uint64_t bytes = 0;
  double share = 0;  // of rss.bytes
  std::optional<double> growth_bytes_per_s;
  std::optional<uint64_t> recoverable_bytes;
  std::string remedy;
  Confidence confidence = Confidence::kLow;
  std::vector<std::string> evidence, against;
  std::vector<Figure> figures;   // the numbers in claim, evidence and against
  std::vector<Owner> owners;     // the ledger lines that its bytes are of
  bool of_other_owners = false;  // an attribute (locked): of bytes that other findings are about

  void figure(std::string_view name, FigureUnit unit, double value) {
    figures.push_back({name, unit, value});
  }
  void bytes_figure(std::string_view name, uint64_t value) {
    figure(name, FigureUnit::kBytes, static_cast<double>(value));
  }
  void count_figure(std::string_view name, uint64_t value) {
    figure(name, FigureUnit::kCount, static_cast<double>(value));
  }
};

}  // namespace memwhy::explain
