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

constexpr std::array kX86_64 = {&kGo1_19, &kGo1_20, &kGo1_21, &kGo1_22, &kGo1_23,
                                &kGo1_24, &kGo1_25, &kGo1_26, &kGo1_27};

struct Measured {
  std::string_view machine;
  std::span<const Layout* const> layouts;
};
constexpr std::array<Measured, 1> kMachines = {{{"x86-64", kX86_64}}};
}  // namespace

const Layout* layout_of(int minor, std::string_view machine) {
  for (const Measured& measured : kMachines) {
    if (measured.machine != machine) continue;
    for (const Layout* layout : measured.layouts)
      if (layout->minor == minor) return layout;
  }
  return nullptr;
}

std::span<const Layout* const> all_layouts() { return kX86_64; }

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
