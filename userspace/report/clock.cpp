// SPDX-License-Identifier: Apache-2.0
#include "report/clock.h"

#include <fmt/format.h>

#include <ctime>

namespace memwhy::report {
namespace {

std::optional<std::string> utc(uint64_t realtime_ns) {
  constexpr uint64_t kSecond = 1'000'000'000;
  auto seconds = static_cast<std::time_t>(realtime_ns / kSecond);
  std::tm parts = {};
  if (gmtime_r(&seconds, &parts) == nullptr) return std::nullopt;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     realtime_ns % kSecond / 1'000'000);
}

}  // namespace

std::optional<std::string> rfc3339(const timeline::WallClock& clock, TimeNs monotonic_ns) {
  const std::optional<uint64_t> time = clock.realtime_ns(monotonic_ns);
  return time ? utc(*time) : std::nullopt;
}

std::optional<std::string> rfc3339_boottime(const timeline::WallClock& clock, uint64_t boottime_ns) {
  const std::optional<uint64_t> time = clock.realtime_ns_of_boottime(boottime_ns);
  return time ? utc(*time) : std::nullopt;
}

}  // namespace memwhy::report
