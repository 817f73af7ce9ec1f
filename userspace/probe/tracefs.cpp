// SPDX-License-Identifier: Apache-2.0
#include "probe/tracefs.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <cerrno>
#include <charconv>

namespace memwhy::probe {
namespace {

Fd open_dir(int parent, const char* path) {
  return Fd(::openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

Fd detached_mount() {
  const Fd config(::fsopen("tracefs", FSOPEN_CLOEXEC));
  if (!config || ::fsconfig(config.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return {};
  return Fd(
      ::fsmount(config.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
}

}  // namespace

Result<TraceFs> TraceFs::open() {
  for (const char* path : {"/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"})
    if (Fd events = open_dir(AT_FDCWD, path)) return TraceFs(std::move(events));
  const Fd mount = detached_mount();
  if (!mount)
    return errno_error(ErrorCode::kEnvironment, "tracefs is not mounted, and mounting it failed", errno);
  Fd events = open_dir(mount.get(), "events");
  if (!events) return errno_error(ErrorCode::kEnvironment, "opening events/ of tracefs", errno);
  return TraceFs(std::move(events));
}

Result<uint64_t> TraceFs::id(const std::string& tracepoint) const {
  const Fd file(::openat(events_.get(), (tracepoint + "/id").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno_error(ErrorCode::kEnvironment, "tracepoint " + tracepoint, errno);
  char text[24];
  const ssize_t n = ::read(file.get(), text, sizeof text);
  uint64_t id = 0;
  if (n <= 0 || std::from_chars(text, text + n, id).ec != std::errc{})
    return Error(ErrorCode::kEnvironment, "tracepoint " + tracepoint + ": its id is not a number");
  return id;
}

}  // namespace memwhy::probe
