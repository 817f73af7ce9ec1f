// SPDX-License-Identifier: Apache-2.0
#include "app/units.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <ctime>
#include <utility>

#include "base/time.h"

namespace memwhy::app {
namespace {

struct Split {
  double number;
  std::string_view unit;
};

// "1.5s" -> {1.5, "s"}. Digits and one point only: no sign, no exponent, no "inf".
std::optional<Split> split(std::string_view text) {
  const size_t end = text.find_first_not_of("0123456789.");
  const std::string_view digits = text.substr(0, end);
  double number = 0;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc() || rest != digits.data() + digits.size()) return std::nullopt;
  return Split{number, end == std::string_view::npos ? std::string_view() : text.substr(end)};
}

}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  const auto parts = split(text);
  if (!parts) return std::nullopt;
  constexpr std::string_view kPrefixes = "KMGT";
  std::string_view unit = parts->unit;
  double factor = 1;
  if (!unit.empty()) {
    const size_t prefix = kPrefixes.find(static_cast<char>(unit.front() & ~0x20));
    if (prefix != std::string_view::npos) {
      for (size_t i = 0; i <= prefix; ++i) factor *= 1024;
      unit.remove_prefix(1);
      if (!unit.empty() && unit.front() == 'i') unit.remove_prefix(1);
    }
    if (!unit.empty() && unit != "B" && unit != "b") return std::nullopt;
  }
  const double bytes = parts->number * factor;
  if (bytes >= 9.2e18) return std::nullopt;
  return static_cast<uint64_t>(bytes);
}

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, double>, 6> kUnits = {
      {{"", 1}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}};
  constexpr double kCentury = 100 * 365 * 86400.0;
  const auto parts = split(text);
  if (!parts) return std::nullopt;
  for (const auto& [name, seconds] : kUnits) {
    if (parts->unit != name) continue;
    if (parts->number * seconds > kCentury) return std::nullopt;
    return std::chrono::nanoseconds(static_cast<int64_t>(parts->number * seconds * 1e9));
  }
  return std::nullopt;
}

std::optional<double> parse_share(std::string_view text) {
  const auto parts = split(text);
  if (!parts || (!parts->unit.empty() && parts->unit != "%")) return std::nullopt;
  const double share = parts->unit.empty() ? parts->number : parts->number / 100;
  return share <= 1 ? std::optional(share) : std::nullopt;
}

std::string utc_text(int64_t realtime_ns) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(static_cast<std::time_t>(realtime_ns / int64_t{kNsPerSecond})));
}

std::string duration_text(std::chrono::nanoseconds duration) {
  const int64_t seconds = std::chrono::round<std::chrono::seconds>(duration).count();
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {:02} min", seconds / 3600, seconds / 60 % 60);
}

}  // namespace memwhy::app
