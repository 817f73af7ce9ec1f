// SPDX-License-Identifier: Apache-2.0
#include "procfs/cgroup_find.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <system_error>

namespace memwhy::procfs {
namespace {

constexpr size_t kIdDigits = 64;     // of a container's id
constexpr size_t kMatchesNamed = 4;  // in a sentence
constexpr std::array<std::string_view, 3> kUnitSuffixes = {".service", ".scope", ".slice"};

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

std::string without_slashes_at_end(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// Of a directory below the mount; nullopt: it is not below it.
std::optional<std::string> below(const CgroupMount& mount, const std::string& directory) {
  if (directory != mount.point && !directory.starts_with(mount.point + "/")) return std::nullopt;
  const std::string path = (mount.root == "/" ? "" : mount.root) + directory.substr(mount.point.size());
  return path.empty() ? "/" : path;
}

struct Search {
  std::vector<std::string> found;
  bool complete = true;
};

Search search(const CgroupMount& mount, std::string_view text) {
  namespace fs = std::filesystem;
  Search out;
  size_t seen = 0;
  // One directory at a time: a cgroup that goes away on the way costs only itself, where an iterator of the whole tree ends.
  std::vector<fs::path> waiting = {mount.point};
  while (!waiting.empty()) {
    std::error_code error;
    fs::directory_iterator each(waiting.back(), error);  // the end, where it can't be opened
    waiting.pop_back();
    for (; !error && each != fs::directory_iterator(); each.increment(error)) {
      std::error_code gone;
      if (!each->is_directory(gone) || each->is_symlink(gone)) continue;
      if (++seen > kCgroupsLookedAt) {
        out.complete = false;
        return out;
      }
      if (!names_cgroup(each->path().filename().native(), text)) {
        waiting.push_back(each->path());
        continue;  // what is below one that is found is a part of it
      }
      if (auto path = below(mount, each->path().native())) out.found.push_back(*std::move(path));
    }
  }
  return out;
}

Error none_found(const std::string& text, const std::vector<CgroupMount>& mounts, bool complete) {
  if (mounts.empty())
    return {ErrorCode::kEnvironment,
            "no cgroup hierarchy that limits memory is mounted here: give -p PID or --comm NAME"};
  return {
      ErrorCode::kTargetGone,
      fmt::format("no cgroup of the name {} below {}{}: `systemd-cgls` shows them, /proc/PID/cgroup the one "
                  "of a process",
                  text, mounts.front().point,
                  complete ? "" : fmt::format(" among the first {} that were looked at", kCgroupsLookedAt))};
}

}  // namespace

bool names_cgroup(std::string_view directory, std::string_view text) {
  if (directory == text) return true;
  for (const std::string_view suffix : kUnitSuffixes)
    if (directory.ends_with(suffix) && directory.substr(0, directory.size() - suffix.size()) == text)
      return true;
  if (text.size() < kContainerDigits || !std::all_of(text.begin(), text.end(), is_hex)) return false;
  for (size_t at = directory.find(text); at != std::string_view::npos; at = directory.find(text, at + 1)) {
    if (at > 0 && is_hex(directory[at - 1])) continue;  // not its first digits
    size_t end = at;
    while (end < directory.size() && is_hex(directory[end])) ++end;
    if (end - at == kIdDigits) return true;
  }
  return false;
}

Result<std::string> find_cgroup(const std::vector<CgroupMount>& mounts, const std::string& text) {
  if (text.find('/') != std::string::npos) {
    const std::string path = without_slashes_at_end(text);
    for (const CgroupMount& mount : mounts)
      if (auto inside = below(mount, path)) return *std::move(inside);
    return path.front() == '/' ? path : "/" + path;
  }
  Search all;
  for (const CgroupMount& mount : mounts) {
    Search here = search(mount, text);
    all.complete = all.complete && here.complete;
    for (std::string& path : here.found)
      if (std::find(all.found.begin(), all.found.end(), path) == all.found.end())
        all.found.push_back(std::move(path));
    if (!all.found.empty()) break;  // of the hierarchies the first that has it
  }
  if (all.found.empty()) return none_found(text, mounts, all.complete);
  if (all.found.size() == 1) return std::move(all.found.front());
  std::sort(all.found.begin(), all.found.end());
  const size_t shown = std::min(all.found.size(), kMatchesNamed);
  return Error(
      ErrorCode::kUsage,
      fmt::format("{} cgroups have the name {}: {}{}; give the whole path of one", all.found.size(), text,
                  fmt::join(all.found.begin(), all.found.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                  all.found.size() > shown ? ", …" : ""));
}

}  // namespace memwhy::procfs
