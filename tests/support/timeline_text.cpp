// SPDX-License-Identifier: Apache-2.0
#include "support/timeline_text.h"

#include "support/event_script.h"

namespace memwhy::testing {
namespace {

using timeline::PageGroup;

const char* name_of(timeline::How how) {
  constexpr const char* kNames[timeline::kHowCount] = {"fault",     "kfault", "huge",   "around", "moved",
                                                       "inherited", "mmap",   "before", "unknown"};
  return kNames[static_cast<size_t>(how)];
}

std::string optional_number(const char* key, uint64_t value) {
  return value == 0 ? "" : std::string(" ") + key + "=" + std::to_string(value);
}

}  // namespace

std::string describe_groups(const std::vector<PageGroup>& groups, std::string_view mark) {
  std::string text;
  for (const PageGroup& group : groups) {
    text += "  " + std::string(mark) + "vma" +
            (group.vma == timeline::kNoVma ? "-" : std::to_string(group.vma)) + " " + name_of(group.how) +
            " ";
    if (group.stack == StackId::kNone) {
      text += "-";
    } else if (group.stack == StackId::kLost) {
      text += "lost";
    } else {
      text += "s" + std::to_string(static_cast<uint32_t>(group.stack));
    }
    text += " " + std::to_string(group.pages) + (group.file_page ? " file" : "") +
            optional_number("huge", group.huge_pages) + optional_number("lazy", group.lazy_pages) +
            optional_number("lost", group.stack_lost_pages) + "\n";
  }
  return text;
}

std::string describe_scan(const timeline::ScanResult& result, Detail detail) {
  std::string text =
      "scan " + std::to_string(result.scan) + " of space " +
      std::to_string(static_cast<uint32_t>(result.space)) + ": " + std::to_string(result.resident_pages) +
      " pages" + (result.swapped_pages != 0 ? ", swapped " + std::to_string(result.swapped_pages) : "") +
      (result.stale_pages != 0 ? ", stale " + std::to_string(result.stale_pages) : "") +
      (result.doubtful_pages != 0 ? ", doubtful " + std::to_string(result.doubtful_pages) : "") +
      (result.complete ? "" : ", incomplete") + "\n";
  text += describe_groups(result.groups, "");
  if (detail == Detail::kFlow) {
    text += describe_groups(result.arrived, "+ ");
    text += describe_groups(result.left, "- ");
  }
  return text;
}

std::string reconcile(std::string_view script, Detail detail) {
  std::string text;
  timeline::Timeline timeline([&](const timeline::AddressSpace&, const timeline::ScanResult& result) {
    text += describe_scan(result, detail);
  });
  play(script, timeline);
  return text;
}

std::string trim_margin(std::string_view text) {
  std::string result;
  size_t margin = std::string_view::npos;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    const size_t indent = line.find_first_not_of(' ');
    if (indent == std::string_view::npos) continue;
    if (margin == std::string_view::npos) margin = indent;
    line.remove_prefix(std::min(margin, indent));
    result += std::string(line) + "\n";
  }
  return result;
}

}  // namespace memwhy::testing
