// SPDX-License-Identifier: Apache-2.0
#include "explain/compare/totals.h"

#include <algorithm>

#include "base/text.h"
#include "events/process.h"
#include "explain/mapping.h"

namespace memwhy::explain {
namespace {

constexpr size_t kRustHash = 16;  // digits

std::string program_of(const ProcessExplanation& process) {
  const std::string_view file = base_name(without_deleted(process.exe));
  return std::string(file.empty() ? process.comm : file);
}

// "" when nothing is known of it.
std::string function_of(const Frame& frame) {
  if (!frame.function.empty()) return stable_name(frame.function);
  return frame.module.empty() ? "" : frame.module + " (no name)";
}

void add_cells(const Attribution& all, ProgramTotals& out) {
  auto& functions = out.bytes[static_cast<size_t>(Aspect::kFunction)];
  auto& files = out.bytes[static_cast<size_t>(Aspect::kFile)];
  for (const Cell& cell : all.cells) {
    if (cell.mapping < all.mappings.size() && !all.mappings[cell.mapping].file.empty())
      files[std::string(without_deleted(all.mappings[cell.mapping].file))] += cell.bytes();
    const std::vector<Frame> frames = all.frames_of(cell.stack);
    if (frames.empty()) continue;
    const std::string name = function_of(telling_frame(frames));
    if (!name.empty()) functions[name] += cell.bytes();
  }
}

const Frame* frame_at(const Attribution& all, uint32_t index) {
  return index < all.frames.size() ? &all.frames[index] : nullptr;
}

// "chan send in main.run.func1, created at main.run"
std::string name_of(const GoroutineGroup& group, const Attribution& all) {
  std::string name = group.wait_reason.empty() ? "running" : group.wait_reason;
  if (const Frame* site = frame_at(all, group.site)) name += " in " + function_of(*site);
  if (const Frame* creator = frame_at(all, group.created_at)) name += ", created at " + function_of(*creator);
  return name;
}

std::string name_of(const HeapHolder& holder, const Attribution& all) {
  const Frame* site = frame_at(all, holder.site);
  return site == nullptr ? holder.name : holder.name + " in " + function_of(*site);
}

void add(const ProcessExplanation& process, ProgramTotals& out) {
  const Attribution& all = process.attribution;
  out.pids.push_back(process.pid);
  out.rss_bytes += process.rss.bytes;
  if (out.pids.size() == 1) {
    out.build_id = process.build_id;
    out.heap_profile_bytes = process.heap_profile_inuse_bytes;
  } else if (out.heap_profile_bytes && process.heap_profile_inuse_bytes) {
    *out.heap_profile_bytes += *process.heap_profile_inuse_bytes;
  } else {
    out.heap_profile_bytes.reset();
  }
  for (const LedgerLine& line : process.ledger)
    out.bytes[static_cast<size_t>(Aspect::kOwner)][std::string(line.id())] += line.bytes;
  add_cells(all, out);
  for (const HeapHolder& holder : process.holders)
    out.bytes[static_cast<size_t>(Aspect::kHolder)][name_of(holder, all)] += holder.resident_bytes;
  if (process.goroutines) {
    for (const GoroutineGroup& group : process.goroutines->groups) {
      const std::string name = name_of(group, all);
      out.bytes[static_cast<size_t>(Aspect::kGoroutineGroup)][name] +=
          group.kept_bytes.value_or(0) + group.stack_bytes;
      out.goroutines[name] += group.count;
    }
  }
  for (const Finding& found : process.findings)
    (found.kind == FindingKind::kProblem ? out.problems : out.explained).emplace(found.id, found.claim);
}

}  // namespace

std::string stable_name(std::string_view function) {
  if (function.starts_with(events::kLocalFunction))
    return std::string(function.substr(0, function.find('+')));
  const size_t hash = function.rfind("::h");
  if (hash != std::string_view::npos && function.size() == hash + 3 + kRustHash &&
      function.find_first_not_of("0123456789abcdef", hash + 3) == std::string_view::npos)
    return std::string(function.substr(0, hash));
  return std::string(function);
}

std::vector<ProgramTotals> totals_of(const Explanation& explanation) {
  std::vector<ProgramTotals> out;
  for (const ProcessExplanation& process : explanation.processes) {
    if (!process.scan_time || process.replaced) continue;
    const std::string program = program_of(process);
    auto known = std::find_if(out.begin(), out.end(),
                              [&](const ProgramTotals& each) { return each.program == program; });
    if (known == out.end()) {
      known = out.insert(out.end(), ProgramTotals{});
      known->program = program;
    }
    add(process, *known);
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const ProgramTotals& a, const ProgramTotals& b) { return a.rss_bytes > b.rss_bytes; });
  return out;
}

}  // namespace memwhy::explain
