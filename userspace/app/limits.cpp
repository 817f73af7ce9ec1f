// SPDX-License-Identifier: Apache-2.0
#include "app/limits.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>

namespace memwhy::app {

void hold_standard_descriptors() {
  // The wrong way round on purpose: reading from a closed stdin and writing to a closed stdout go on failing.
  constexpr std::array<int, 3> kModes{O_WRONLY, O_RDONLY, O_WRONLY};
  for (int fd = 0; fd < 3; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number is this one: those below are there.
    if (::open("/dev/null", kModes[static_cast<size_t>(fd)]) < 0) static_cast<void>(::open("/", O_PATH));
  }
}

void raise_open_files() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

void no_core_files() {
  rlimit core{};
  if (::getrlimit(RLIMIT_CORE, &core) != 0) return;
  core.rlim_cur = 0;
  ::setrlimit(RLIMIT_CORE, &core);
}

}  // namespace memwhy::app
