// SPDX-License-Identifier: Apache-2.0
// Frame: one place in code, as a value: what it is called, in which file, where in the process, and what kind of code.
// Names come from the recording (code_names.h); kind_of_frame (functions.h) decides the kind of code. Inlined
// functions are frames of their own, innermost first, with the address of the code that they share.
//
//   address    module       offset   function                file              line  kind
//   7f1a2c98   libc.so.6    0x98c98  _int_malloc             malloc.c          4091  allocator
//   7f1a3cab   libc.so.6    0xa8cab                                                  libc
//   55d0a410   server       0x1410   Cache::insert(Key)      /src/cache.cpp      88  program     inlined into the next
//   55d0a410   server       0x1410   main                    /src/main.cpp       12  program
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace memwhy::explain {

enum class FrameKind : uint8_t {
  kProgram,  // the program's own code, or a library's of which nothing else is known
  kLibrary,  // packages that wait or allocate for their caller: sync, io, bytes … of Go, std of C++ and Rust
  kRuntime,    // the language's runtime
  kAllocator,  // malloc and its like, mallocgc
  kLibc,
  kRace,     // a sanitizer
  kKernel,   // code that the kernel maps: [vdso]
  kUnknown,  // no name
};
constexpr size_t kFrameKinds = 8;

struct Frame {
  uint64_t address = 0;  // in the process
  uint64_t offset = 0;   // of it in the module's file
  uint32_t line = 0;     // 0 unknown
  FrameKind kind = FrameKind::kUnknown;
  std::string function;  // demangled; "" unknown
  std::string file;      // of the source, with its path; "" unknown
  std::string module;    // name of the mapped file without its path, "[anon]"; "" unknown
  std::string build_id;  // of the module, hex; "" unknown
  // false: a placeholder, not a frame.
  bool known() const { return address != 0 || !function.empty(); }
  auto operator<=>(const Frame&) const = default;
};

// Whether a reader would see the same place: two addresses in one line are.
bool same_place(const Frame& a, const Frame& b);
// An order in which frames of the same place are equal.
bool place_before(const Frame& a, const Frame& b);
struct PlacesBefore {  // for maps: by place, of whole stacks too
  bool operator()(const Frame& a, const Frame& b) const { return place_before(a, b); }
  bool operator()(const std::vector<Frame>& a, const std::vector<Frame>& b) const;
};

// How much of a frame is printed. Nothing else makes text of one.
enum class FrameText : uint8_t {
  kWhole,   // "work (/src/main.c:13)", "malloc (libc.so.6)", "libc.so.6+0x98c98"
  kNoPath,  // "work (main.c:13)", else the same
  kShort,   // "work (main.c:13)", "malloc", "0x7f1a2c98c98"
};
std::string text_of(const Frame& frame, FrameText how);  // "" of a placeholder
std::vector<std::string> texts_of(const std::vector<Frame>& frames, FrameText how);

// The most useful frame for the program's author: the innermost of the program's own (or without a name, and possibly its
// own); else the innermost of a library that acts for its caller. Not known() if there is none.
Frame program_frame(const std::vector<Frame>& frames);
// That one, or the innermost if it is unknown. `frames` is not empty.
Frame telling_frame(const std::vector<Frame>& frames);
// Without the runtime's frames at its leaf; all of it when there are no others.
std::vector<Frame> without_runtime(std::vector<Frame> frames);

}  // namespace memwhy::explain
