// SPDX-License-Identifier: Apache-2.0
// Where TSan, Go's race detector, puts its own memory: one row for each machine. The machine is that of the recorded process,
// not the one that explains the recording. A race build for a machine without a row is explained like any other program.
//
//   x86-64, 48 bit addresses:  00c000000000 [Go heap) 00e000000000 … 200000000000 [shadow) 238000000000 …
//                              300000000000 [meta) 400000000000
#pragma once

#include <array>
#include <string_view>

#include "base/ids.h"

namespace memwhy::explain {

struct RaceLayout {
  std::string_view machine;  // as SpaceStart::elf_class
  AddressRange shadow, meta;
  AddressRange go_heap;  // TSan's own blocks never lie in it
};

constexpr std::array<RaceLayout, 1> kRaceLayouts = {{
    // The same from Go 1.19 to 1.27.
    {"x86-64",
     {0x200000000000, 0x238000000000},
     {0x300000000000, 0x400000000000},
     {0x00c000000000, 0x00e000000000}},
}};

// `machine` "": not recorded; then it is the first one.
constexpr const RaceLayout* race_layout(std::string_view machine) {
  for (const RaceLayout& layout : kRaceLayouts)
    if (machine.empty() || machine == layout.machine) return &layout;
  return nullptr;
}

}  // namespace memwhy::explain
