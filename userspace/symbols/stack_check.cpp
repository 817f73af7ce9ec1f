// SPDX-License-Identifier: Apache-2.0
#include "symbols/stack_check.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>

namespace memwhy::symbols {
namespace {

// Walks the bytes from the start; every step is taken only when all of its bytes are there.
class Code {
 public:
  explicit Code(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  template <size_t N>
  bool take(const std::array<uint8_t, N>& wanted) {
    if (bytes_.size() - at_ < N || !std::equal(wanted.begin(), wanted.end(), bytes_.begin() + at_))
      return false;
    at_ += N;
    return true;
  }
  std::optional<int32_t> displacement(size_t bytes) {  // 1 or 4, signed
    if (bytes_.size() - at_ < bytes) return std::nullopt;
    int32_t value = 0;
    if (bytes == 4) {
      std::memcpy(&value, bytes_.data() + at_, 4);
    } else {
      value = bytes_[at_] < 0x80 ? bytes_[at_] : bytes_[at_] - 0x100;
    }
    at_ += bytes;
    return value;
  }
  uint32_t at() const { return static_cast<uint32_t>(at_); }

 private:
  std::span<const uint8_t> bytes_;
  ptrdiff_t at_ = 0;
};

Error refused(const char* why) { return {ErrorCode::kBadInput, why}; }

// `short_form` is 0x76 for jbe, 0x72 for jb; the long form is 0f, that + 0x10. Its target, from the function's start.
std::optional<int64_t> jump(Code& code, uint8_t short_form) {
  const bool narrow = code.take(std::array{short_form});
  if (!narrow && !code.take(std::array<uint8_t, 2>{0x0f, static_cast<uint8_t>(short_form + 0x10)}))
    return std::nullopt;
  const std::optional<int32_t> distance = code.displacement(narrow ? 1 : 4);
  if (!distance) return std::nullopt;
  return int64_t{code.at()} + *distance;
}

constexpr uint8_t kJumpBelow = 0x72, kJumpBelowOrEqual = 0x76;
constexpr std::array<uint8_t, 4> kLeaByte = {0x4c, 0x8d, 0x64, 0x24};  // lea disp8(%rsp), %r12
constexpr std::array<uint8_t, 4> kLeaWord = {0x4c, 0x8d, 0xa4, 0x24};  // lea disp32(%rsp), %r12
constexpr std::array<uint8_t, 3> kCopy = {0x49, 0x89, 0xe4};           // mov %rsp, %r12
constexpr std::array<uint8_t, 3> kSubtract = {0x49, 0x81, 0xec};       // sub imm32, %r12
constexpr std::array<uint8_t, 3> kCompareSp = {0x49, 0x3b, 0x66};      // cmp disp8(%r14), %rsp
constexpr std::array<uint8_t, 3> kCompareR12 = {0x4d, 0x3b, 0x66};     // cmp disp8(%r14), %r12
constexpr int32_t kStackGuard0 = 0x10, kStackGuard1 = 0x18;            // in runtime.g

}  // namespace

Result<StackCheck> find_stack_check(std::span<const uint8_t> bytes, uint64_t function_bytes) {
  Code code(bytes.first(std::min<size_t>(bytes.size(), kMostStackCheckBytes)));
  // The code that makes room is at the end: every jump goes forward, and stays in the function.
  const auto leads_to_the_end = [&](std::optional<int64_t> target) {
    return target && *target > int64_t{code.at()} && static_cast<uint64_t>(*target) < function_bytes;
  };
  bool by_r12 = true;
  if (code.take(kLeaByte)) {
    if (const auto frame = code.displacement(1); !frame || *frame >= 0)
      return refused("its stack check computes a stack pointer in an unknown way");
  } else if (code.take(kLeaWord)) {
    if (const auto frame = code.displacement(4); !frame || *frame >= 0)
      return refused("its stack check computes a stack pointer in an unknown way");
  } else if (code.take(kCopy)) {
    const bool known = code.take(kSubtract) && code.displacement(4).value_or(0) > 0;
    if (!known || !leads_to_the_end(jump(code, kJumpBelow)))
      return refused("its stack check computes a stack pointer in an unknown way");
  } else {
    by_r12 = false;
  }
  if (!(by_r12 ? code.take(kCompareR12) : code.take(kCompareSp)))
    return refused("it does not begin with a stack check (NOSPLIT, or not as the Go compiler writes it)");
  const std::optional<int32_t> guard = code.displacement(1);
  if (!guard || (*guard != kStackGuard0 && *guard != kStackGuard1))
    return refused("its stack check compares with an unknown field of the goroutine");
  StackCheck check;
  check.jump = code.at();
  if (!leads_to_the_end(jump(code, kJumpBelowOrEqual)))
    return refused("its stack check has no conditional jump to the end of the function");
  check.jump_bytes = code.at() - check.jump;
  return check;
}

}  // namespace memwhy::symbols
