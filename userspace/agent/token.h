// SPDX-License-Identifier: Apache-2.0
// Token: what a client of the front has to show before it is given recordings or profiles. Read by the agent, and handed to the front
// over their socket: it is on no command line, and in no log.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace memwhy::agent {

constexpr size_t kShortestToken = 16, kLongestToken = 256;

// The first line of the file. kUsage: it is no token, or others may read the file.
Result<std::string> read_token(const std::string& path);

// Takes the same time wherever the two differ. An empty token is nobody's.
bool is_token(std::string_view given, std::string_view token);

}  // namespace memwhy::agent
