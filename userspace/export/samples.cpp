// SPDX-License-Identifier: Apache-2.0
#include "export/samples.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "report/names.h"

namespace memwhy::exports {
namespace {

std::string function_of(const explain::Frame& frame) {
  if (!frame.function.empty()) return clean(frame.function);
  if (!frame.known()) return "[unknown]";
  return clean(text_of(frame, explain::FrameText::kNoPath));
}

std::string name_of(const explain::Mapping& mapping) {
  if (!mapping.file.empty()) return clean(mapping.file);
  return mapping.vma.name.empty() ? "anonymous" : clean(mapping.vma.name);
}

}  // namespace

std::string process_name(const explain::Explanation& all, const explain::ProcessExplanation& process) {
  const std::string name = process.comm.empty() ? "unknown" : clean(process.comm);
  const auto same = std::count_if(all.processes.begin(), all.processes.end(),
                                  [](const auto& each) { return !each.replaced; });
  return same < 2 ? name : fmt::format("{} (pid {})", name, process.pid);
}

SampleTable::SampleTable(const explain::ProcessExplanation& process) : all_(process.attribution) {
  for (const explain::Mapping& mapping : all_.mappings) mapping_names_.push_back(name_of(mapping));
  for (const explain::Frame& frame : all_.frames)
    places_.push_back(
        {function_of(frame), frame.function.empty() ? "" : clean(frame.file), frame.line, &frame});
  for (const explain::Cell& cell : all_.cells) {
    Sample sample{cell.bytes(), places_of(cell.stack), &cell, all_.cell_id(cell.owner), {}, {}, {}};
    if (!cell.rest) sample.how = report::word(cell.how);
    if (cell.mapping < mapping_names_.size()) sample.mapping = mapping_names_[cell.mapping];
    if (cell.stack < all_.stacks.size())
      sample.trust = explain::kStackTrustNames[static_cast<size_t>(all_.stacks[cell.stack].trust)];
    if (sample.places.empty())
      sample.places.push_back(stand_in(std::string(sample.mapping.empty() ? "no stack" : sample.mapping)));
    resident_.push_back(std::move(sample));
  }
  for (const explain::AllocatedAt& site : all_.allocated) {
    AllocatedSample sample{site.bytes, places_of(site.stack)};
    if (sample.places.empty()) sample.places.push_back(stand_in("no stack"));
    allocated_.push_back(std::move(sample));
  }
}

std::vector<uint32_t> SampleTable::places_of(uint32_t stack) {
  if (stack >= all_.stacks.size()) return {};
  std::vector<uint32_t> out = all_.stacks[stack].frames;
  if (!out.empty() && all_.stacks[stack].truncated) out.push_back(stand_in("truncated"));
  return out;
}

// "[heap]" stays as the kernel writes it.
uint32_t SampleTable::stand_in(std::string name) {
  if (!name.starts_with('[')) name = fmt::format("[{}]", name);
  const auto [found, added] = stand_ins_.try_emplace(name, static_cast<uint32_t>(places_.size()));
  if (added) places_.push_back({std::move(name), "", 0, nullptr});
  return found->second;
}

}  // namespace memwhy::exports
