// SPDX-License-Identifier: Apache-2.0
#include "symbols/cfi_program.h"

#include <algorithm>
#include <optional>

#include "symbols/byte_cursor.h"
#include "symbols/cfi_expression.h"
#include "symbols/cfi_pointer.h"

namespace memwhy::symbols {
namespace {

using Bytes = std::span<const uint8_t>;
using Kind = UnwindRule::Kind;
using Base = CfiValue::Base;

constexpr size_t kMostRemembered = 64;

// Where the caller's value of a register is.
struct Saved {
  enum class How : uint8_t { kSame, kUndefined, kAtCfa, kAt, kElsewhere };
  How how = How::kSame;
  int64_t offset = 0;  // kAtCfa
  Bytes expression;    // kAt
};

struct State {
  uint64_t cfa_register = 0;
  int64_t cfa_offset = 0;
  Bytes cfa_expression;  // instead of both, when it is there
  Saved frame, returns{Saved::How::kAtCfa, -8, {}};
};

constexpr UnwindRule kStopRule{Kind::kStop, 0, 0};

bool is(const CfiValue& value, Base base, int64_t add) {
  return value.base == base && value.add == add && value.then == 0;
}

UnwindRule plain_rule(Base base, int64_t bytes, const Saved& frame) {
  if ((base != Base::kStack && base != Base::kFrame) || bytes % 8 != 0 || bytes < 8 ||
      bytes >= UnwindRule::kMostBytes)
    return kStopRule;
  UnwindRule rule{base == Base::kStack ? Kind::kStack : Kind::kFrame, 0, static_cast<int32_t>(bytes)};
  if (frame.how == Saved::How::kAtCfa) {
    constexpr int64_t kMost = 8 * int64_t{UnwindRule::kMostSaved};
    if (frame.offset >= 0 || frame.offset <= -kMost || frame.offset % 8 != 0) return kStopRule;
    rule.saved = static_cast<uint16_t>(-frame.offset / 8);
  } else if (frame.how != Saved::How::kSame && frame.how != Saved::How::kUndefined) {
    return kStopRule;
  }
  return rule;
}

// An expression may read `address`.
UnwindRule rule_of(const State& state, uint64_t address) {
  const bool at_cfa = state.returns.how == Saved::How::kAtCfa && state.returns.offset == -8;
  if (state.returns.how == Saved::How::kUndefined) return {Kind::kEnd, 0, 0};
  if (state.cfa_expression.empty()) {
    const Base base = state.cfa_register == kDwarfStack   ? Base::kStack
                      : state.cfa_register == kDwarfFrame ? Base::kFrame
                                                          : Base::kUnknown;
    return at_cfa ? plain_rule(base, state.cfa_offset, state.frame) : kStopRule;
  }
  const CfiValue cfa = evaluate(state.cfa_expression, address);
  const auto frame_at = [&] { return evaluate(state.frame.expression, address); };
  // The stack pointer of the interrupted code, in the ucontext: rt_sigreturn's frame.
  constexpr int64_t kSavedFrame = 120, kSavedStack = 160, kSavedAddress = 168;
  if (is(cfa, Base::kLoadedStack, kSavedStack) && state.returns.how == Saved::How::kAt &&
      is(evaluate(state.returns.expression, address), Base::kStack, kSavedAddress) &&
      state.frame.how == Saved::How::kAt && is(frame_at(), Base::kStack, kSavedFrame))
    return {Kind::kSignal, 0, 0};
  if (!at_cfa) return kStopRule;
  if (!cfa.loaded()) return plain_rule(cfa.base, cfa.add, state.frame);
  const bool realigned = is(cfa, Base::kLoadedFrame, cfa.add) && cfa.add % 8 == 0 &&
                         cfa.add > -UnwindRule::kMostRealigned && cfa.add < UnwindRule::kMostRealigned;
  if (realigned && state.frame.how == Saved::How::kAt && is(frame_at(), Base::kFrame, 0))
    return {Kind::kRealigned, 0, static_cast<int32_t>(cfa.add)};
  return kStopRule;
}

enum Instruction : uint8_t {
  kNop,
  kSetLoc,
  kAdvance1,
  kAdvance2,
  kAdvance4,
  kOffsetExtended,
  kRestoreExtended,
  kUndefinedValue,
  kSameValue,
  kInRegister,
  kRememberState,
  kRestoreState,
  kDefCfa,
  kDefCfaRegister,
  kDefCfaOffset,
  kDefCfaExpression,
  kExpression,
  kOffsetExtendedSigned,
  kDefCfaSigned,
  kDefCfaOffsetSigned,
  kValOffset,
  kValOffsetSigned,
  kValExpression,
  kArgsSize = 0x2e,
  kNegativeOffsetExtended = 0x2f,
  kAdvance = 0x40,  // these three have a number in their lower bits
  kOffset = 0x80,
  kRestore = 0xc0,
};

class Runner {
 public:
  Runner(const CfiFunction& function, uint64_t around, Budget& budget)
      : function_(function), around_(around), budget_(budget), location_(function.range.start) {}

