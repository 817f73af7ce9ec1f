// SPDX-License-Identifier: Apache-2.0
// A script through the model, and short names for what tests ask of the explanation.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "explain/explainer.h"
#include "support/event_script.h"

namespace memwhy::explain {

// Every ledger must add up: a test that asks for an explanation asks for this too.
inline void expect_adds_up(const Explanation& explanation) {
  for (const ProcessExplanation& process : explanation.processes) {
    uint64_t sum = 0;
    for (const LedgerLine& line : process.ledger) {
      sum += line.bytes;
      uint64_t top = 0;
      for (const TopEntry& entry : line.top) top += entry.bytes;
      EXPECT_LE(top, line.bytes) << line.id;
      EXPECT_GE(line.ages[0], line.ages[1]) << line.id;
      EXPECT_LE(line.ages[0], line.bytes) << line.id;
    }
    EXPECT_EQ(sum, process.rss.bytes);
    EXPECT_EQ(process.rss.anon + process.rss.file + process.rss.shmem, process.rss.bytes);
    for (const Finding& finding : process.findings) EXPECT_LE(finding.bytes, process.rss.bytes) << finding.id;
  }
}

inline Explanation told(std::string_view script) {
  Explainer explainer;
  memwhy::testing::play(script, explainer);
  Explanation explanation = explainer.finish();
  expect_adds_up(explanation);
  return explanation;
}

// Pages of an owner in the first process; 0 when there is no such line.
inline uint64_t pages(const Explanation& explanation, std::string_view id) {
  for (const LedgerLine& line : explanation.processes.at(0).ledger) {
    if (line.id == id) return line.bytes / kPageBytes;
  }
  return 0;
}

inline const LedgerLine* line(const Explanation& explanation, std::string_view id) {
  for (const LedgerLine& each : explanation.processes.at(0).ledger) {
    if (each.id == id) return &each;
  }
  return nullptr;
}

inline const Finding* finding(const Explanation& explanation, std::string_view id) {
  for (const Finding& each : explanation.processes.at(0).findings) {
    if (each.id == id) return &each;
  }
  return nullptr;
}

inline size_t problems(const Explanation& explanation) {
  size_t count = 0;
  for (const Finding& each : explanation.processes.at(0).findings)
    count += each.kind == FindingKind::kProblem ? 1 : 0;
  return count;
}

}  // namespace memwhy::explain
