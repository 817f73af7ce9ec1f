// SPDX-License-Identifier: Apache-2.0
// What the names of functions reveal: an allocator at work, the Go runtime, TSan, the root of a thread. Pure
// text.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "explain/frame.h"

namespace memwhy::explain {

// The code that touched a page, or requested a mapping: the innermost function that is not merely a helper
// (memset, the mmap wrapper) decides. One function reveals more than the whole chain: a page table of the Go
// runtime is also touched below mallocgc, and is no heap.
enum class StackKind : uint8_t {
  kNone,       // no stack
  kNameless,   // no name for the deciding frame
  kRace,       // TSan
  kNative,     // nameless code of a Go executable: not Go's (which always has names)
  kGoHeap,     // Go allocator at work on an object or a stack, or mapping an arena
  kGoRuntime,  // the rest of the runtime: its own tables
  kGoUser,     // Go code outside the runtime
  kMalloc,     // a C allocator at work
  kOther,
};

// One frame by its symbol; function "" when only the module is known.
struct FunctionName {
  std::string_view function, file;
  bool go_binary = false;  // the frame is in an executable with Go build info
};

// Go's own code, or what its compiler made.
bool is_go(const FunctionName& frame);
// The code that first wrote to the page. Innermost frame first.
StackKind touched_by(const std::vector<FunctionName>& frames);
// The code that requested the mapping.
StackKind mapped_by(const std::vector<FunctionName>& frames);
// Where a chain may end: the first function of a thread or of the program.
bool is_root(const FunctionName& frame);
// Which kind of code a frame is; the only place that decides it. `module`: the name of the mapped file.
FrameKind kind_of_frame(const FunctionName& frame, std::string_view module);

}  // namespace memwhy::explain
