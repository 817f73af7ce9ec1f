// SPDX-License-Identifier: Apache-2.0
#include "report/names.h"

#include <fmt/format.h>

#include <array>

namespace memwhy::report {
namespace {

template <typename T, size_t N>
constexpr std::string_view of(const std::array<std::string_view, N>& words, T value) {
  const auto index = static_cast<size_t>(value);
  return index < N ? words[index] : std::string_view("unknown");
}

}  // namespace

std::string_view word(timeline::How how) {
  static constexpr std::array<std::string_view, timeline::kHowCount> kWords = {
      "fault",        "touched by the kernel", "huge page",
      "fault-around", "moved by mremap",       "inherited by fork",
      "mmap site",    "before attach",         "unknown"};
  return of(kWords, how);
}

std::string_view word(explain::EntryWhat what) {
  static constexpr std::array<std::string_view, explain::kEntryWhats> kWords = {"file", "stack", "vma"};
  return of(kWords, what);
}

std::string_view word(explain::EventWhat what) {
  static constexpr std::array<std::string_view, explain::kEventWhats> kWords = {
      "gc", "step", "released", "oom", "exec", "fork", "limit"};
  return of(kWords, what);
}

std::string_view word(explain::ProfileSource source) {
  static constexpr std::array<std::string_view, explain::kProfileSources> kWords = {
      "not_read", "file", "buckets", "off_in_binary", "unreadable", "not_go"};
  return of(kWords, source);
}

std::string_view word(events::GoLayout layout) {
  static constexpr std::array<std::string_view, 4> kWords = {"table", "unverified", "none", "dwarf"};
  return of(kWords, layout);
}

std::string_view word(events::GoHolder::Kind kind) {
  static constexpr std::array<std::string_view, 3> kWords = {"variable", "goroutines", "finalizers"};
  return of(kWords, kind);
}

std::string_view word(explain::FrameKind kind) {
  static constexpr std::array<std::string_view, explain::kFrameKinds> kWords = {
      "program", "library", "runtime", "allocator", "libc", "race", "kernel", "unknown"};
  return of(kWords, kind);
}

std::string_view word(explain::FigureUnit unit) {
  static constexpr std::array<std::string_view, explain::kFigureUnits> kWords = {"bytes", "count", "ratio",
                                                                                 "time"};
  return of(kWords, unit);
}

std::string_view word(explain::FindingKind kind) {
  static constexpr std::array<std::string_view, 2> kWords = {"explains", "problem"};
  return of(kWords, kind);
}

std::string_view word(explain::Confidence confidence) {
  static constexpr std::array<std::string_view, 3> kWords = {"high", "medium", "low"};
  return of(kWords, confidence);
}

std::string_view word(explain::VerdictKind kind) {
  static constexpr std::array<std::string_view, explain::kVerdictKinds> kWords = {"problem", "no_problem",
                                                                                  "not_seen_long_enough"};
  return of(kWords, kind);
}

std::string how_text(const explain::Entry& entry) {
  static constexpr std::array<std::string_view, explain::kEntrySays> kSays = {
      "", "first touched; ", "first touched, of all {}; ", "allocated (sampled)"};
  std::string text = fmt::format(fmt::runtime(of(kSays, entry.says)), entry.whole);
  if (entry.how) text += word(*entry.how);
  return text;
}

}  // namespace memwhy::report
