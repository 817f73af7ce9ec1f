// SPDX-License-Identifier: Apache-2.0
#include "trace/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>

namespace memwhy::trace {
namespace {

constexpr mode_t kOwnerOnly = 0600;

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<Fd> create_output(const std::string& path) {
  if (path.empty()) return Error(ErrorCode::kUsage, "the output has no name");
  const std::string directory = directory_of(path);
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) {
    return errno_error(ErrorCode::kOutput, "can't write to " + directory, errno);
  }
  // There, anybody could replace the recording by something else while it is written.
  if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
    return Error(ErrorCode::kOutput,
                 fmt::format("refusing to write {}: everybody may rename files in {} (no sticky bit)", path,
                             directory));
  }
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, kOwnerOnly));
  if (file) return file;
  const int err = errno;
  if (err != EEXIST && err != ELOOP) return errno_error(ErrorCode::kOutput, "can't create " + path, err);
  struct stat there {};
  if (::lstat(path.c_str(), &there) == 0 && S_ISLNK(there.st_mode)) {
    return Error(ErrorCode::kOutput, fmt::format("refusing to follow the symbolic link {}", path));
  }
  return Error(ErrorCode::kOutput, fmt::format("{} exists; name another file or remove it", path));
}

Result<Fd> create_unlinked_output(const std::string& directory) {
  Fd file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, kOwnerOnly));
  if (file) return file;
  // Some file systems (overlayfs of old kernels, NFS) have no O_TMPFILE.
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
    return errno_error(ErrorCode::kOutput, "can't create a temporary file in " + directory, errno);
  }
  std::string name = directory + "/memwhy.XXXXXX";
  Fd named(::mkostemp(name.data(), O_CLOEXEC));
  if (!named) return errno_error(ErrorCode::kOutput, "can't create a temporary file in " + directory, errno);
  if (::unlink(name.c_str()) != 0) return errno_error(ErrorCode::kOutput, "can't unlink " + name, errno);
  return named;
}

Result<TemporaryOutput> create_temporary_output() {
  const char* const chosen = std::getenv("TMPDIR");
  for (const char* const directory : {"/var/tmp", chosen, "/tmp"}) {
    if (directory == nullptr || *directory == '\0') continue;
    if (Result<Fd> file = create_unlinked_output(directory)) return TemporaryOutput{std::move(*file), false};
  }
  Fd file(::memfd_create("memwhy", MFD_CLOEXEC));
  if (file) return TemporaryOutput{std::move(file), true};
  return errno_error(ErrorCode::kOutput,
                     "can't create a temporary file in /var/tmp, $TMPDIR or /tmp, nor in memory (-o FILE "
                     "names another place)",
                     errno);
}

std::string part_path(const std::string& path, uint32_t part) {
  if (part == 0) return path;
  constexpr std::string_view kExtension = ".memwhy";
  std::string stem = path;
  std::string extension;
  if (stem.size() > kExtension.size() && stem.ends_with(kExtension)) {
    stem.resize(stem.size() - kExtension.size());
    extension = kExtension;
  }
  return fmt::format("{}.{}{}", stem, part, extension);
}

}  // namespace memwhy::trace
