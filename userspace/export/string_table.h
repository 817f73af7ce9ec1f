// SPDX-License-Identifier: Apache-2.0
// StringTable: the strings of a profile, each once, by number; 0 is "". Shared by pprof and OTLP.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace memwhy::exports {

class StringTable {
 public:
  StringTable() { number(""); }

  int64_t number(std::string_view text) {
    const auto [found, added] =
        numbers_.try_emplace(std::string(text), static_cast<int64_t>(in_order_.size()));
    if (added) in_order_.push_back(&found->first);  // a node of the map stays where it is
    return found->second;
  }
  const std::vector<const std::string*>& in_order() const { return in_order_; }

 private:
  std::unordered_map<std::string, int64_t> numbers_;
  std::vector<const std::string*> in_order_;
};

}  // namespace memwhy::exports
