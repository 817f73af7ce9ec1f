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

bool has_green_tea(int minor, std::string_view version) {
  constexpr int kByDefault = 26;
  constexpr std::string_view kExperiments = "X:", kName = "greenteagc", kNot = "nogreenteagc";
  bool has = minor >= kByDefault;
  const size_t list = version.find(kExperiments);
  if (list == std::string_view::npos) return has;
  for (size_t at = list + kExperiments.size(); at <= version.size();) {
    const std::string_view name = version.substr(at, version.find_first_of(", ", at) - at);
    if (name == kName) has = true;
    if (name == kNot) has = false;
    at += name.size() + 1;
  }
  return has;
}

}  // namespace memwhy::goruntime
