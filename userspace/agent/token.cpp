// SPDX-License-Identifier: Apache-2.0
#include "agent/token.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/content.h"
#include "base/fd.h"

namespace memwhy::agent {

Result<std::string> read_token(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat is {};
  if (!file || ::fstat(file.get(), &is) != 0)
    return errno_error(ErrorCode::kUsage, "the token in " + path + " can't be read", errno);
  if (!S_ISREG(is.st_mode)) return Error(ErrorCode::kUsage, path + " is no file with a token");
  if ((is.st_mode & 0007) != 0)
    return Error(ErrorCode::kUsage, fmt::format("everybody may read the token in {0}; chmod 0640 {0}", path));
  std::string token = content_of(file, kLongestToken + 2);
  token.resize(std::min(token.find('\n'), token.size()));
  const bool printable = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable || token.size() < kShortestToken || token.size() > kLongestToken)
    return Error(
        ErrorCode::kUsage,
        fmt::format("the first line of {} is no token: {} to {} printable characters without a space", path,
                    kShortestToken, kLongestToken));
  return token;
}

bool is_token(std::string_view given, std::string_view token) {
  if (token.empty() || given.empty()) return false;
  volatile unsigned difference = given.size() == token.size() ? 0 : 1;
  for (size_t i = 0; i < token.size(); ++i)
    difference = difference | static_cast<unsigned char>(token[i] ^ given[i % given.size()]);
  return difference == 0;
}

}  // namespace memwhy::agent