  CfiRows run() {
    out_.range = {function_.range.start, function_.range.start};
    const bool begun = steps(function_.common.program, false);
    initial_ = state_;
    const bool whole = begun && steps(function_.program, true);
    if (!whole) unsaid_ = true;
    close_row(function_.range.end);
    FunctionRules::keep(out_.rows, &out_.range, partial_);
    return std::move(out_);
  }

 private:
  bool steps(Bytes program, bool moves);
  bool step(ByteCursor& in, bool moves);
  bool step_extended(uint8_t code, ByteCursor& in, bool moves);
  bool define_cfa(uint8_t code, ByteCursor& in);
  bool advance(uint64_t units);
  bool go_to(uint64_t address);
  void close_row(uint64_t end);
  void add(uint64_t end, const UnwindRule& at, const UnwindRule& after_call);

  Saved* saved(uint64_t number) {
    return number == kDwarfFrame ? &state_.frame : number == kDwarfReturn ? &state_.returns : nullptr;
  }
  void put(uint64_t number, const Saved& value) {
    if (Saved* to = saved(number)) *to = value;
  }
  void restore(uint64_t number) { put(number, number == kDwarfFrame ? initial_.frame : initial_.returns); }
  int64_t scaled(uint64_t number) const {
    return static_cast<int64_t>(number * static_cast<uint64_t>(function_.common.data_unit));
  }
  int64_t scaled(int64_t number) const { return scaled(static_cast<uint64_t>(number)); }

