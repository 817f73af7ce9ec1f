// SPDX-License-Identifier: Apache-2.0
// Columns and paragraphs of a terminal. Numbers of one column share one unit and are rounded together, so
// that the printed numbers add up to the printed sum below the line.
//
//   shares of thirds: 33.4 + 33.3 + 33.3 = 100.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace memwhy::report {

constexpr size_t kWidth = 80;

struct Unit {
  std::string_view name;
  uint64_t bytes;
};

// The unit for a column with this total: KiB, MiB or GiB.
Unit unit_for(uint64_t total_bytes);

// Tenths of `unit` for each part; they sum to the rounded total. Largest remainder method. unit > 0.
std::vector<uint64_t> tenths(const std::vector<uint64_t>& parts, uint64_t unit);
// Tenths of a percent for each part; they sum to 1000 (or all are 0).
std::vector<uint64_t> permille(const std::vector<uint64_t>& parts);
// 3012 → "301.2"
std::string tenths_text(uint64_t value);

// Columns that the text takes: characters, not bytes of UTF-8.
size_t columns(std::string_view text);
// The text cut to that many columns; what was cut is "...".
std::string cut(std::string_view text, size_t most);

// `text` broken at spaces into lines of `width` columns, the first after `first`, the others after as many spaces. A
// word that is longer than a line stays whole: names of files and functions must be copied.
std::string paragraph(std::string_view first, std::string_view text, size_t width = kWidth);

}  // namespace memwhy::report
