// SPDX-License-Identifier: Apache-2.0
#include "base/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace memwhy {

void cut_bounding_set(uint64_t kept) {
  for (unsigned one = 0; ::prctl(PR_CAPBSET_READ, one, 0, 0, 0) >= 0; ++one)
    if ((kept >> one & 1) == 0) ::prctl(PR_CAPBSET_DROP, one, 0, 0, 0);
}

Status keep_capabilities(uint64_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};  // 0: this thread
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0)
    return errno_error(ErrorCode::kEnvironment, "asking for our capabilities", errno);
  for (unsigned half = 0; half < 2; ++half) {
    sets[half].permitted &= static_cast<uint32_t>(kept >> (32 * half));
    sets[half].effective = sets[half].permitted;
    sets[half].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0)
    return errno_error(ErrorCode::kEnvironment, "giving up capabilities", errno);
  return {};
}

}  // namespace memwhy
