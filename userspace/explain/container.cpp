// SPDX-License-Identifier: Apache-2.0
#include "explain/container.h"

#include <algorithm>

namespace memwhy::explain {
namespace {

bool hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

std::optional<std::string> container_of(std::string_view cgroup) {
  constexpr size_t kIdDigits = 64;
  size_t run = 0;
  for (size_t i = 0; i <= cgroup.size(); ++i) {
    if (i < cgroup.size() && hex(cgroup[i])) {
      ++run;
      continue;
    }
    if (run == kIdDigits) return std::string(cgroup.substr(i - kIdDigits, kIdDigits));
    run = 0;
  }
  return std::nullopt;
}

std::optional<std::string> pod_of(std::string_view cgroup) {
  constexpr size_t kUidLength = 36;  // 8-4-4-4-12, with '_' for '-' where systemd names the slice
  for (size_t at = cgroup.find("pod"); at != std::string_view::npos; at = cgroup.find("pod", at + 1)) {
    std::string uid(cgroup.substr(at + 3, kUidLength));
    std::replace(uid.begin(), uid.end(), '_', '-');
    bool well_formed = uid.size() == kUidLength;
    for (size_t i = 0; well_formed && i < uid.size(); ++i) {
      bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      well_formed = dash ? uid[i] == '-' : hex(uid[i]);
    }
    if (well_formed) return uid;
  }
  return std::nullopt;
}

}  // namespace memwhy::explain
