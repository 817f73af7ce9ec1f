// SPDX-License-Identifier: Apache-2.0
// The toy: a runtime that only tests have, as an example of what a further runtime or allocator is. Everything about it is
// in this folder: what it declares (toy_lines, its registration), how it is read (ToyRuntime), and a program that has it
// (toy.c). No other file knows its name.
//
//   toy.c: a table in its data, 8 words for each block       ToyRuntime: reads the table by its address, joins it with the scan
//     { address, pages, live bytes, dead bytes, use 0 slab | 1 spare }       -> RuntimePages { "toy", uses {"slab", "spare"} }
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "events/runtime_lines.h"
#include "record/sources.h"
#include "remote/memory.h"

namespace memwhy::toy {

inline events::RuntimeLines toy_lines() {
  return {
      "toy",
      {{"toy.used", "blocks of the toy that are in use", "toy"},
       {"toy.dead", "blocks of the toy that nobody wants", "toy"},
       {"toy.free", "memory that the toy keeps for later", "toy"},
       {"toy.tables", "the toy's own tables", "toy"}},
      {{"slab", "toy.used", events::SlotOwners{"toy.dead", "toy.free", "toy.free"}}, {"spare", "toy.free"}},
      "toy.free",
      "toy.tables"};
}

// As in toy.c.
struct ToyBlock {
  uint64_t address = 0, pages = 0, live_bytes = 0, dead_bytes = 0, use = 0;
};
struct ToyTable {
  static constexpr uint64_t kMagic = 0x746f7974'6f79746f;
  uint64_t magic = 0, blocks = 0;
  ToyBlock block[16] = {};
};

class ToyRuntime final : public record::RuntimeSource {
 public:
  ToyRuntime(std::unique_ptr<remote::RemoteMemory> memory, uint64_t table)
      : memory_(std::move(memory)), table_(table) {}

  std::string_view name() const override { return "toy"; }
  std::string_view title() const override { return "toy"; }
  void counters(const Tell& /*tell*/) override {}
  void details(Details /*which*/, const Tell& /*tell*/) override {}
  std::optional<events::RuntimeProbes> probe_plan(record::ProbeWishes /*wishes*/) override {
    return std::nullopt;
  }
  std::vector<std::string> take_notices() override { return {}; }
  void stop_when(const std::function<bool()>& /*stop*/) override {}

  events::RuntimePages pages(const events::PageScan& scan, const Tell& /*tell*/) override {
    events::RuntimePages out;
    out.scan = scan.scan;
    out.runtime = "toy";
    const Result<ToyTable> table = remote::read_value<ToyTable>(*memory_, table_);
    if (!table || table->magic != ToyTable::kMagic || table->blocks > std::size(table->block)) {
      out.trust = table ? events::Trust::kUnverified : events::Trust::kUnreadable;
      out.problem = table ? "its table is no table" : table.error().message();
      return out;
    }
    out.trust = events::Trust::kVerified;
    out.uses = {"slab", "spare"};
    for (size_t i = 0; i < table->blocks; ++i) {
      const ToyBlock& block = table->block[i];
      events::RuntimeRun run;
      run.page = block.address >> kPageShift;
      run.count = static_cast<uint32_t>(block.pages);
      run.use = static_cast<uint8_t>(block.use);
      if (block.use == 0) {
        const uint64_t there = resident(scan, run.page, run.page + run.count) * kPageBytes;
        run.live_bytes = std::min(block.live_bytes, there);
        run.dead_bytes = std::min(block.dead_bytes, there - run.live_bytes);
        run.free_bytes = there - run.live_bytes - run.dead_bytes;
      }
      out.runs.push_back(run);
    }
    std::sort(out.runs.begin(), out.runs.end(), [](const auto& a, const auto& b) { return a.page < b.page; });
    return out;
  }

 private:
  static uint64_t resident(const events::PageScan& scan, PageNumber from, PageNumber to) {
    uint64_t pages = 0;
    for (const events::ScanRun& run : scan.runs) {
      if ((run.flags & events::kScanSwapped) != 0) continue;
      const PageNumber first = std::max(from, run.page), end = std::min(to, run.page + run.count);
      if (first < end) pages += end - first;
    }
    return pages;
  }

  std::unique_ptr<remote::RemoteMemory> memory_;
  uint64_t table_;
};

}  // namespace memwhy::toy
