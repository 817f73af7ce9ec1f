// SPDX-License-Identifier: Apache-2.0
#include "symbols/target_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>

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

Result<TargetFile> take(Fd fd, std::string path) {
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return errno_error(ErrorCode::kBadInput, "looking at " + path, errno);
  if (!S_ISREG(st.st_mode)) return Error(ErrorCode::kBadInput, path + " is not a regular file");
  TargetFile file;
  file.fd = std::move(fd);
  file.path = std::move(path);
  file.device = st.st_dev;
  file.inode = st.st_ino;
  file.bytes = static_cast<uint64_t>(st.st_size);
  file.modified_ns = st.st_mtim.tv_sec * int64_t{1'000'000'000} + st.st_mtim.tv_nsec;
  return file;
}

// Opens a name that leads to a file of any kind: it is opened only when it is a regular one, because opening
// a device can do something.
Result<TargetFile> open_link(int directory, const std::string& name, std::string path) {
  struct stat st {};
  if (::fstatat(directory, name.c_str(), &st, 0) != 0)
    return errno_error(code_of(errno), "looking at " + path, errno);
  if (!S_ISREG(st.st_mode)) return Error(ErrorCode::kBadInput, path + " is not a regular file");
  Fd fd(::openat(directory, name.c_str(), kOpenFlags));
  if (!fd) return errno_error(code_of(errno), "opening " + path, errno);
  return take(std::move(fd), std::move(path));
}

Result<TargetFile> open_below_root(int process, const std::string& path) {
  const Fd root(::openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errno_error(code_of(errno), "opening the root of the process", errno);
  struct open_how how {};
  how.flags = static_cast<uint64_t>(kOpenFlags);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  Fd fd(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
  if (!fd) return errno_error(ErrorCode::kBadInput, "opening " + path, errno);
  return take(std::move(fd), path);
}

// stat(2) and maps may number the device differently: btrfs gives each subvolume an anonymous device (major
// 0).
bool same_file(const TargetFile& file, const events::Vma& vma) {
  return file.inode == vma.inode &&
         (file.device == vma.device || major(file.device) == 0 || major(vma.device) == 0);
}

}  // namespace

Result<Fd> TargetFiles::process(Pid tgid) const {
  Fd fd(::openat(proc_root_.get(), fmt::format("{}", tgid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno_error(code_of(errno), fmt::format("opening pid {}", tgid), errno);
  return fd;
}

Result<TargetFile> TargetFiles::open_mapping(Pid tgid, const events::Vma& vma) const {
  Result<Fd> directory = process(tgid);
  if (!directory) return directory.error();
  const std::string name = fmt::format("map_files/{:x}-{:x}", vma.range.start, vma.range.end);
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

}  // namespace memwhy::symbols
