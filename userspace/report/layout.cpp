// SPDX-License-Identifier: Apache-2.0
#include "report/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace memwhy::report {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// parts × scale / whole, rounded so that they sum to `target`.
std::vector<uint64_t> apportion(const std::vector<uint64_t>& parts, uint64_t scale, uint64_t whole,
                                uint64_t target) {
  std::vector<uint64_t> out(parts.size());
  std::vector<std::pair<unsigned __int128, size_t>> rest;
  uint64_t sum = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    auto scaled = static_cast<unsigned __int128>(parts[i]) * scale;
    out[i] = static_cast<uint64_t>(scaled / whole);
    rest.emplace_back(scaled % whole, i);
    sum += out[i];
  }
  std::stable_sort(rest.begin(), rest.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (size_t k = 0; k < rest.size() && sum < target; ++k, ++sum) ++out[rest[k].second];
  return out;
}

}  // namespace

Unit unit_for(uint64_t total_bytes) {
  constexpr uint64_t kKiB = 1024, kMiB = kKiB * 1024, kGiB = kMiB * 1024;
  if (total_bytes < 10 * kMiB) return {"KiB", kKiB};
  if (total_bytes < 100 * kGiB) return {"MiB", kMiB};
  return {"GiB", kGiB};
}

std::vector<uint64_t> tenths(const std::vector<uint64_t>& parts, uint64_t unit) {
  uint64_t total = std::accumulate(parts.begin(), parts.end(), uint64_t{0});
  auto target = static_cast<uint64_t>((static_cast<unsigned __int128>(total) * 10 + unit / 2) / unit);
  return apportion(parts, 10, unit, target);
}

std::vector<uint64_t> permille(const std::vector<uint64_t>& parts) {
  uint64_t total = std::accumulate(parts.begin(), parts.end(), uint64_t{0});
  if (total == 0) return std::vector<uint64_t>(parts.size());
  return apportion(parts, 1000, total, 1000);
}

std::string tenths_text(uint64_t value) { return fmt::format("{}.{}", value / 10, value % 10); }

size_t columns(std::string_view text) {
  return text.size() - static_cast<size_t>(std::count_if(text.begin(), text.end(), continues));
}

std::string cut(std::string_view text, size_t most) {
  constexpr std::string_view kDots = "...";
  if (columns(text) <= most) return std::string(text);
  size_t left = most > kDots.size() ? most - kDots.size() : 0, at = 0;
  while (at < text.size() && (left > 0 || continues(text[at]))) left -= continues(text[at++]) ? 0 : 1;
  return std::string(text.substr(0, at)) + std::string(kDots.substr(0, most));
}

std::string paragraph(std::string_view first, std::string_view text, size_t width) {
  std::string out(first);
  std::string indent(columns(first), ' ');
  size_t column = columns(first);
  bool fresh = true;
  while (!text.empty()) {
    size_t space = text.find(' ');
    std::string_view word = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    if (!fresh && column + 1 + columns(word) > width) {
      out += "\n" + indent;
      column = indent.size();
      fresh = true;
    }
    if (!fresh) {
      out += ' ';
      ++column;
    }
    out += word;
    column += columns(word);
    fresh = false;
  }
  return out + "\n";
}

}  // namespace memwhy::report
