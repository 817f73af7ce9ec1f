// SPDX-License-Identifier: Apache-2.0
#include "app/rule_tables.h"

#include <utility>

namespace memwhy::app {
namespace {

uint32_t packed(const unwind::LearnedRule& learned) {
  using Kind = symbols::UnwindRule::Kind;
  if (learned.source == unwind::RuleSource::kMadeCode) return MW_RULE(MW_RULE_JIT, 16, 2);
  const symbols::UnwindRule& rule = learned.rule;
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
      break;
  }
  return MW_RULE_UNSAID;
}

}  // namespace

size_t RuleTables::take(const std::function<void(const unwind::Taken&)>& use) {
  return unwinding_.rules().take([&](const probe::Snapshot& from) {
    unwind::Taken taken{from.space, from.tgid, from.generation, from.stack, {}};
    taken.snapshot.ip = from.ip;
    taken.snapshot.sp = from.sp;
    taken.snapshot.fp = from.fp;
    taken.snapshot.is_return = from.is_return;
    taken.snapshot.address = from.address;
    taken.snapshot.stack = from.bytes;
    use(taken);
  });
}

bool RuleTables::publish(SpaceId space, uint32_t generation, std::span<const unwind::LearnedRule> rules) {
  std::vector<probe::AddressRule> all;
  all.reserve(rules.size());
  for (const unwind::LearnedRule& rule : rules) all.push_back({rule.address, rule.is_return, packed(rule)});
  return unwinding_.rules().publish(space, generation, all);
}

}  // namespace memwhy::app
