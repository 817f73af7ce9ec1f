// SPDX-License-Identifier: Apache-2.0
#include "explain/stacks.h"

namespace memwhy::explain {
namespace {

constexpr size_t kFramesJudged = 48;  // inlined frames included; the deciding one is among the first

StackTrust trust_of(const events::Stack& stack) {
  using events::Unwind;
  if (stack.unreadable) return StackTrust::kUnreadable;
  if (stack.cut) return StackTrust::kCut;
  switch (stack.unwind) {
    case Unwind::kWhole:
      return StackTrust::kWhole;
    case Unwind::kRecovered:
      return StackTrust::kRecovered;
    case Unwind::kJit:
      return StackTrust::kJit;
    case Unwind::kStopped:
      return StackTrust::kCut;
    case Unwind::kFramePointers:
    case Unwind::kGuess:
    case Unwind::kSeveral:
      break;
  }
  return StackTrust::kFramePointers;
}

}  // namespace

std::vector<FunctionName> Stacks::names(const events::Stack& stack) const {
  std::vector<FunctionName> out;
  for (size_t i = 0; i < stack.frames.size() && out.size() < kFramesJudged; ++i) {
    if (stray(stack.frames[i], i > 0)) continue;
    const events::SymbolInfo* symbol = names_.symbol(stack.frames[i], i > 0);
    if (symbol == nullptr) {
      out.push_back({});
      continue;
    }
    const events::BinaryInfo* binary = timeline_.binary(symbol->binary);
    bool go = binary != nullptr && binary->go.has_value();
    if (symbol->frames.empty()) {
      out.push_back({"", "", go});
      continue;
    }
    // Which functions a C compiler inlined into malloc is none of the names that speak for it.
    const events::SourceFrame& whole = symbol->frames.back();
    if (!is_go({whole.function, whole.file, go})) {
      out.push_back({whole.function, whole.file, go});
      continue;
    }
    for (const events::SourceFrame& frame : symbol->frames) out.push_back({frame.function, frame.file, go});
  }
  return out;
}

StackFacts Stacks::judge(StackId id) const {
  const events::Stack* stack = timeline_.stack(id);
  if (stack == nullptr) return {};
  std::vector<FunctionName> frames = names(*stack);
  StackFacts facts{touched_by(frames), mapped_by(frames), true, trust_of(*stack)};
  if (stack->cut || stack->unreadable) return facts;
  if (facts.trust == StackTrust::kWhole || facts.trust == StackTrust::kRecovered) {
    facts.truncated = false;
    return facts;
  }
  for (size_t i = stack->frames.size(); i-- > 0;) {
    if (stray(stack->frames[i], i > 0)) continue;
    const events::SymbolInfo* symbol = names_.symbol(stack->frames[i], i > 0);
    facts.truncated =
        symbol == nullptr || symbol->frames.empty() || !is_root({symbol->frames.back().function, "", false});
    break;
  }
  return facts;
}

StackFacts Stacks::facts(StackId id) {
  if (id == StackId::kLost) return {StackKind::kNone, StackKind::kNone, false, StackTrust::kLost};
  if (id == StackId::kNone) return {};
  auto found = known_.find(id);
  if (found == known_.end()) found = known_.emplace(id, judge(id)).first;
  return found->second;
}

Stacks::Chain Stacks::chain(StackId id) const {
  Chain out;
  const events::Stack* stack = timeline_.stack(id);
  if (stack == nullptr) return out;
  const size_t certain = stack->certain == 0 ? stack->frames.size() : stack->certain;
  for (size_t i = 0; i < stack->frames.size(); ++i) {
    if (!stray(stack->frames[i], i > 0)) names_.append(stack->frames[i], i > 0, out.frames);
    if (i < certain) out.certain = out.frames.size();
  }
  return out;
}

}  // namespace memwhy::explain
