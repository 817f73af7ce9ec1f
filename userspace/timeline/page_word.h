// SPDX-License-Identifier: Apache-2.0
// PageWord: what the model remembers of one page, in 8 bytes. 0 = nothing is known.
//
//   63     56 55   52 51                      24 23                    0
//   [ flags ] [ how ] [ tick - base of table   ] [ index of the stack   ]
//    resident  kFault  49,000 (196 s at 250 Hz)    7 = stack 9
//
// tick is the birth where it is known: the fault's. For kMmapSite, kBeforeAttach and kUnknown ("weak") it is
// the start of the scan that saw the page first.
#pragma once

#include <array>
#include <cstdint>

#include "base/ids.h"
#include "timeline/page_group.h"

namespace memwhy::timeline {

constexpr PageNumber kPageLimit = PageNumber{1} << 52;  // no page number is as large

// The pages of a range of bytes, valid or not: a range from a damaged trace comes out empty or cut.
inline PageRange clamped_pages(AddressRange range) {
  if (range.empty()) return {};
  return {range.start >> kPageShift, ((range.end - 1) >> kPageShift) + 1};
}

class PageWord {
 public:
  static constexpr int kStackBits = 24, kTickBits = 28;
  static constexpr uint32_t kNoStack = 0, kLostStack = (1u << kStackBits) - 1;
  static constexpr uint64_t kTickLimit = uint64_t{1} << kTickBits;

  enum Flags : uint8_t {
    kResident = 1,  // in the last scan
    kLazy = 2,      // MADV_FREE, not written since
    kWrite = 4,     // its fault was a write
    kHuge = 8,      // as of the last scan
    kFile = 16,     // as of the last scan
    kSwapped = 32,  // as of the last scan
  };

  constexpr PageWord() = default;
  constexpr PageWord(How how, uint32_t stack, uint64_t tick, uint8_t flags)
      : bits_(uint64_t{flags} << 56 | (uint64_t{static_cast<uint8_t>(how)} + 1) << 52 | tick << kStackBits |
              stack) {}

  constexpr bool empty() const { return bits_ == 0; }
  constexpr uint32_t stack() const { return static_cast<uint32_t>(bits_ & kLostStack); }
  constexpr uint64_t tick() const {
    return bits_ >> kStackBits & (kTickLimit - 1);
  }  // relative to the table's base
  constexpr How how() const { return static_cast<How>((bits_ >> 52 & 15) - 1); }  // precondition: !empty()
  constexpr uint8_t flags() const { return static_cast<uint8_t>(bits_ >> 56); }
  constexpr bool has(uint8_t flags) const { return (bits_ >> 56 & flags) != 0; }

  // An entry of the kernel's table, at its place or carried: proves this page's fault, and its neighbours'.
  constexpr bool own() const { return !empty() && (how() <= How::kKernelFault || how() == How::kMoved); }
  // Known only to be there: evidence that arrives late may still explain it.
  constexpr bool weak() const { return !empty() && how() >= How::kMmapSite; }

  constexpr PageWord with(uint8_t flags) const { return PageWord(bits_ | uint64_t{flags} << 56); }
  constexpr PageWord without(uint8_t flags) const { return PageWord(bits_ & ~(uint64_t{flags} << 56)); }
  constexpr PageWord flagged(uint8_t clear, uint8_t set) const {
    return PageWord((bits_ & ~(uint64_t{clear} << 56)) | uint64_t{set} << 56);
  }
  constexpr PageWord known_by(How how) const { return {how, stack(), tick(), flags()}; }
  constexpr PageWord at_tick(uint64_t tick) const { return {how(), stack(), tick, flags()}; }
  constexpr PageWord with_stack(uint32_t stack) const { return {how(), stack, tick(), flags()}; }
  // As a child has it that was forked from this: stack and birth stay, residency is its own.
  constexpr PageWord inherited() const {
    return empty() ? PageWord() : PageWord(How::kInherited, stack(), tick(), flags() & (kLazy | kWrite));
  }
  // As it is after an mremap carried it: what was known by the place of a fault is now known by the move.
  constexpr PageWord moved() const { return empty() || how() > How::kMoved ? *this : known_by(How::kMoved); }

  constexpr bool operator==(const PageWord&) const = default;

 private:
  explicit constexpr PageWord(uint64_t bits) : bits_(bits) {}
  uint64_t bits_ = 0;
};
static_assert(sizeof(PageWord) == 8);

// The words of one 2 MiB chunk, unpacked to be worked on.
using ChunkWords = std::array<PageWord, kChunkPages>;

}  // namespace memwhy::timeline
