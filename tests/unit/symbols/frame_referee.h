// SPDX-License-Identifier: Apache-2.0
// Referee: the unwind rule of an address by libdw, which reads the same tables in its own way.
#pragma once

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "symbols/unwind_rule.h"

namespace memwhy::symbols::testing {

class Referee {
  using Kind = UnwindRule::Kind;

 public:
  Referee(const std::string& path, bool debug_frame) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    ::elf_version(EV_CURRENT);
    elf_ = ::elf_begin(file_.get(), ELF_C_READ_MMAP, nullptr);
    if (debug_frame) dwarf_ = ::dwarf_begin_elf(elf_, DWARF_C_READ, nullptr);
    cfi_ = debug_frame ? ::dwarf_getcfi(dwarf_) : ::dwarf_getcfi_elf(elf_);
  }
  ~Referee() {
    if (dwarf_ == nullptr) ::dwarf_cfi_end(cfi_);
    if (dwarf_ != nullptr) ::dwarf_end(dwarf_);
    ::elf_end(elf_);
  }
  Referee(const Referee&) = delete;
  Referee& operator=(const Referee&) = delete;
  bool works() const { return cfi_ != nullptr; }

  // Nothing: no entry.
  std::optional<UnwindRule> rule(uint64_t address) const {
    Dwarf_Frame* frame = nullptr;
    if (::dwarf_cfi_addrframe(cfi_, address, &frame) != 0) return std::nullopt;
    const UnwindRule rule = of(frame, address);
    ::free(frame);  // NOLINT: libdw allocates
    return rule;
  }

 private:
  struct Saved {
    enum class How : uint8_t { kSame, kUndefined, kAtCfa, kOther } how = How::kOther;
    int64_t offset = 0;
    std::vector<Dwarf_Op> operations;
  };
  static Saved saved(Dwarf_Frame* frame, int number) {
    Dwarf_Op memory[3];
    Dwarf_Op* operations = nullptr;
    size_t count = 0;
    if (::dwarf_frame_register(frame, number, memory, &operations, &count) != 0) return {};
    if (count == 0) return {operations == nullptr ? Saved::How::kSame : Saved::How::kUndefined, 0, {}};
    if (operations[0].atom == DW_OP_call_frame_cfa && count == 2 && operations[1].atom == DW_OP_plus_uconst)
      return {Saved::How::kAtCfa, static_cast<int64_t>(operations[1].number), {}};
    return {Saved::How::kOther, 0, {operations, operations + count}};
  }

  static UnwindRule of(Dwarf_Frame* frame, uint64_t address) {
    constexpr UnwindRule kStop{Kind::kStop, 0, 0};
    const Saved returns = saved(frame, 16), pointer = saved(frame, 6);
    if (returns.how == Saved::How::kUndefined) return {Kind::kEnd, 0, 0};
    Dwarf_Op* cfa = nullptr;
    size_t count = 0;
    if (::dwarf_frame_cfa(frame, &cfa, &count) != 0 || count == 0) return kStop;
    const auto reg = [&](size_t i) {
      return cfa[i].atom == DW_OP_bregx ? cfa[i].number : uint64_t{cfa[i].atom} - DW_OP_breg0;
    };
    auto offset = static_cast<int64_t>(cfa[0].atom == DW_OP_bregx ? cfa[0].number2 : cfa[0].number);
    if (count == 2 && cfa[1].atom == DW_OP_deref && reg(0) == 7 && offset == 160)
      return {Kind::kSignal, 0, 0};
    if (returns.how != Saved::How::kAtCfa || returns.offset != -8) return kStop;
    if (count == 2 && cfa[1].atom == DW_OP_deref && reg(0) == 6) {
      const bool at_frame = pointer.operations.size() == 1 && pointer.operations[0].atom == DW_OP_breg6 &&
                            pointer.operations[0].number == 0;
      return at_frame ? UnwindRule{Kind::kRealigned, 0, static_cast<int32_t>(offset)} : kStop;
    }
    if (count == 9 && reg(0) == 7 && cfa[1].atom == DW_OP_breg16)  // a PLT
      offset += (address & 15) >= uint64_t{cfa[4].atom} - DW_OP_lit0 ? 8 : 0;
    else if (count != 1)
      return kStop;
    if ((reg(0) != 6 && reg(0) != 7) || offset < 8 || offset % 8 != 0 || offset >= UnwindRule::kMostBytes)
      return kStop;
    UnwindRule rule{reg(0) == 7 ? Kind::kStack : Kind::kFrame, 0, static_cast<int32_t>(offset)};
    if (pointer.how == Saved::How::kAtCfa) rule.saved = static_cast<uint16_t>(-pointer.offset / 8);
    if (pointer.how == Saved::How::kOther) return kStop;
    return rule;
  }

  Fd file_;
  Elf* elf_ = nullptr;
  Dwarf* dwarf_ = nullptr;
  Dwarf_CFI* cfi_ = nullptr;
};

}  // namespace memwhy::symbols::testing
