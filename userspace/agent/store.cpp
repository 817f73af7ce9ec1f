// SPDX-License-Identifier: Apache-2.0
#include "agent/store.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "agent/unit.h"
#include "base/time.h"

namespace memwhy::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".memwhy", kTemporary = ".closing.";

// Found or made, ours, and nobody else may write there.
Status make_folder(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_error(ErrorCode::kOutput, "can't make the folder " + folder, errno);
  struct stat is {};
  if (::lstat(folder.c_str(), &is) != 0)
    return errno_error(ErrorCode::kOutput, "can't look at " + folder, errno);
  if (!S_ISDIR(is.st_mode)) return Error(ErrorCode::kOutput, folder + " is no folder");
  if (is.st_uid != ::geteuid())
    return Error(ErrorCode::kOutput,
                 fmt::format("{} belongs to uid {}, and this agent runs as uid {}; give --dir a "
                             "folder of its own",
                             folder, is.st_uid, ::geteuid()));
  if ((is.st_mode & 022) != 0)
    return Error(ErrorCode::kOutput, fmt::format("others may write into {}; chmod 0700 {}", folder, folder));
  return {};
}

Result<Fd> take_lock(const std::string& folder) {
  const std::string path = folder + "/lock";
  Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return errno_error(ErrorCode::kOutput, "can't write into " + folder, errno);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> pid{};
    const ssize_t n = ::pread(lock.get(), pid.data(), pid.size() - 1, 0);
    return Error(ErrorCode::kConflict,
                 fmt::format("an agent is running on {}{}; stop it, or give this one another --dir", folder,
                             n > 0 ? fmt::format(" (pid {})", pid.data()) : ""));
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), pid.data(), pid.size(), 0) < 0)
    return errno_error(ErrorCode::kOutput, "can't write into " + folder, errno);
  return lock;
}

int64_t modified_ns(const struct stat& is) {
  return is.st_mtim.tv_sec * static_cast<int64_t>(kNsPerSecond) + is.st_mtim.tv_nsec;
}

// Later than all of them, also where the clock was set back since: the order of files is that in which they were closed.
void make_newest(const std::string& file, const std::vector<StoredRecording>& others) {
  struct stat is {};
  if (others.empty() || ::stat(file.c_str(), &is) != 0 || modified_ns(is) > others.back().modified_ns) return;
  constexpr auto kSecond = static_cast<int64_t>(kNsPerSecond);
  const int64_t next = others.back().modified_ns + 1;
  const timespec times[2] = {{0, UTIME_OMIT}, {next / kSecond, next % kSecond}};
  static_cast<void>(::utimensat(AT_FDCWD, file.c_str(), times, 0));  // best effort: it is whole without
}

// "ring.memwhy" 0, "ring.17.memwhy" 17.
int part_number(const std::string& name) {
  constexpr std::string_view kRing = "ring.";
  if (!name.starts_with(kRing) || !name.ends_with(kExtension)) return -1;
  if (name.size() == kRing.size() + kExtension.size() - 1) return 0;
  int number = -1;
  std::from_chars(name.data() + kRing.size(), name.data() + name.size(), number);
  return number;
}

}  // namespace

Result<Store> Store::open(const std::string& folder) {
  if (Status made = make_folder(folder); !made) return made.error();
  Result<Fd> lock = take_lock(folder);
  if (!lock) return std::move(lock).error();
  if (Status made = make_folder(folder + "/ring"); !made) return made.error();
  return Store(folder, std::move(*lock));
}

std::vector<Orphan> Store::orphans() const {
  std::vector<Orphan> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error))
    if (entry.path().filename().native().starts_with(kTemporary)) ::unlink(entry.path().c_str());
  for (const auto& entry : fs::directory_iterator(rings(), error)) {
    std::string unit = entry.path().filename();
    // Set aside by an agent that was killed as well.
    if (unit.starts_with("..")) unit = unit.substr(std::min(unit.find('.', 2) + 1, unit.size()));
    Orphan orphan{std::move(unit), entry.path(), {}};
    std::vector<std::pair<int, std::string>> parts;
    for (const auto& part : fs::directory_iterator(entry.path(), error))
      if (const int number = part_number(part.path().filename()); number >= 0)
        parts.emplace_back(number, part.path());
    std::sort(parts.begin(), parts.end());
    for (auto& [number, path] : parts) orphan.parts.push_back(std::move(path));
    found.push_back(std::move(orphan));
  }
  return found;
}

