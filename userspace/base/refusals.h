// SPDX-License-Identifier: Apache-2.0
// Why a process is not recorded, in one wording, because several rooms find this out by different means.
#pragma once

#include <string>

#include "base/result.h"

namespace memwhy {

// name: "pid 2 (kthreadd)".
inline Error kernel_thread(const std::string& name) {
  return {ErrorCode::kUsage, name + " is a kernel thread: it has no memory of its own"};
}

}  // namespace memwhy
