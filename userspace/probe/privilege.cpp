// SPDX-License-Identifier: Apache-2.0
#include "probe/privilege.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>

#include <charconv>
#include <fstream>

#include "base/fd.h"

namespace memwhy::probe {

std::vector<std::string> Privilege::missing() const {
  std::vector<std::string> names;
  if (has(CAP_SYS_ADMIN)) return names;  // implies both
  if (!has(CAP_BPF)) names.emplace_back("CAP_BPF");
  if (!has(CAP_PERFMON)) names.emplace_back("CAP_PERFMON");
  return names;
}

Privilege own_privilege() {
  Privilege privilege;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    constexpr std::string_view kKey = "CapEff:\t";
    if (line.rfind(kKey, 0) != 0) continue;
    const char* const digits = line.data() + kKey.size();
    privilege.known =
        std::from_chars(digits, line.data() + line.size(), privilege.effective, 16).ec == std::errc{};
  }
  std::ifstream map("/proc/self/uid_map");
  uint64_t inside = 0, outside = 0, count = 0;
  if (map >> inside >> outside >> count)
    privilege.user_namespace = inside != 0 || outside != 0 || count != 0xffffffff;
  return privilege;
}

std::optional<Error> missing_privilege() {
  const Privilege privilege = own_privilege();
  if (const std::vector<std::string> missing = privilege.missing(); privilege.known && !missing.empty())
    return Error(
        ErrorCode::kEnvironment,
        fmt::format(
            "loading BPF programs needs {}, which this process lacks: run it as root, or give the binary "
            "these capabilities",
            fmt::join(missing, " and ")));
  if (privilege.user_namespace)
    return Error(ErrorCode::kEnvironment,
                 "BPF programs cannot be loaded from inside a user namespace (an unprivileged container): "
                 "run memwhy on the host");
  return std::nullopt;
}

bool can_measure_run_time() { return static_cast<bool>(Fd(bpf_enable_stats(BPF_STATS_RUN_TIME))); }

}  // namespace memwhy::probe
