// SPDX-License-Identifier: Apache-2.0
// Recursion in a stack, folded. A function that calls itself, or a cycle of up to four functions, makes as many stacks as it is
// deep, and, if it calls itself at two lines, twice as many at each level; to a reader it is one place.
//
//   build (tree.c:9) < build (tree.c:12) < build (tree.c:13) < main (tree.c:20)
//     -> build (tree) 3 deep < main (tree.c:20) 1 deep          the line is left out where it is not the same in all
//   odd < even < odd < even < main
//     -> odd < even 2 deep, a round of 2 < main
#pragma once

#include <string>
#include <vector>

#include "explain/frame.h"

namespace memwhy::explain {

struct FoldedFrame {
  Frame frame;
  size_t first = 0;    // of the frames that it replaces: an index
  uint32_t deep = 1;   // how often the round comes one after the other
  uint32_t round = 1;  // how many functions it has: this one is the last of them
};

std::vector<FoldedFrame> folded(const std::vector<Frame>& frames);
// " (recursive, 12 deep at most)"; "" of a frame that is not recursive. `deeper`: where the stack was cut.
std::string recursion_text(const FoldedFrame& frame, bool deeper);

}  // namespace memwhy::explain
