// SPDX-License-Identifier: Apache-2.0
#include "report/page.h"

#include <algorithm>
#include <array>

#include "report/layout.h"

namespace memwhy::report {
std::string Page::painted(std::string_view text, Ink ink) const {
  static constexpr std::array<std::string_view, 6> kCodes = {"", "1", "2", "1;31", "32", "33"};
  if (!style_.colour || ink == Ink::kPlain) return std::string(text);
  std::string out = "\x1b[";
  out += kCodes[static_cast<size_t>(ink)];
  out += 'm';
  out += text;
  return out + "\x1b[0m";
}

void Page::paragraph(std::string_view first, std::string_view text, Ink ink) {
  const std::string lines = report::paragraph(first, text, style_.width);
  if (first.find_first_not_of(' ') == std::string_view::npos) {
    out_ += painted(std::string_view(lines).substr(0, lines.size() - 1), ink) + "\n";
  } else {
    out_ += painted(first, ink);
    out_ += lines.substr(first.size());
  }
}

void Page::line(std::string_view text, Ink ink) { out_ += painted(text, ink) + "\n"; }

std::string Page::bar(uint64_t permille, size_t most) const {
  static constexpr std::array<std::string_view, 8> kEighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const uint64_t eighths = std::max<uint64_t>(permille * most * 8 / 1000, permille > 0 ? 1 : 0);
  std::string out;
  if (!style_.unicode) return {std::string(std::max<uint64_t>(eighths / 8, eighths > 0 ? 1 : 0), '#')};
  for (uint64_t i = 0; i < eighths / 8; ++i) out += "█";
  return out + std::string(kEighths[eighths % 8]);
}

}  // namespace memwhy::report
