// SPDX-License-Identifier: Apache-2.0
// GoLineTable: how to unwind Go code.
//
//   main.serve     push %rbp; mov %rsp,%rbp; sub $0x40,%rsp     pctab: 0 up to +1, 8 up to +8, 0x48 from there on
//     0x48a3c0 … 0x48a3c1   sp +  8
//     0x48a3c1 … 0x48a3c8   sp + 16, fp at -16
//     0x48a3c8 … 0x48a42b   sp + 80, fp at -16
//
// The runtime unwinds by the same sequence, so it is right for assembly, too. The place of the caller's frame pointer is not in
// it: that follows from the code of the prologue.
#include <algorithm>

#include "symbols/byte_cursor.h"
#include "symbols/go_line_table.h"
#include "symbols/go_sequence.h"

namespace memwhy::symbols {
namespace {

using Kind = UnwindRule::Kind;

constexpr uint64_t kPrologueBytes = 128;
constexpr size_t kMostFrameSteps = 64 << 10;
constexpr uint8_t kTopFrame = 1, kWritesStackPointer = 2;  // flags of a function

// These have no caller: a goroutine, a thread or a stack of the scheduler's begins.
constexpr std::string_view kOutermost[] = {"runtime.goexit",    "runtime.mstart",           "runtime.mcall",
                                           "runtime.morestack", "runtime.morestack_noctxt", "runtime.rt0_go"};

// From `end` of the step before on, the return address is at stack pointer + delta.
struct FrameStep {
  uint64_t end = 0;
  int64_t delta = 0;
};

// The instruction after which the caller's frame pointer is in the frame, and where: at CFA - 8 x saved.
struct SavedFrame {
  uint64_t from = ~uint64_t{0};
  uint16_t saved = 0;
};

int64_t delta_at(const std::vector<FrameStep>& steps, uint64_t address) {
  const auto found = std::upper_bound(steps.begin(), steps.end(), address,
                                      [](uint64_t value, const FrameStep& step) { return value < step.end; });
  return found == steps.end() ? -1 : found->delta;
}

// `push %rbp; mov %rsp,%rbp` (Go 1.21 on), or `mov %rbp,n(%rsp)` (before; and in assembly that C calls).
SavedFrame find_saved_frame(std::span<const uint8_t> code, uint64_t entry,
                            const std::vector<FrameStep>& steps) {
  for (size_t at = 0; at + 4 < code.size(); ++at) {
    ByteCursor in(code, at);
    const auto word = in.number<uint32_t>();
    uint64_t from = 0;
    int64_t below = -1;  // the CFA's distance
    if (word == 0xe5894855) {
      from = entry + at + 1;
      below = delta_at(steps, from) + 8;
    } else if (word == 0x24ac8948 || (word & 0xffffff) == 0x6c8948) {
      if (word != 0x24ac8948 && word >> 24 != 0x24) continue;
      const int64_t slot = word == 0x24ac8948 ? in.number<int32_t>() : in.number<int8_t>();
      from = entry + in.at();
      const int64_t delta = delta_at(steps, entry + at);
      below = !in.ok() || slot < 0 || delta < 0 ? -1 : delta + 8 - slot;
    }
    if (below < 16 || below % 8 != 0 || below / 8 >= UnwindRule::kMostSaved) continue;
    return {from, static_cast<uint16_t>(below / 8)};
  }
  return {};
}

UnwindRule go_rule_at(int64_t delta, bool is_saved, uint16_t saved) {
  const int64_t bytes = delta + 8;
  if (delta < 0 || delta % 8 != 0 || bytes >= UnwindRule::kMostBytes) return {Kind::kStop, 0, 0};
  // A function that has no frame (any more) has the caller's frame pointer.
  const bool in_frame = is_saved && delta > 0 && saved * 8 <= bytes;
  return {Kind::kStack, in_frame ? saved : uint16_t{0}, static_cast<int32_t>(bytes)};
}

void add_row(std::vector<RuleRow>& rows, uint64_t end, const UnwindRule& rule) {
  if (!rows.empty() && (rows.back().end >= end || rows.back().at == rule))
    rows.back().end = std::max(rows.back().end, end);
  else
    rows.push_back({end, rule, rule});
}

}  // namespace

std::optional<GoLineTable::FrameRows> GoLineTable::frame_rows(ByteSource& source, const ElfFile& elf,
                                                              uint64_t vaddr) const {
  if (release_ == Release::kGo116) return std::nullopt;
  const auto index = find_function(source, vaddr);
  const auto in = index ? function(source, *index) : std::nullopt;
  if (!in || in->pcsp == 0 || in->pcsp >= pctab_.bytes()) return std::nullopt;
  const auto flags = load<uint8_t>(source, in->flags_at);
  if (!flags) return std::nullopt;
  FrameRows out;
  out.range = {in->entry, in->end};
  const auto whole = [&](const UnwindRule& rule) {
    out.rows = {{in->end, rule, rule}};
    return out;
  };
  const std::string name = name_at(source, in->name);
  if ((*flags & kTopFrame) != 0 || std::ranges::find(kOutermost, name) != std::end(kOutermost))
    return whole({Kind::kEnd, 0, 0});
  // It goes to another stack: only the chain of frame pointers crosses.
  if ((*flags & kWritesStackPointer) != 0) return whole(kFramePointerRule);

  std::vector<FrameStep> steps;
  GoSequence sequence(source, pctab_.begin + in->pcsp, pctab_.end);
  uint32_t value = ~0u;
  for (uint64_t pc = in->entry; pc < in->end && steps.size() < kMostFrameSteps;) {
    const auto delta = sequence.varint();
    if (!delta || (*delta == 0 && !steps.empty())) break;
    const auto length = sequence.varint();
    if (!length || *length == 0) break;
    value += (*delta & 1) != 0 ? ~(*delta >> 1) : *delta >> 1;
    pc += std::min(uint64_t{*length} * quantum_, in->end - pc);
    steps.push_back({pc, static_cast<int32_t>(value)});
  }
  if (steps.empty()) return std::nullopt;
  const std::optional<uint64_t> code_at = elf.offset_of(in->entry);
  const auto code = code_at
                        ? load_array<uint8_t>(source, *code_at, std::min(kPrologueBytes, in->end - in->entry))
                        : std::nullopt;
  const SavedFrame saved = code ? find_saved_frame(*code, in->entry, steps) : SavedFrame{};
  uint64_t begin = in->entry;
  for (const FrameStep& step : steps) {
    if (saved.from > begin)
      add_row(out.rows, std::min(step.end, saved.from), go_rule_at(step.delta, false, 0));
    if (saved.from < step.end) add_row(out.rows, step.end, go_rule_at(step.delta, true, saved.saved));
    begin = step.end;
  }
  add_row(out.rows, in->end, {Kind::kStop, 0, 0});
  return out;
}

}  // namespace memwhy::symbols
