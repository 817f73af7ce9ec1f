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

Stacks::Names Stacks::names(const events::Stack& stack) const {
  Names out;
  for (size_t i = 0; i < stack.frames.size() && out.functions.size() < kFramesJudged; ++i) {
    const events::SymbolInfo* symbol = names_.symbol(stack.frames[i], i > 0);
    if (symbol == nullptr) {
      out.all = false;
      if (!stray(stack.frames[i], i > 0)) out.functions.push_back({});
      continue;
    }
    const events::BinaryInfo* binary = timeline_.binary(symbol->binary);
    out.all = out.all && binary != nullptr;
    const bool go = binary != nullptr && binary->go.has_value();
    if (symbol->frames.empty()) {
      out.functions.push_back({"", "", go});
      continue;
    }
    // Which functions a C compiler inlined into malloc is none of the names that speak for it.
    const events::SourceFrame& whole = symbol->frames.back();
    if (!is_go({whole.function, whole.file, go})) {
      out.functions.push_back({whole.function, whole.file, go});
      continue;
    }
    for (const events::SourceFrame& frame : symbol->frames)
      out.functions.push_back({frame.function, frame.file, go});
  }
  return out;
}

Stacks::Judgement Stacks::judge(StackId id) const {
  const events::Stack* stack = timeline_.stack(id);
  if (stack == nullptr) return {};
  const Names frames = names(*stack);
  StackFacts facts{touched_by(frames.functions), mapped_by(frames.functions), true, trust_of(*stack)};
  if (stack->cut || stack->unreadable) return {facts, frames.all};
  if (facts.trust == StackTrust::kWhole || facts.trust == StackTrust::kRecovered) {
    facts.truncated = false;
    return {facts, frames.all};
  }
  bool stays = frames.all;
  for (size_t i = stack->frames.size(); i-- > 0;) {
    const events::SymbolInfo* symbol = names_.symbol(stack->frames[i], i > 0);
    stays = stays && symbol != nullptr;
    if (stray(stack->frames[i], i > 0)) continue;
    facts.truncated =
        symbol == nullptr || symbol->frames.empty() || !is_root({symbol->frames.back().function, "", false});
    return {facts, stays};
  }
  return {facts, false};
}

StackFacts Stacks::facts(StackId id) {
  if (id == StackId::kLost) return {StackKind::kNone, StackKind::kNone, false, StackTrust::kLost};
  if (id == StackId::kNone) return {};
  if (memory_ != nullptr)
    if (const auto kept = memory_->known.find(id); kept != memory_->known.end()) return kept->second;
  auto found = known_.find(id);
  if (found != known_.end()) return found->second;
  const auto [facts, stays] = judge(id);
  (stays && memory_ != nullptr ? memory_->known : known_).emplace(id, facts);
  return facts;
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
