// SPDX-License-Identifier: Apache-2.0
#include "explain/code_names.h"

#include <string_view>

#include "base/text.h"
#include "events/mapping_at.h"
#include "explain/functions.h"
#include "explain/mapping.h"
#include "explain/runtimes.h"

namespace memwhy::explain {
namespace {

// Anonymous and executable. The kernel's own has a name in brackets.
bool is_made_code(const events::Vma& vma) {
  return vma.exec && vma.inode == 0 && (vma.name.empty() || vma.name.starts_with("[anon"));
}

}  // namespace

std::string maker_of_code(const std::vector<events::Vma>& vmas) {
  // Of several the one that is listed first: an engine that another embeds makes less.
  const UnreadRuntime* maker = nullptr;
  std::string_view file;
  for (const events::Vma& vma : vmas) {
    const UnreadRuntime* runtime = unread_runtime(vma.name);
    if (runtime == nullptr || !runtime->makes_code || (maker != nullptr && maker <= runtime)) continue;
    maker = runtime;
    file = vma.name;
  }
  return maker == nullptr ? "" : std::string(base_name(without_deleted(file)));
}

bool CodeNames::executable(uint64_t address) const {
  const events::Vma* vma = events::mapping_at(vmas_, address);
  return vma != nullptr && vma->exec;
}

void CodeNames::append(uint64_t address, bool is_return, std::vector<Frame>& frames) const {
  const events::SymbolInfo* symbol = this->symbol(address, is_return);
  const events::Vma* vma = events::mapping_at(vmas_, address);
  const events::BinaryInfo* binary = symbol == nullptr ? nullptr : timeline_.binary(symbol->binary);
  Frame frame;
  frame.address = address;
  if (binary != nullptr) {
    frame.offset = symbol->file_offset;
    frame.module = base_name(binary->path);
    frame.build_id = binary->build_id;
  } else if (vma != nullptr) {
    frame.offset = address - vma->range.start + vma->offset;
    frame.module = vma->name.empty() ? "[anon]" : base_name(vma->name);
  }
  if (binary == nullptr && vma != nullptr && is_made_code(*vma))
    return append_made(symbol, std::move(frame), frames);
  const bool go = binary != nullptr && binary->go.has_value();
  if (symbol == nullptr || symbol->frames.empty()) {
    frame.kind = kind_of_frame({"", "", go}, frame.module);
    frames.push_back(std::move(frame));
    return;
  }
  // What was inlined into an allocator is the allocator's.
  const events::SourceFrame& whole = symbol->frames.back();
  const FrameKind kind = kind_of_frame({whole.function, whole.file, go}, frame.module);
  const bool foreign =
      !is_go({whole.function, whole.file, go}) &&
      (kind == FrameKind::kAllocator || kind == FrameKind::kLibc || kind == FrameKind::kRace);
  for (const events::SourceFrame& source : symbol->frames) {
    frame.function = source.function;
    frame.file = source.file;
    frame.line = source.line;
    frame.kind = foreign ? kind : kind_of_frame({source.function, source.file, go}, frame.module);
    frames.push_back(frame);
  }
}

// Code that a runtime made: by the runtime's name for it, or one frame for a run of nameless ones, whose addresses mean nothing.
void CodeNames::append_made(const events::SymbolInfo* symbol, Frame frame, std::vector<Frame>& frames) const {
  const bool named = symbol != nullptr && !symbol->frames.empty();
  if (!made_by_) made_by_ = maker_of_code(vmas_);
  frame.module = made_by_->empty() ? "run time" : *made_by_;
  frame.function = named ? symbol->frames.front().function : "[JIT]";
  frame.kind = named ? FrameKind::kProgram : FrameKind::kLibrary;
  if (named || frames.empty() || !same_place(frames.back(), frame)) frames.push_back(std::move(frame));
}

}  // namespace memwhy::explain