void Store::remove(const Orphan& orphan) {
  for (const std::string& part : orphan.parts) ::unlink(part.c_str());
  ::rmdir(orphan.folder.c_str());
}

// "..2.web.service": no unit begins with a dot (file_name_of()).
Orphan Store::set_aside(const Orphan& orphan) {
  const fs::path folder = orphan.folder;
  for (int number = 1; number < 100; ++number) {
    const fs::path aside = folder.parent_path() / fmt::format("..{}.{}", number, orphan.unit);
    if (::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, aside.c_str(), RENAME_NOREPLACE) != 0) continue;
    Orphan moved{orphan.unit, aside, {}};
    for (const std::string& part : orphan.parts) moved.parts.push_back(aside / fs::path(part).filename());
    return moved;
  }
  return orphan;
}

std::string Store::name_for(const std::string& host, const std::string& unit, int64_t realtime_ns,
                            std::string_view cause) const {
  const auto seconds = static_cast<std::time_t>(realtime_ns / static_cast<int64_t>(kNsPerSecond));
  const std::string stem = fmt::format("{}_{}_{:%Y%m%dT%H%M%SZ}_{}", file_name_of(host), file_name_of(unit),
                                       fmt::gmtime(seconds), cause);
  std::string name = stem + std::string(kExtension);
  std::error_code error;
  for (int number = 1; fs::exists(folder_ + "/" + name, error); ++number)
    name = fmt::format("{}.{}{}", stem, number, kExtension);
  return name;
}

std::string Store::temporary(uint64_t number) const {
  return fmt::format("{}/{}{}", folder_, kTemporary, number);
}

Status Store::publish(const std::string& temporary, const std::string& name) const {
  const std::string path = folder_ + "/" + name;
  make_newest(temporary, recordings());
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return errno_error(error == EEXIST ? ErrorCode::kConflict : ErrorCode::kOutput, "can't name " + path,
                       error);
  }
  const Fd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0)
    return errno_error(ErrorCode::kOutput, "can't put " + folder_ + " on disk", errno);
  return {};
}

std::vector<StoredRecording> Store::recordings() const {
  std::vector<StoredRecording> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename();
    struct stat is {};
    if (!name.ends_with(kExtension) || name.starts_with('.')) continue;
    if (::lstat(entry.path().c_str(), &is) != 0 || !S_ISREG(is.st_mode)) continue;
    found.push_back({name, static_cast<uint64_t>(is.st_size), modified_ns(is)});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.modified_ns, a.name) < std::pair(b.modified_ns, b.name);
  });
  return found;
}

int interest(std::string_view name) {
  name.remove_suffix(std::min(kExtension.size(), name.size()));
  const std::string_view cause = name.substr(std::min(name.rfind('_') + 1, name.size()));
  const auto is = [&](std::string_view word) { return cause.starts_with(word); };
  if (is(kInterrupted)) return 0;
  if (is("step") || is("cgroup-") || is("pressure") || is("node-pressure")) return 1;
  if (is("growth") || is("forecast") || is("signal")) return 2;
  return 3;
}

std::vector<StoredRecording> Store::trim(uint64_t quota, uint64_t rings_bytes) const {
  std::vector<StoredRecording> all = recordings();
  uint64_t bytes = rings_bytes;
  for (const StoredRecording& each : all) bytes += each.bytes;
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return interest(a.name) < interest(b.name); });
  std::vector<StoredRecording> removed;
  for (StoredRecording& each : all) {
    if (bytes <= quota) break;
    if (::unlink((folder_ + "/" + each.name).c_str()) != 0) continue;
    bytes -= each.bytes;
    removed.push_back(std::move(each));
  }
  return removed;
}

}  // namespace memwhy::agent
