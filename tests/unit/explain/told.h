// SPDX-License-Identifier: Apache-2.0
// A script through the model, and short names for what tests ask of the explanation.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>

#include "allocators/block_lines.h"
#include "allocators/ended_stacks.h"
#include "allocators/glibc_lines.h"
#include "base/text.h"
#include "explain/explainer.h"
#include "explain/heaviest.h"
#include "support/event_script.h"

namespace memwhy::explain {

// A page of a Go span or of an arena may be on several lines.
inline std::string_view in_parts(Owner owner) {
  if (static_cast<size_t>(owner) >= kBuiltInOwners) return "python";
  const OwnerName& name = owner_name(owner);
  return name.family == "go.heap" || name.family == "c.heap" ? name.family : name.id;
}

inline void expect_cells_add_up(const ProcessExplanation& process) {
  const Attribution& all = process.attribution;
  uint64_t sum = 0;
  std::map<std::string_view, uint64_t> cells, lines;
  for (const Cell& cell : all.cells) {
    sum += cell.bytes();
    cells[in_parts(cell.owner)] += cell.bytes();
    EXPECT_TRUE(cell.mapping == kNoIndex || cell.mapping < all.mappings.size());
    EXPECT_TRUE(cell.stack == kNoIndex || cell.stack < all.stacks.size());
  }
  for (const LedgerLine& line : process.ledger) lines[in_parts(line.owner)] += line.bytes;
  EXPECT_EQ(sum, process.rss.bytes);
  EXPECT_EQ(cells, lines);
  EXPECT_LE(all.cells.size(), kMostCells);
  for (const CallStack& stack : all.stacks)
    for (const uint32_t frame : stack.frames) EXPECT_LT(frame, all.frames.size());
}

// Each figure stands in a sentence: a reader of figures and a reader of sentences learn the same.
inline void expect_figures_are_said(const Finding& finding) {
  std::string said = finding.claim;
  for (const std::string& sentence : finding.evidence) said += "\n" + sentence;
  for (const std::string& sentence : finding.against) said += "\n" + sentence;
  for (const Figure& figure : finding.figures) {
    std::string text;
    switch (figure.unit) {
      case FigureUnit::kBytes:
        text = human_bytes(static_cast<uint64_t>(figure.value));
        break;
      case FigureUnit::kCount:
        text = std::to_string(static_cast<uint64_t>(figure.value));
        break;
      case FigureUnit::kRatio:
        text = fmt::format("{:.1f}", figure.value);
        break;
      case FigureUnit::kTime:
        continue;  // a sentence has it by the recording's clock
    }
    EXPECT_NE(said.find(text), std::string::npos) << finding.id << ": " << figure.id << " " << text << "\n"
                                                  << said;
  }
}

// Every ledger must add up: a test that asks for an explanation asks for this too.
inline void expect_adds_up(const Explanation& explanation) {
  for (const ProcessExplanation& process : explanation.processes) {
    uint64_t sum = 0;
    for (const LedgerLine& line : process.ledger) {
      sum += line.bytes;
      uint64_t top = 0;
      for (const Entry& entry : heaviest(process.attribution, line)) top += entry.bytes;
      EXPECT_LE(top, line.bytes) << line.id();
      EXPECT_GE(line.ages[0], line.ages[1]) << line.id();
      EXPECT_LE(line.ages[0], line.bytes) << line.id();
    }
    EXPECT_EQ(sum, process.rss.bytes);
    expect_cells_add_up(process);
    EXPECT_EQ(process.rss.anon + process.rss.file + process.rss.shmem, process.rss.bytes);
    for (const Finding& finding : process.findings) {
      EXPECT_LE(finding.bytes, process.rss.bytes) << finding.id;
      expect_figures_are_said(finding);
    }
  }
}

inline Explanation told(std::string_view script) {
  OwnerTable table;
  EXPECT_TRUE(table.add(allocators::glibc_lines()).ok());
  EXPECT_TRUE(table.add(allocators::ended_stacks_lines()).ok());
  for (const auto& lines :
       {allocators::pymalloc_lines(), allocators::jemalloc_lines(), allocators::mimalloc_lines(),
        allocators::musl_lines(), allocators::sanitizer_lines(), allocators::hotspot_lines(),
        allocators::v8_lines(), allocators::zend_lines()})
    EXPECT_TRUE(table.add(lines).ok());
  Explainer explainer(table);
  memwhy::testing::play(script, explainer);
  Explanation explanation = explainer.finish();
  expect_adds_up(explanation);
  return explanation;
}

// Pages of an owner in the first process; 0 when there is no such line.
inline uint64_t pages(const Explanation& explanation, std::string_view id) {
  for (const LedgerLine& line : explanation.processes.at(0).ledger) {
    if (line.id() == id) return line.bytes / kPageBytes;
  }
  return 0;
}

inline const LedgerLine* line(const Explanation& explanation, std::string_view id) {
  for (const LedgerLine& each : explanation.processes.at(0).ledger) {
    if (each.id() == id) return &each;
  }
  return nullptr;
}

// The heaviest entries of a line of the first process.
inline std::vector<Entry> top_of(const Explanation& explanation, std::string_view id) {
  const LedgerLine* found = line(explanation, id);
  return found == nullptr ? std::vector<Entry>{} : heaviest(explanation.processes.at(0).attribution, *found);
}
// The frames of a stack as text.
inline std::vector<std::string> frames(const ProcessExplanation& process, uint32_t stack,
                                       FrameText how = FrameText::kWhole) {
  return texts_of(process.attribution.frames_of(stack), how);
}
// The figure of a finding, -1 when there is none.
inline double figure(const Finding& finding, std::string_view id) {
  for (const Figure& each : finding.figures)
    if (each.id == id) return each.value;
  return -1;
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
