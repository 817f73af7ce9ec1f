// SPDX-License-Identifier: Apache-2.0
#include "explain/go/rules/holder_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "explain/go/rules/words.h"

namespace memwhy::explain {
namespace {

using Holder = events::GoHolder;
constexpr size_t kSizesNamed = 3;

std::string text_of_goroutines(const Case& c, const Holder& holder) {
  std::string text = holder.count == 1 ? "a goroutine" : fmt::format("{} goroutines", holder.count);
  const Frame site = holder.frames.empty() ? Frame{} : program_frame(c.go->frames(holder.frames, true));
  if (site.known()) text += fmt::format(" in {}", text_of(site, FrameText::kNoPath));
  if (holder.created_at == 0) return text;
  const Frame creator = c.go->frames({holder.created_at}, false).front();
  if (creator.known() && creator.kind != FrameKind::kRuntime)
    text += fmt::format(" ({}started at {})", site.known() ? "" : "running, ",
                        text_of(creator, FrameText::kNoPath));
  return text;
}

}  // namespace

std::string text_of_holder(const Case& c, const Holder& holder) {
  switch (holder.kind) {
    case Holder::Kind::kGoroutines:
      return text_of_goroutines(c, holder);
    case Holder::Kind::kFinalizers:
      return "the queue of finalizers";
    case Holder::Kind::kVariable:
      break;
  }
  if (!holder.name.empty()) return "the variable " + holder.name;
  if (!holder.used_by.empty())
    return fmt::format("the variable at {:#x} (used by {})", holder.address, holder.used_by);
  return fmt::format("a variable without a name at {:#x}", holder.address);
}

void add_sizes(const Holder& holder, Finding& finding) {
  std::string text;
  for (size_t i = 0; i < std::min(holder.sizes.size(), kSizesNamed); ++i)
    text += fmt::format("{}{} of {}", i == 0 ? "" : ", ", holder.sizes[i].objects,
                        human_bytes(holder.sizes[i].object_bytes));
  finding.evidence.push_back(fmt::format("{} objects, {} virtual, hang from it and from nothing else: {}",
                                         holder.objects, human_bytes(holder.bytes), text));
  finding.count_figure("objects", holder.objects);
  finding.bytes_figure("held_bytes", holder.bytes);
}

void add_sites(const Case& c, const Holder& holder, Finding& finding) {
  std::map<Frame, std::pair<size_t, uint64_t>, PlacesBefore> sites;  // objects, bytes
  for (const events::GoKeptObject& object : holder.large) {
    if (object.allocated_at.empty()) continue;
    auto& [objects, bytes] = sites[program_frame(c.go->frames(object.allocated_at, false))];
    ++objects;
    bytes += object.bytes;
  }
  sites.erase(Frame{});
  const auto most = std::max_element(sites.begin(), sites.end(), [](const auto& a, const auto& b) {
    return a.second.second < b.second.second;
  });
  if (most != sites.end()) {
    finding.evidence.push_back(fmt::format("of its largest objects {}, {}, were allocated at {}",
                                           most->second.first, human_bytes(most->second.second),
                                           text_of(most->first, FrameText::kNoPath)));
    return;
  }
  // No sample and no probe: page faults show who filled these pages first, if the holder has most of them.
  const std::string touched = touched_most(c, Owner::kGoHeapLive, "was first touched by");
  if (!touched.empty() && finding.bytes * 2 >= of(c.ledger.bytes, Owner::kGoHeapLive))
    finding.evidence.push_back(fmt::format("go.heap.live: {}", touched));
}

}  // namespace memwhy::explain
