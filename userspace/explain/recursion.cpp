// SPDX-License-Identifier: Apache-2.0
#include "explain/recursion.h"

#include <fmt/format.h>

#include <algorithm>

namespace memwhy::explain {
namespace {

constexpr size_t kLongestRound = 4;

bool same_function(const Frame& a, const Frame& b) {
  return !a.function.empty() && a.function == b.function && a.module == b.module;
}

// How often the round of `length` frames from `at` on comes.
size_t rounds_at(const std::vector<Frame>& frames, size_t at, size_t length) {
  size_t end = std::min(at + length, frames.size());
  while (end < frames.size() && same_function(frames[end], frames[end - length])) ++end;
  return (end - at) / length;
}

// One frame for each of the round.
void fold_round(const std::vector<Frame>& frames, size_t at, size_t length, size_t times,
                std::vector<FoldedFrame>& out) {
  for (size_t i = at; i < at + length; ++i) {
    FoldedFrame& one = out.emplace_back(FoldedFrame{frames[i], i, 1, 1});
    for (size_t other = i + length; other < at + length * times; other += length)
      if (!same_place(frames[i], frames[other])) one.frame.file.clear();
    if (one.frame.file.empty()) one.frame.line = 0;
  }
  out.back().deep = static_cast<uint32_t>(times);
  out.back().round = static_cast<uint32_t>(length);
}

}  // namespace

std::vector<FoldedFrame> folded(const std::vector<Frame>& frames) {
  std::vector<FoldedFrame> out;
  for (size_t at = 0; at < frames.size();) {
    size_t length = 1, times = rounds_at(frames, at, 1);
    while (times <= 1 && length < kLongestRound && at + length < frames.size())
      times = rounds_at(frames, at, ++length);
    if (times <= 1) length = times = 1;
    fold_round(frames, at, length, times, out);
    at += length * times;
  }
  return out;
}

std::string recursion_text(const FoldedFrame& frame, bool deeper) {
  if (frame.deep <= 1) return "";
  const std::string round = frame.round > 1 ? fmt::format(" by {} functions", frame.round) : "";
  return deeper ? fmt::format(" (recursive{}, more than {} deep)", round, frame.deep)
                : fmt::format(" (recursive{}, {} deep at most)", round, frame.deep);
}

}  // namespace memwhy::explain
