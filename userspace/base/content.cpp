// SPDX-License-Identifier: Apache-2.0
#include "base/content.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace memwhy {

std::string content_of(const Fd& file, size_t most) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return "";
  std::string out(std::min(most, static_cast<size_t>(status.st_size)), '\0');
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(file.get(), out.data() + done, out.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  out.resize(done);
  return out;
}

}  // namespace memwhy
