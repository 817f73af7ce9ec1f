// SPDX-License-Identifier: Apache-2.0
#include "explain/units.h"

#include <fmt/format.h>

#include <cmath>

#include "base/text.h"
#include "base/whole.h"

namespace memwhy::explain {

std::string human_rate_per_min(double bytes_per_s) {
  double per_min = bytes_per_s * 60;
  const uint64_t bytes = nearest(std::abs(per_min));
  return fmt::format("{}{}/min", per_min < 0 ? "-" : "+", human_bytes(bytes));
}

std::string human_share(double share) { return fmt::format("{:.0f} %", share * 100); }

std::string human_seconds(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace memwhy::explain
