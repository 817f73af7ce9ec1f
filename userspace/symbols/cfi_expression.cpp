// SPDX-License-Identifier: Apache-2.0
#include "symbols/cfi_expression.h"

#include <array>
#include <optional>

#include "symbols/byte_cursor.h"

namespace memwhy::symbols {
namespace {

using Base = CfiValue::Base;

constexpr int kMostOperations = 64;
constexpr size_t kMostOperands = 16;

enum Operation : uint8_t {
  kDeref = 0x06,
  kConst1u = 0x08,
  kConst1s,
  kConst2u,
  kConst2s,
  kConst4u,
  kConst4s,
  kConst8u,
  kConst8s,
  kConstu,
  kConsts,
  kDup = 0x12,
  kAnd = 0x1a,
  kMinus = 0x1c,
  kMul = 0x1e,
  kOr = 0x21,
  kPlus,
  kPlusUconst,
  kShl,
  kShr,
  kEq = 0x29,
  kGe,
  kGt,
  kLe,
  kLt,
  kNe,
  kLit0 = 0x30,
  kLit31 = 0x4f,
  kBreg0 = 0x70,
  kBreg31 = 0x8f,
};

int64_t wrapped(uint64_t value) { return static_cast<int64_t>(value); }
uint64_t bits(int64_t value) { return static_cast<uint64_t>(value); }

void add_to(CfiValue& value, int64_t number) {
  int64_t& to = value.loaded() ? value.then : value.add;
  to = wrapped(bits(to) + bits(number));
}

// A number that the code itself holds.
std::optional<int64_t> literal(uint8_t code, ByteCursor& in) {
  if (code >= kLit0 && code <= kLit31) return code - kLit0;
  switch (code) {
    case kConst1u:
      return in.number<uint8_t>();
    case kConst1s:
      return in.number<int8_t>();
    case kConst2u:
      return in.number<uint16_t>();
    case kConst2s:
      return in.number<int16_t>();
    case kConst4u:
      return in.number<uint32_t>();
    case kConst4s:
      return in.number<int32_t>();
    case kConst8u:
    case kConst8s:
      return in.number<int64_t>();
    case kConstu:
      return wrapped(in.unsigned_leb());
    case kConsts:
      return in.signed_leb();
    default:
      return std::nullopt;
  }
}

std::optional<int64_t> of_two_numbers(uint8_t code, int64_t a, int64_t b) {
  switch (code) {
    case kAnd:
      return a & b;
    case kOr:
      return a | b;
    case kPlus:
      return wrapped(bits(a) + bits(b));
    case kMinus:
      return wrapped(bits(a) - bits(b));
    case kMul:
      return wrapped(bits(a) * bits(b));
    case kShl:
      return bits(b) > 63 ? 0 : wrapped(bits(a) << b);
    case kShr:
      return bits(b) > 63 ? 0 : wrapped(bits(a) >> b);
    case kEq:
      return a == b;
    case kGe:
      return a >= b;
    case kGt:
      return a > b;
    case kLe:
      return a <= b;
    case kLt:
      return a < b;
    case kNe:
      return a != b;
    default:
      return std::nullopt;
  }
}

CfiValue loaded(const CfiValue& from) {
  if (from.base == Base::kStack) return {Base::kLoadedStack, from.add, 0};
  if (from.base == Base::kFrame) return {Base::kLoadedFrame, from.add, 0};
  return {};
}

CfiValue of_two(uint8_t code, const CfiValue& a, const CfiValue& b) {
  if (a.base == Base::kNumber && b.base == Base::kNumber) {
    const std::optional<int64_t> number = of_two_numbers(code, a.add, b.add);
    return number ? CfiValue{Base::kNumber, *number, 0} : CfiValue{};
  }
  CfiValue sum;
  if (code == kPlus && b.base == Base::kNumber) {
    sum = a;
    add_to(sum, b.add);
  } else if (code == kPlus && a.base == Base::kNumber) {
    sum = b;
    add_to(sum, a.add);
  } else if (code == kMinus && b.base == Base::kNumber) {
    sum = a;
    add_to(sum, wrapped(0 - bits(b.add)));
  }
  return sum;
}

class OperandStack {
 public:
  void push(const CfiValue& value) {
    overflows_ = overflows_ || count_ == kMostOperands;
    if (!overflows_) values_[count_++] = value;
  }
  CfiValue pop() { return count_ == 0 ? CfiValue{} : values_[--count_]; }
  bool overflows() const { return overflows_; }

 private:
  std::array<CfiValue, kMostOperands> values_{};
  size_t count_ = 0;
  bool overflows_ = false;
};

CfiValue of_register(unsigned number, int64_t add, uint64_t address) {
  if (number == kDwarfReturn) return {Base::kNumber, wrapped(address + bits(add)), 0};
  if (number == kDwarfStack) return {Base::kStack, add, 0};
  if (number == kDwarfFrame) return {Base::kFrame, add, 0};
  return {};
}

}  // namespace

CfiValue evaluate(std::span<const uint8_t> expression, uint64_t address) {
  OperandStack stack;
  ByteCursor in(expression);
  for (int step = 0; !in.done(); ++step) {
    if (step == kMostOperations || stack.overflows()) return {};
    const auto code = in.number<uint8_t>();
    if (const std::optional<int64_t> number = literal(code, in)) {
      stack.push({Base::kNumber, *number, 0});
    } else if (code >= kBreg0 && code <= kBreg31) {
      stack.push(of_register(code - kBreg0, in.signed_leb(), address));
    } else if (code == kDeref) {
      stack.push(loaded(stack.pop()));
    } else if (code == kPlusUconst) {
      CfiValue value = stack.pop();
      add_to(value, wrapped(in.unsigned_leb()));
      stack.push(value);
    } else if (code == kDup) {
      const CfiValue value = stack.pop();
      stack.push(value);
      stack.push(value);
    } else {
      const CfiValue b = stack.pop(), a = stack.pop();
      const CfiValue value = of_two(code, a, b);
      if (value.base == Base::kUnknown) return {};
      stack.push(value);
    }
  }
  return in.ok() && !stack.overflows() ? stack.pop() : CfiValue{};
}

// Also when the byte is a part of a number: that costs time and nothing else.
bool names_its_address(std::span<const uint8_t> expression) {
  for (const uint8_t byte : expression)
    if (byte == kBreg0 + kDwarfReturn) return true;
  return false;
}

}  // namespace memwhy::symbols
