// SPDX-License-Identifier: Apache-2.0
#include "goruntime/layout.h"

#include <array>

namespace memwhy::goruntime {

namespace {
#include "goruntime/layouts/go1_19.inc"
#include "goruntime/layouts/go1_20.inc"
#include "goruntime/layouts/go1_21.inc"
#include "goruntime/layouts/go1_22.inc"
#include "goruntime/layouts/go1_23.inc"
#include "goruntime/layouts/go1_24.inc"
#include "goruntime/layouts/go1_25.inc"
#include "goruntime/layouts/go1_26.inc"
#include "goruntime/layouts/go1_27.inc"

constexpr std::array kLayouts = {&kGo1_19, &kGo1_20, &kGo1_21, &kGo1_22, &kGo1_23,
                                 &kGo1_24, &kGo1_25, &kGo1_26, &kGo1_27};
}  // namespace

const Layout* layout_of(int minor) {
  for (const Layout* layout : kLayouts)
    if (layout->minor == minor) return layout;
  return nullptr;
}

std::span<const Layout* const> all_layouts() { return kLayouts; }

}  // namespace memwhy::goruntime
