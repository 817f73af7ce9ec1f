// SPDX-License-Identifier: Apache-2.0
#include "app/rule_tables.h"

#include <utility>

namespace memwhy::app {
namespace {

uint32_t packed(const unwind::LearnedRule& learned) {
  using Kind = symbols::UnwindRule::Kind;
  const symbols::UnwindRule& rule = learned.rule;
  if (learned.source == unwind::RuleSource::kMadeCode) {
    if (rule.kind == Kind::kStack) return MW_RULE(MW_RULE_JIT, rule.bytes | MW_JIT_STACK, rule.saved);
    return MW_RULE(MW_RULE_JIT, rule.kind == Kind::kInterpreted ? 16 | MW_JIT_ROOM : 16, 2);
  }
  if (learned.source == unwind::RuleSource::kGuess && rule.kind == Kind::kFrame)
    return MW_RULE(MW_RULE_GUESS, 16, 2);
  switch (rule.kind) {
    case Kind::kStack:
      return MW_RULE(MW_RULE_STACK, rule.bytes, rule.saved);
    case Kind::kFrame:
      return MW_RULE(MW_RULE_FRAME, rule.bytes, rule.saved);
    case Kind::kEnd:
      return MW_RULE(MW_RULE_END, 0, 0);
    case Kind::kSignal:
      return MW_RULE(MW_RULE_SIGNAL, 0, 0);
    case Kind::kRealigned:
      return MW_RULE(MW_RULE_DEREF, rule.bytes, 0);
    case Kind::kNone:
    case Kind::kKept:
    case Kind::kStop:
    case Kind::kInterpreted:
      break;
  }
  return MW_RULE_UNSAID;
}

}  // namespace

size_t RuleTables::take(const std::function<void(std::span<const unwind::Taken>)>& use, size_t most) {
  const auto hand_on = [&](std::span<const probe::Snapshot> all) {
    std::vector<unwind::Taken> taken;
    for (const probe::Snapshot& from : all)
      taken.push_back({from.space,
                       from.tgid,
                       from.generation,
                       from.key,
                       from.stack,
                       {from.ip, from.sp, from.fp, from.is_return, from.address, from.bytes},
                       from.unwatched});
    use(taken);
  };
  return unwinding_.rules().take(hand_on, most);
}

bool RuleTables::publish(SpaceId space, uint32_t generation, std::span<const unwind::LearnedRule> rules) {
  std::vector<probe::AddressRule> all;
  all.reserve(rules.size());
  for (const unwind::LearnedRule& rule : rules) all.push_back({rule.address, rule.is_return, packed(rule)});
  return unwinding_.rules().publish(space, generation, all);
}

}  // namespace memwhy::app
