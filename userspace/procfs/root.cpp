// SPDX-License-Identifier: Apache-2.0
#include "procfs/root.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

#include "procfs/text.h"

namespace memwhy::procfs {

ErrorCode code_of_errno(int err) {
  if (err == ENOENT || err == ESRCH) return ErrorCode::kTargetGone;
  if (err == EACCES || err == EPERM || err == EMFILE || err == ENFILE || err == ENOMEM)
    return ErrorCode::kEnvironment;
  return ErrorCode::kInternal;
}

Result<std::string> read_file(int dir, const std::string& name, size_t limit) {
  const Fd fd(::openat(dir, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return errno_error(code_of_errno(errno), name, errno);
  std::string text;
  std::array<char, 8192> buffer;  // filled by read
  while (text.size() < limit) {
    const ssize_t n = ::read(fd.get(), buffer.data(), std::min(buffer.size(), limit - text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(code_of_errno(errno), name, errno);
    if (n == 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  return text;
}

std::optional<Statm> read_statm(int file) {
  std::array<char, 160> buffer;  // filled by pread
  const ssize_t n = ::pread(file, buffer.data(), buffer.size(), 0);
  return n > 0 ? parse_statm({buffer.data(), static_cast<size_t>(n)}) : std::nullopt;
}

Result<std::string> read_link(int dir, const std::string& name) {
  std::array<char, 4097> buffer;  // filled by readlinkat
  const ssize_t n = ::readlinkat(dir, name.c_str(), buffer.data(), buffer.size());
  if (n < 0) return errno_error(code_of_errno(errno), name, errno);
  return std::string(buffer.data(), static_cast<size_t>(n));
}

namespace {

// The first pid namespace has this number on every kernel (PROC_PID_INIT_INO).
constexpr const char* kHostNamespace = "pid:[4026531836]";

// If this procfs is not of memwhy's own namespace it is of one above; only the first has kernel threads.
bool is_of_host(int dir, bool own) {
  const auto mine = read_link(dir, "self/ns/pid");
  if (own && mine) return *mine == kHostNamespace;
  const auto text = read_file(dir, "2/stat");
  const auto second = text ? parse_stat(*text) : std::nullopt;
  return second && second->kernel_thread();
}

}  // namespace

Result<Root> Root::open(const std::string& path) {
  Fd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return errno_error(ErrorCode::kEnvironment, path, errno);
  // Our own NSpid line has one number where the mount is of our own pid namespace.
  const auto link = read_link(dir.get(), "self");
  const auto status = read_file(dir.get(), "self/status");
  const bool own =
      link && *link == std::to_string(::getpid()) && status && parse_status(*status).ns_pids.size() <= 1;
  const bool host = is_of_host(dir.get(), own);
  return Root(std::move(dir), own, host);
}

std::vector<Pid> Root::pids() const {
  std::vector<Pid> pids;
  const int copy = ::openat(dir_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return pids;
  const auto close = [](DIR* directory) { ::closedir(directory); };
  const std::unique_ptr<DIR, decltype(close)> directory(::fdopendir(copy), close);
  if (!directory) {
    ::close(copy);
    return pids;
  }
  while (const dirent* entry =
             ::readdir(directory.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
    const std::string_view name = entry->d_name;
    Pid pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc{} && end == name.data() + name.size() && pid > 0) pids.push_back(pid);
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

std::vector<Pid> Root::find(const std::function<bool(const std::string& directory)>& matches) const {
  std::vector<Pid> found;
  for (const Pid pid : pids()) {
    if (matches(std::to_string(pid) + "/")) found.push_back(pid);
  }
  return found;
}

std::vector<Pid> Root::find_by_comm(std::string_view comm) const {
  const std::string wanted = std::string(comm.substr(0, 15)) + "\n";
  return find([&](const std::string& directory) {
    const auto text = read_file(dir_.get(), directory + "comm");
    return text && *text == wanted;
  });
}

std::vector<Pid> Root::find_by_cgroup(std::string_view path) const {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return find([&](const std::string& directory) {
    const auto text = read_file(dir_.get(), directory + "cgroup");
    const auto cgroup = text ? parse_cgroup(*text) : std::nullopt;
    if (!cgroup) return false;
    const std::string_view own = cgroup->path;
    return own == path || path == "/" || (own.starts_with(path) && own[path.size()] == '/');
  });
}

std::vector<Pid> Root::find_by_nested_pid(Pid pid) const {
  return find([&](const std::string& directory) {
    const auto text = read_file(dir_.get(), directory + "status");
    if (!text) return false;
    const auto ns_pids = parse_status(*text).ns_pids;
    return ns_pids.size() > 1 && std::find(ns_pids.begin() + 1, ns_pids.end(), pid) != ns_pids.end();
  });
}

events::RecordingInfo Root::host() const {
  events::RecordingInfo info;
  utsname name = {};
  if (::uname(&name) == 0) {
    info.host = name.nodename;
    info.kernel_release = name.release;
    info.architecture = name.machine;
  }
  info.cpus = static_cast<uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  info.page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return info;
}

}  // namespace memwhy::procfs
