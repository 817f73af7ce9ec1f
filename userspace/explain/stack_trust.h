// SPDX-License-Identifier: Apache-2.0
// StackTrust: how far the frames of a stack can be relied on, and the bytes of each kind. The kinds are in the order of a
// report: what is whole first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace memwhy::explain {

enum class StackTrust : uint8_t {
  kWhole,          // certain, from the fault to the outermost frame
  kRecovered,      // whole, by a copy of the stack that was taken when it was met for the first time
  kFramePointers,  // from some frame on by frame pointers
  kJit,            // to the outermost frame, by frame pointers through code that a run time made
  kCut,            // deeper than is kept, or it ends before the outermost frame
  kUnreadable,     // it led to memory that could not be read
  kLost,           // there was no room for it
};
constexpr size_t kStackTrusts = 7;
constexpr std::array<const char*, kStackTrusts> kStackTrustNames{
    "whole", "recovered", "frame_pointers", "jit", "cut", "unreadable", "lost"};

// Bytes of resident pages with a stack, by kind; their sum is what has one.
using StackCoverage = std::array<uint64_t, kStackTrusts>;

}  // namespace memwhy::explain
