// SPDX-License-Identifier: Apache-2.0
#include "explain/frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/text.h"
#include "events/process.h"
#include "explain/short_names.h"

namespace memwhy::explain {
namespace {

// What is printed of a frame, whatever is known of it beside.
auto place(const Frame& frame) {
  const bool named = !frame.function.empty(), in_source = named && !frame.file.empty();
  const std::string_view none;
  return std::tuple(std::string_view(frame.function), in_source ? std::string_view(frame.file) : none,
                    in_source ? frame.line : 0, in_source ? none : std::string_view(frame.module),
                    named ? 0 : frame.offset, named || !frame.module.empty() ? 0 : frame.address);
}

bool of_runtime(const Frame& frame) {
  return frame.kind == FrameKind::kRuntime ||
         (frame.kind == FrameKind::kAllocator && frame.function.starts_with("runtime."));
}

}  // namespace

bool same_place(const Frame& a, const Frame& b) { return place(a) == place(b); }

bool place_before(const Frame& a, const Frame& b) { return place(a) < place(b); }

bool PlacesBefore::operator()(const std::vector<Frame>& a, const std::vector<Frame>& b) const {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), place_before);
}

std::string text_of(const Frame& frame, FrameText how) {
  if (!frame.known()) return "";
  const std::string_view module = frame.module.empty() ? "?" : std::string_view(frame.module);
  const bool with_module = how != FrameText::kShort;
  if (frame.function.empty())
    return with_module ? fmt::format("{}+{:#x}", module, frame.offset) : fmt::format("{:#x}", frame.address);
  const std::string function = how == FrameText::kWhole ? frame.function : short_function(frame.function);
  if (frame.file.empty()) return with_module ? fmt::format("{} ({})", function, module) : function;
  const std::string_view file = how == FrameText::kWhole ? frame.file : base_name(frame.file);
  return fmt::format("{} ({}:{})", function, file, frame.line);
}

std::vector<std::string> texts_of(const std::vector<Frame>& frames, FrameText how) {
  std::vector<std::string> out;
  out.reserve(frames.size());
  for (const Frame& frame : frames) out.push_back(text_of(frame, how));
  return out;
}

Frame program_frame(const std::vector<Frame>& frames) {
  for (const Frame& frame : frames)
    if (frame.kind == FrameKind::kProgram || frame.kind == FrameKind::kUnknown) return frame;
  for (const Frame& frame : frames)
    if (frame.kind == FrameKind::kLibrary) return frame;
  return {};
}

Frame telling_frame(const std::vector<Frame>& frames) {
  Frame own = program_frame(frames);
  // C code whose name was stripped, called by Go, whose own tables have names.
  if (own.function.empty() || own.function.starts_with(events::kLocalFunction)) {
    const auto at = std::ranges::find(frames, own);
    const auto go = std::find_if(at, frames.end(),
                                 [](const Frame& frame) { return frame.function == "runtime.cgocall"; });
    const Frame caller = program_frame({go, frames.end()});
    if (caller.known()) return caller;
  }
  return own.known() ? own : frames.front();
}

std::vector<Frame> without_runtime(std::vector<Frame> frames) {
  const auto first =
      std::find_if(frames.begin(), frames.end(), [](const Frame& frame) { return !of_runtime(frame); });
  if (first != frames.end()) frames.erase(frames.begin(), first);
  return frames;
}

}  // namespace memwhy::explain
