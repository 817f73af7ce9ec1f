// SPDX-License-Identifier: Apache-2.0
// A pointer as .eh_frame and .eh_frame_hdr encode it (DW_EH_PE_…).
#pragma once

#include <cstdint>
#include <optional>

#include "symbols/byte_cursor.h"

namespace memwhy::symbols {

constexpr uint8_t kPointerOmitted = 0xff, kPointerIndirect = 0x80, kPointerForm = 0x0f;

// `base`: the address of the cursor's first byte. Nothing: an encoding that no function's address has.
inline std::optional<uint64_t> encoded_pointer(ByteCursor& in, uint8_t encoding, uint64_t base) {
  const uint64_t here = base + in.at();
  uint64_t value = 0;
  const auto extended = [](int64_t number) { return static_cast<uint64_t>(number); };
  switch (encoding & kPointerForm) {
    case 0x0:
    case 0x4:
    case 0xc:
      value = in.number<uint64_t>();
      break;
    case 0x1:
      value = in.unsigned_leb();
      break;
    case 0x2:
      value = in.number<uint16_t>();
      break;
    case 0x3:
      value = in.number<uint32_t>();
      break;
    case 0x9:
      value = extended(in.signed_leb());
      break;
    case 0xa:
      value = extended(in.number<int16_t>());
      break;
    case 0xb:
      value = extended(in.number<int32_t>());
      break;
    default:
      return std::nullopt;
  }
  constexpr uint8_t kAbsolute = 0x00, kRelative = 0x10;
  const uint8_t how = encoding & 0xf0;
  if (!in.ok() || (how != kAbsolute && how != kRelative)) return std::nullopt;
  return how == kRelative ? here + value : value;
}

}  // namespace memwhy::symbols