  const CfiFunction& function_;
  uint64_t around_;
  Budget& budget_;
  uint64_t location_;
  bool unsaid_ = false;
  State state_, initial_;
  std::vector<State> remembered_;
  CfiRows out_;
  AddressRange partial_{0, ~uint64_t{0}};  // outside of it nothing was read
};

bool Runner::steps(Bytes program, bool moves) {
  ByteCursor in(program);
  while (!in.done()) {
    if (!budget_.spend(Budget::kRead) || !step(in, moves)) return false;
    if (location_ >= function_.range.end) return true;
  }
  return in.ok();
}

bool Runner::step(ByteCursor& in, bool moves) {
  const auto code = in.number<uint8_t>();
  const auto low = static_cast<uint8_t>(code & 0x3f);
  switch (code & 0xc0) {
    case kAdvance:
      return moves && advance(low);
    case kOffset:
      put(low, {Saved::How::kAtCfa, scaled(in.unsigned_leb()), {}});
      return in.ok();
    case kRestore:
      restore(low);
      return true;
    default:
      return step_extended(code, in, moves) && in.ok();
  }
}

bool Runner::step_extended(uint8_t code, ByteCursor& in, bool moves) {
  using How = Saved::How;
  switch (code) {
    case kNop:
      return true;
    case kSetLoc: {
      const auto to = encoded_pointer(in, function_.common.pointers, function_.program_vaddr);
      return moves && to && go_to(*to);
    }
    case kAdvance1:
      return moves && advance(in.number<uint8_t>());
    case kAdvance2:
      return moves && advance(in.number<uint16_t>());
    case kAdvance4:
      return moves && advance(in.number<uint32_t>());
    case kRememberState:
      if (remembered_.size() == kMostRemembered) return false;
      remembered_.push_back(state_);
      return true;
    case kRestoreState:
      if (remembered_.empty()) return false;
      state_ = remembered_.back();
      remembered_.pop_back();
      return true;
    case kArgsSize:
      in.unsigned_leb();
      return true;
    default:
      break;
  }
  if (code == kDefCfa || (code >= kDefCfaRegister && code <= kDefCfaExpression) || code == kDefCfaSigned ||
      code == kDefCfaOffsetSigned)
    return define_cfa(code, in);
  const uint64_t number = in.unsigned_leb();
  switch (code) {
    case kOffsetExtended:
      put(number, {How::kAtCfa, scaled(in.unsigned_leb()), {}});
      return true;
    case kNegativeOffsetExtended:
      put(number, {How::kAtCfa, scaled(0 - in.unsigned_leb()), {}});
      return true;
    case kOffsetExtendedSigned:
      put(number, {How::kAtCfa, scaled(in.signed_leb()), {}});
      return true;
    case kRestoreExtended:
      restore(number);
      return true;
    case kUndefinedValue:
      put(number, {How::kUndefined, 0, {}});
      return true;
    case kSameValue:
      put(number, {How::kSame, 0, {}});
      return true;
    case kExpression:
      put(number, {How::kAt, 0, in.take(in.unsigned_leb())});
      return true;
    case kInRegister:
    case kValOffset:
    case kValOffsetSigned:
      in.unsigned_leb();
      put(number, {How::kElsewhere, 0, {}});
      return true;
    case kValExpression:
      in.take(in.unsigned_leb());
      put(number, {How::kElsewhere, 0, {}});
      return true;
    default:
      return false;
  }
}

bool Runner::define_cfa(uint8_t code, ByteCursor& in) {
  if (code == kDefCfaExpression) {
    state_.cfa_expression = in.take(in.unsigned_leb());
    return !state_.cfa_expression.empty();
  }
  const bool names_register = code == kDefCfa || code == kDefCfaRegister || code == kDefCfaSigned;
  if (names_register) state_.cfa_register = in.unsigned_leb();
  if (names_register) state_.cfa_expression = {};
  if (code == kDefCfa || code == kDefCfaOffset) state_.cfa_offset = static_cast<int64_t>(in.unsigned_leb());
  if (code == kDefCfaSigned || code == kDefCfaOffsetSigned) state_.cfa_offset = scaled(in.signed_leb());
  return true;
}

bool Runner::advance(uint64_t units) {
  const uint64_t unit = function_.common.code_unit;
  if (unit > UINT32_MAX) return false;
  return go_to(location_ + units * unit);
}

bool Runner::go_to(uint64_t address) {
  if (address < location_) return false;
  close_row(address);
  return true;
}

void Runner::add(uint64_t end, const UnwindRule& at, const UnwindRule& after_call) {
  if (end <= out_.range.end) return;
  out_.range.end = end;
  if (!out_.rows.empty() && out_.rows.back().at == at && out_.rows.back().after_call == after_call)
    out_.rows.back().end = end;
  else
    out_.rows.push_back({end, at, after_call});
}

// What holds from the end of the rows so far up to `end`.
void Runner::close_row(uint64_t end) {
  end = std::min(end, function_.range.end);
  location_ = end;
  const uint64_t begin = out_.range.end;
  if (end <= begin) return;
  const uint64_t bytes = state_.cfa_expression.size() + state_.frame.expression.size();
  if (bytes != 0 && !budget_.spend(4 * Budget::kParsedByte * bytes)) unsaid_ = true;
  if (unsaid_) return add(end, kStopRule, kStopRule);
  const bool each_differs =
      names_its_address(state_.cfa_expression) || names_its_address(state_.frame.expression);
  if (!each_differs) {
    const UnwindRule rule = rule_of(state_, begin);
    return add(end, rule, rule);
  }
  // A PLT: its stack pointer depends on the last digit of the address. Those around the requested one will do.
  constexpr uint64_t kHalf = 256;
  const uint64_t from = std::max(begin, around_ - std::min(around_, kHalf));
  const uint64_t to = std::min(end, around_ + kHalf);
  if (from > begin) partial_.start = std::max(partial_.start, std::min(from, end));
  if (to < end) partial_.end = std::min(partial_.end, std::max(to, begin));
  if (from >= to) return add(end, kStopRule, kStopRule);
  add(from, kStopRule, kStopRule);
  UnwindRule here = rule_of(state_, from);
  for (uint64_t address = from; address < to; ++address) {
    if (!budget_.spend(Budget::kRead + 4 * Budget::kParsedByte * bytes)) break;
    const UnwindRule next = rule_of(state_, address + 1);
    add(address + 1, here, next);
    here = next;
  }
  add(end, kStopRule, kStopRule);
}

}  // namespace

CfiRows run_cfi_program(const CfiFunction& function, uint64_t around, Budget& budget) {
  return Runner(function, around, budget).run();
}

}  // namespace memwhy::symbols
