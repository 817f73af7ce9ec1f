// SPDX-License-Identifier: Apache-2.0
// A line of the ledger: one owner's bytes, and how they grew. heaviest.h cuts out of the cells what holds them. Part of
// explanation.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "explain/owner.h"

namespace memwhy::explain {

struct LedgerLine {
  Owner owner{};
  uint64_t bytes = 0;
  std::optional<double> growth_bytes_per_s;  // needs two scans
  std::optional<double> arrived_bytes_per_s, left_bytes_per_s;
  bool in_heap_profile = false;
  std::array<uint64_t, 4> ages = {};  // bytes older than 10 s, 1 min, 10 min, 1 h
  bool ages_known = true;  // false: the line is a part of pages, of which only the whole has an age
  uint64_t huge_bytes = 0, lazy_bytes = 0;

  std::string added_id, added_label;  // of an owner that a registration added

  std::string_view id() const { return added_id.empty() ? owner_name(owner).id : std::string_view(added_id); }
  std::string_view label() const {  // for people
    return added_id.empty() ? owner_name(owner).label : std::string_view(added_label);
  }
};

}  // namespace memwhy::explain
