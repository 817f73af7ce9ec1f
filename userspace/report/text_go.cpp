// SPDX-License-Identifier: Apache-2.0
#include "report/text_go.h"

#include <fmt/format.h>

#include <limits>

#include "base/text.h"
#include "base/whole.h"
#include "explain/units.h"
#include "report/clock.h"
#include "report/layout.h"

namespace memwhy::report {
namespace {

using explain::ProcessExplanation;

constexpr size_t kGroupsShown = 10;

std::string profile_line(const ProcessExplanation& process) {
  if (process.heap_profile_inuse_bytes && process.scan_time) {
    const uint64_t rss = process.rss.bytes, profile = *process.heap_profile_inuse_bytes;
    return fmt::format("RSS {}; heap profile {}; {}", human_bytes(rss), human_bytes(profile),
                       rss >= profile ? human_bytes(rss - profile) + " not in the heap profile"
                                      : human_bytes(profile - rss) + " of the heap profile not resident");
  }
  if (process.heap_profile_source == explain::ProfileSource::kBuckets && !process.heap_profile_rate)
    return "heap profile: sampling rate not known (Go before 1.24 does not publish it); the default rate "
           "would imply "
           "a profile larger than the heap";
  if (process.heap_profile_source == explain::ProfileSource::kOffInBinary)
    return "no heap profile: profiling is not linked into this program";
  if (process.heap_profile_source == explain::ProfileSource::kUnreadable)
    return "the heap profile could not be read";
  return "the heap profile was not read";
}

// "512 KiB": a round number without its tenths.
std::string rate_text(uint64_t bytes) {
  return bytes % 1024 == 0 ? fmt::format("{} KiB", bytes / 1024) : human_bytes(bytes);
}

std::string settings_line(const events::GoCounters& c) {
  const bool limited = c.memory_limit_bytes != std::numeric_limits<int64_t>::max();
  const std::string live =
      c.gc_cycles == 0 ? std::string("not collected yet")
                       : fmt::format("{} live after collection {}", human_bytes(c.live_bytes), c.gc_cycles);
  const std::optional<uint64_t> goal = explain::heap_goal(c);
  std::string aim = goal ? "goal " + human_bytes(*goal) : std::string("goal unknown");
  if (!goal && c.gc_percent < 0) {
    aim = "no goal (GOGC=off)";
  } else {
    aim += "; GOGC=" + (c.gc_percent < 0 ? std::string("off") : std::to_string(c.gc_percent));
  }
  return fmt::format("Go heap: {}, {}, GOMEMLIMIT={}", live, aim,
                     limited ? human_bytes(static_cast<uint64_t>(c.memory_limit_bytes)) : "none");
}

std::string pauses_line(const explain::GoPauseSummary& pauses) {
  if (pauses.collections == 0) return "GC: no collection ended during the recording";
  const auto ms = [](uint64_t ns) { return static_cast<double>(ns) / 1e6; };
  std::string line =
      fmt::format("GC during the recording: {} collection{}, stop-the-world {:.2f} ms total, {:.2f} ms max",
                  grouped(pauses.collections), pauses.collections == 1 ? "" : "s", ms(pauses.total_ns),
                  ms(pauses.longest_ns));
  if (pauses.marks > 0) line += fmt::format("; marking {:.1f} ms max", ms(pauses.mark_longest_ns));
  if (pauses.missed > 0) line += fmt::format(" ({} more were missed)", grouped(pauses.missed));
  return line;
}

std::string per_second(double value) {
  return value < 10 ? fmt::format("{:.1f}", value) : grouped(whole(value));
}

std::string allocation_line(const explain::GoAllocationRates& rates) {
  if (rates.objects_per_s == 0) return "Allocation: none during the recording";
  const auto bytes = [](double value) { return human_bytes(whole(value)) + "/s"; };
  std::string line =
      fmt::format("Allocation: {}, {} objects/s", bytes(rates.bytes_per_s), per_second(rates.objects_per_s));
  std::string parts;
  if (rates.large_objects_per_s > 0) parts = bytes(rates.large_bytes_per_s) + " large (above 32 KiB)";
  for (size_t i = 0; i < std::min<size_t>(2, rates.small.size()); ++i) {
    const explain::GoClassRate& each = rates.small[i];
    parts += fmt::format("{}{} in objects of {} B", parts.empty() ? "" : ", ",
                         bytes(static_cast<double>(each.object_bytes) * each.objects_per_s),
                         grouped(each.object_bytes));
  }
  return line + ": " + parts;
}

}  // namespace

std::vector<std::string> go_lines(const ProcessExplanation& process, bool full) {
  std::vector<std::string> out;
  if (!process.go) return out;
  out.push_back(profile_line(process));
  if (process.heap_profile_inuse_bytes && process.heap_profile_rate && process.heap_profile_rate_assumed)
    out.push_back(fmt::format(
        "Heap profile: assumes the default sampling rate of {}; Go before 1.24 does not publish its rate",
        rate_text(*process.heap_profile_rate)));
  if (full && process.go->totals) out.push_back(settings_line(*process.go->totals));
  if (full && process.go->pauses) out.push_back(pauses_line(*process.go->pauses));
  if (full && process.go->allocation) out.push_back(allocation_line(*process.go->allocation));
  if (process.go->layout == events::GoLayout::kDwarf)
    out.push_back("Go tables: memwhy has no layout for this release; read with the program's own DWARF");
  if (process.go->layout != events::GoLayout::kTable && !process.go->layout_problem.empty())
    out.push_back("Go tables: " + escape(process.go->layout_problem));
  return out;
}

void print_goroutines(Page& page, const ProcessExplanation& process, const timeline::WallClock& clock) {
  if (!process.goroutines || process.goroutines->count == 0) return;
  const explain::GoroutineSummary& all = *process.goroutines;
  page.paragraph(
      "",
      fmt::format("Goroutines: {}. Largest first, by the memory that only they keep, and their stacks",
                  grouped(all.count)),
      Ink::kBold);
  page.line(fmt::format("  {:>6}  {:>10}  {:>10}  waits for", "count", "kept", "stacks"), Ink::kDim);
  for (size_t i = 0; i < std::min(all.groups.size(), kGroupsShown); ++i) {
    const explain::GoroutineGroup& group = all.groups[i];
    std::string text =
        group.wait_reason.empty() ? "nothing (running or runnable)" : escape(group.wait_reason);
    const auto frame = [&](uint32_t index) {
      return escape(text_of(process.attribution.frames.at(index), explain::FrameText::kShort));
    };
    if (group.site != explain::kNoIndex) text += " at " + frame(group.site);
    if (group.created_at != explain::kNoIndex) text += ", created at " + frame(group.created_at);
    if (group.waiting_since) {
      if (auto time = rfc3339(clock, *group.waiting_since)) text += ", since " + *time + " or earlier";
    }
    page.paragraph(
        fmt::format("  {:>6}  {:>10}  {:>10}  ", group.count,
                    group.kept_bytes ? human_bytes(*group.kept_bytes) : "?", human_bytes(group.stack_bytes)),
        text);
  }
  if (all.groups.size() > kGroupsShown)
    page.line(fmt::format("  {:>6}  ({} more groups in --json)", "...", all.groups.size() - kGroupsShown));
  page.blank();
}

}  // namespace memwhy::report
