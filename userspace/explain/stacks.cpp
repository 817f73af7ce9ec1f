// SPDX-License-Identifier: Apache-2.0
#include "explain/stacks.h"

#include <fmt/format.h>

#include <algorithm>

namespace memwhy::explain {
namespace {

constexpr size_t kFramesJudged = 48;  // inlined frames included; the deciding one is among the first

std::string_view base_name(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

Stacks::Stacks(const timeline::Timeline& timeline, SpaceId space, const std::vector<events::Vma>& vmas)
    : timeline_(timeline), space_(space), vmas_(vmas) {}

const events::Vma* Stacks::vma_of(uint64_t address) const {
  auto after = std::upper_bound(vmas_.begin(), vmas_.end(), address,
                                [](uint64_t a, const events::Vma& vma) { return a < vma.range.start; });
  if (after == vmas_.begin()) return nullptr;
  const events::Vma& vma = *std::prev(after);
  return vma.range.contains(address) ? &vma : nullptr;
}

// A chain through code without frame pointers can pick up words that are no return addresses. An address with
// a name stays even if its library was unloaded since.
bool Stacks::executable(uint64_t address) const {
  const events::Vma* vma = vma_of(address);
  return vma != nullptr && vma->exec;
}

std::vector<FunctionName> Stacks::names(const events::Stack& stack) const {
  std::vector<FunctionName> out;
  for (size_t i = 0; i < stack.frames.size() && out.size() < kFramesJudged; ++i) {
    const events::SymbolInfo* symbol = timeline_.symbol(space_, stack.frames[i], i > 0);
    if (symbol == nullptr) {
      if (executable(stack.frames[i])) out.push_back({});
      continue;
    }
    const events::BinaryInfo* binary = timeline_.binary(symbol->binary);
    bool go = binary != nullptr && binary->go.has_value();
    if (symbol->frames.empty()) out.push_back({"", "", go});
    for (const events::SourceFrame& frame : symbol->frames) out.push_back({frame.function, frame.file, go});
  }
  return out;
}

StackFacts Stacks::judge(StackId id) const {
  const events::Stack* stack = timeline_.stack(id);
  if (stack == nullptr) return {};
  std::vector<FunctionName> frames = names(*stack);
  StackFacts facts{touched_by(frames), mapped_by(frames), true};
  if (stack->cut || stack->unreadable) return facts;
  for (size_t i = stack->frames.size(); i-- > 0;) {
    const events::SymbolInfo* symbol = timeline_.symbol(space_, stack->frames[i], i > 0);
    if (symbol == nullptr && !executable(stack->frames[i])) continue;
    facts.truncated =
        symbol == nullptr || symbol->frames.empty() || !is_root({symbol->frames.back().function, "", false});
    break;
  }
  return facts;
}

StackFacts Stacks::facts(StackId id) {
  if (id == StackId::kNone || id == StackId::kLost) return {};
  auto found = known_.find(id);
  if (found == known_.end()) found = known_.emplace(id, judge(id)).first;
  return found->second;
}

std::vector<std::string> Stacks::frames(StackId id) const {
  std::vector<std::string> out;
  const events::Stack* stack = timeline_.stack(id);
  if (stack == nullptr) return out;
  for (size_t i = 0; i < stack->frames.size(); ++i) {
    uint64_t address = stack->frames[i];
    const events::SymbolInfo* symbol = timeline_.symbol(space_, address, i > 0);
    const events::Vma* vma = vma_of(address);
    if (symbol == nullptr) {
      if (vma == nullptr || !vma->exec) continue;
      std::string_view module = vma->name.empty() ? "[anon]" : base_name(vma->name);
      out.push_back(fmt::format("{}+{:#x}", module, address - vma->range.start + vma->offset));
      continue;
    }
    const events::BinaryInfo* binary = timeline_.binary(symbol->binary);
    std::string module(binary != nullptr ? base_name(binary->path)
                       : vma != nullptr  ? base_name(vma->name)
                                         : "?");
    if (symbol->frames.empty()) out.push_back(fmt::format("{}+{:#x}", module, symbol->file_offset));
    for (const events::SourceFrame& frame : symbol->frames) {
      if (frame.function.empty()) {
        out.push_back(fmt::format("{}+{:#x}", module, symbol->file_offset));
      } else if (frame.file.empty()) {
        out.push_back(fmt::format("{} ({})", frame.function, module));
      } else {
        out.push_back(fmt::format("{} ({}:{})", frame.function, frame.file, frame.line));
      }
    }
  }
  return out;
}

}  // namespace memwhy::explain
