// SPDX-License-Identifier: Apache-2.0
#include "app/offered.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/text.h"

namespace memwhy::app {
namespace {

constexpr size_t kMostOfFolder = 10'000;
constexpr size_t kMostNamed = 200;  // bytes of a requested name in an error

}  // namespace

Result<Offered> Offered::of(const std::vector<std::string>& paths) {
  Offered out;
  for (const std::string& path : paths) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return errno_error(ErrorCode::kBadInput, path, errno);
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
      return Error(ErrorCode::kBadInput, path + ": is neither a file nor a folder");
    out.paths_.push_back({path, S_ISDIR(status.st_mode)});
  }
  return out;
}

void Offered::each(const auto& visit) const {
  for (const Path& given : paths_) {
    if (!given.is_folder) {
      visit(given.path, 0);
      continue;
    }
    std::error_code failed;
    size_t seen = 0;
    for (std::filesystem::directory_iterator it(given.path, failed), end; !failed && it != end;
         it.increment(failed)) {
      if (it->path().extension() != ".memwhy") continue;
      if (++seen > kMostOfFolder) break;
      visit(it->path().string(), O_NOFOLLOW);
    }
  }
}

std::vector<OfferedFile> Offered::files() const {
  std::vector<OfferedFile> out;
  each([&](const std::string& path, int flags) {
    struct stat status {};
    const int at = flags == O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    if (::fstatat(AT_FDCWD, path.c_str(), &status, at) != 0 || !S_ISREG(status.st_mode)) return;
    out.push_back({escape(path), static_cast<uint64_t>(status.st_size), status.st_mtime});
  });
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.modified > b.modified; });
  return out;
}

Result<Fd> Offered::open(const std::string& name) const {
  Result<Fd> out =
      Error(ErrorCode::kUsage, fmt::format("{} is not offered; the tool list says which files are",
                                           escape(name.substr(0, kMostNamed))));
  bool found = false;
  each([&](const std::string& path, int flags) {
    if (found || escape(path) != name) return;
    found = true;
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags));
    if (file)
      out = std::move(file);
    else
      out = errno_error(ErrorCode::kBadInput, name, errno);
  });
  return out;
}

}  // namespace memwhy::app
