// SPDX-License-Identifier: Apache-2.0
// Work in a process of its own, for one answer: a recording that takes too much time or memory ends that process
// (file_limits.h) and not the server, and all of its memory is freed.
//
//   server ──fork──► within(limits, work) ──► answer │ "memwhy: web.memwhy: it takes more than …", status 6
//          ◄──────────────── two files in memory ────┘
#pragma once

#include <functional>
#include <string>

#include "app/file_limits.h"
#include "base/result.h"

namespace memwhy::app {

// What `work` gives, or its error as a sentence. `name`: of what is read. Precondition: no other thread runs.
Result<std::string> apart(const FileLimits& limits, const std::string& name,
                          const std::function<Result<std::string>()>& work);

}  // namespace memwhy::app
