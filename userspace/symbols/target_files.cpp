// SPDX-License-Identifier: Apache-2.0
#include "symbols/target_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

namespace memwhy::symbols {
namespace {

// A FIFO or a terminal must neither block nor become ours.
constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

ErrorCode code_of(int err) {
  if (err == ENOENT || err == ESRCH) return ErrorCode::kTargetGone;
  return err == EACCES || err == EPERM ? ErrorCode::kEnvironment : ErrorCode::kBadInput;
}

std::string link_text(int directory, const char* name) {
  std::array<char, 4096> text{};
  const ssize_t length = ::readlinkat(directory, name, text.data(), text.size());
  return length > 0 ? std::string(text.data(), static_cast<size_t>(length)) : "";
}

FileKey key_of(const struct stat& st) {
  return {st.st_dev, st.st_ino, static_cast<uint64_t>(st.st_size),
          st.st_mtim.tv_sec * int64_t{1'000'000'000} + st.st_mtim.tv_nsec};
}

// Opens for reading what `place` (O_PATH) is, if that is a regular file.
Result<TargetFile> open_regular(const Fd& place, std::string path) {
  struct stat st {};
  if (::fstat(place.get(), &st) != 0) return errno_error(code_of(errno), "looking at " + path, errno);
  if (!S_ISREG(st.st_mode)) return Error(ErrorCode::kBadInput, path + " is not a regular file");
  TargetFile file;
  file.fd = Fd(::open(fmt::format("/proc/self/fd/{}", place.get()).c_str(), kOpenFlags));
  if (!file.fd) return errno_error(code_of(errno), "opening " + path, errno);
  file.path = std::move(path);
  file.key = key_of(st);
  return file;
}

Result<TargetFile> open_link(int directory, const std::string& name, std::string path) {
  const Fd place(::openat(directory, name.c_str(), O_PATH | O_CLOEXEC));
  if (!place) return errno_error(code_of(errno), "looking at " + path, errno);
  return open_regular(place, std::move(path));
}

// flags: O_NOFOLLOW where the path must not be a link itself.
Result<TargetFile> open_below_root(int process, const std::string& path, uint64_t flags = 0) {
  const Fd root(::openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errno_error(code_of(errno), "opening the root of the process", errno);
  struct open_how how {};
  how.flags = O_PATH | O_CLOEXEC | flags;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const Fd place(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
  if (!place) return errno_error(ErrorCode::kBadInput, "opening " + path, errno);
  return open_regular(place, path);
}

// Its number in its own pid namespace: the last of the line "NSpid:  4711  12".
Result<Pid> pid_inside(int process) {
  const Fd status(::openat(process, "status", O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text{};
  const ssize_t length = status ? ::read(status.get(), text.data(), text.size()) : -1;
  if (length <= 0) return errno_error(code_of(errno), "reading the status of a process", errno);
  const std::string_view all(text.data(), static_cast<size_t>(length));
  constexpr std::string_view kLine = "\nNSpid:";
  const size_t line = all.find(kLine), end = all.find('\n', line + 1);
  if (line == std::string_view::npos || end == std::string_view::npos)
    return Error(ErrorCode::kAbsent, "this kernel says no pid of a namespace");
  const std::string_view numbers = all.substr(line + kLine.size(), end - line - kLine.size());
  const std::string_view last = numbers.substr(numbers.find_last_of(" \t") + 1);
  Pid pid = 0;
  if (std::from_chars(last.data(), last.data() + last.size(), pid).ptr != last.data() + last.size())
    return Error(ErrorCode::kBadInput, "the status of a process is none");
  return pid;
}

// In the directory of the process.
std::string map_link(const events::Vma& vma) {
  return fmt::format("map_files/{:x}-{:x}", vma.range.start, vma.range.end);
}

// stat(2) and maps may number the device differently: btrfs gives each subvolume an anonymous device (major
// 0).
bool same_file(const TargetFile& file, const events::Vma& vma) {
  return file.key.inode == vma.inode &&
         (file.key.device == vma.device || major(file.key.device) == 0 || major(vma.device) == 0);
}

}  // namespace

bool is_remote(uint64_t magic) {
  constexpr uint64_t kLustre = 0x0bd00bd0;
  constexpr std::array<uint64_t, 11> kRemote = {
      kLustre,          FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, V9FS_MAGIC,   CIFS_SUPER_MAGIC, SMB_SUPER_MAGIC,
      SMB2_SUPER_MAGIC, CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC, AFS_FS_MAGIC, CODA_SUPER_MAGIC};
  return std::find(kRemote.begin(), kRemote.end(), magic) != kRemote.end();
}

Result<Fd> TargetFiles::process(Pid tgid) const {
  Fd fd(::openat(proc_root_.get(), fmt::format("{}", tgid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno_error(code_of(errno), fmt::format("opening pid {}", tgid), errno);
  return fd;
}

Result<TargetFile> TargetFiles::open_mapping(Pid tgid, const events::Vma& vma) const {
  Result<Fd> directory = process(tgid);
  if (!directory) return directory.error();
  const std::string name = map_link(vma);
  Result<TargetFile> mapped = open_link(directory->get(), name, vma.name);
  // On an overlay, older kernels give stat the numbers of the overlay and maps those of the layer below, so
  // here the text of the link is enough: it is the mapping's own.
  if (mapped && (same_file(*mapped, vma) || link_text(directory->get(), name.c_str()) == vma.name))
    return mapped;

  Result<TargetFile> executable = open_link(directory->get(), "exe", vma.name);
  if (executable && same_file(*executable, vma)) return executable;

  if (vma.name.starts_with('/')) {
    Result<TargetFile> by_path = open_below_root(directory->get(), vma.name);
    if (by_path && same_file(*by_path, vma)) return by_path;
  }
  if (!mapped) return std::move(mapped).error();
  return Error(ErrorCode::kBadInput, vma.name + " is no longer the file that was mapped");
}

Result<TargetFile> TargetFiles::open_executable(Pid tgid) const {
  Result<Fd> directory = process(tgid);
  if (!directory) return directory.error();
  std::string path = link_text(directory->get(), "exe");
  if (path.empty())
    return Error(ErrorCode::kUsage, fmt::format("pid {} has no executable (a kernel thread?)", tgid));
  return open_link(directory->get(), "exe", std::move(path));
}

Result<TargetFile> TargetFiles::open_debug_file(Pid tgid, const DebugFilePlace& place) const {
  if (!place.of_process) return open_link(AT_FDCWD, place.path, place.path);
  const Result<Fd> directory = process(tgid);
  if (!directory) return directory.error();
  // Of a process with another root in our mount namespace, maps has the paths that we see.
  std::string path = place.path;
  const std::string root = link_text(directory->get(), "root");
  const size_t at = path.find(root + '/');
  if (root.size() > 1 && at != std::string::npos) path.erase(at, root.size());
  return open_below_root(directory->get(), path);
}

Result<TargetFile> TargetFiles::open_code_map(Pid tgid) const {
  const Result<Fd> directory = process(tgid);
  if (!directory) return directory.error();
  struct stat of_process {};
  if (::fstat(directory->get(), &of_process) != 0)
    return errno_error(code_of(errno), "looking at a process", errno);
  const Result<Pid> inside = pid_inside(directory->get());
  if (!inside) return inside.error();
  Result<TargetFile> map =
      open_below_root(directory->get(), fmt::format("/tmp/perf-{}.map", *inside), O_NOFOLLOW);
  if (!map) return map;
  struct stat st {};
  if (::fstat(map->fd.get(), &st) != 0) return errno_error(code_of(errno), "looking at " + map->path, errno);
  if (st.st_uid != 0 && st.st_uid != of_process.st_uid)
    return Error(ErrorCode::kBadInput, map->path + " belongs to another user");
  return map;
}

Result<ProbedFile> TargetFiles::file_to_probe(const ProcessFile& file) const {
  Result<Fd> directory = process(file.tgid);
  if (!directory) return directory.error();
  const std::string link = file.mapping ? map_link(*file.mapping) : "exe";
  ProbedFile probed;
  probed.fd = Fd(::openat(directory->get(), link.c_str(), O_PATH | O_CLOEXEC));
  struct stat st {};
  struct statfs system {};
  if (!probed.fd || ::fstat(probed.fd.get(), &st) != 0 || ::fstatfs(probed.fd.get(), &system) != 0)
    return errno_error(code_of(errno), fmt::format("looking at {} of pid {}", link, file.tgid), errno);
  if (!S_ISREG(st.st_mode)) return Error(ErrorCode::kBadInput, "a program's file is not a regular file");
  probed.key = key_of(st);
  probed.mode = st.st_mode;
  probed.remote = is_remote(static_cast<uint64_t>(system.f_type));
  return probed;
}

Result<uint64_t> TargetFiles::file_system(Pid tgid, const events::Vma& mapping) const {
  Result<Fd> directory = process(tgid);
  if (!directory) return directory.error();
  const Fd place(::openat(directory->get(), map_link(mapping).c_str(), O_PATH | O_CLOEXEC));
  struct stat st {};
  struct statfs system {};
  if (!place || ::fstat(place.get(), &st) != 0 || ::fstatfs(place.get(), &system) != 0)
    return errno_error(code_of(errno), fmt::format("looking at a mapping of pid {}", tgid), errno);
  if (!S_ISREG(st.st_mode))
    return Error(ErrorCode::kBadInput, "not a regular file");  // /dev is on a tmpfs too
  return static_cast<uint64_t>(system.f_type);
}

}  // namespace memwhy::symbols
