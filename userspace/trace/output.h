// SPDX-License-Identifier: Apache-2.0
// Output files for recordings. They never replace a file, follow a link or expose what is recorded.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace memwhy::trace {

// Creates `path`, mode 0600, open for reading and writing. kOutput: it exists (a link counts, wherever it
// leads), or its directory is writable by everybody without the sticky bit.
Result<Fd> create_output(const std::string& path);

// A file without a name, mode 0600, in `directory`: gone when the last descriptor is closed.
Result<Fd> create_unlinked_output(const std::string& directory = "/var/tmp");

struct TemporaryOutput {
  Fd file;
  bool in_memory = false;
};
// The same where there is room: in the first of /var/tmp, $TMPDIR and /tmp that takes it, else in memory.
Result<TemporaryOutput> create_temporary_output();

// The name of part `part` of a rotated recording: "web.memwhy" -> "web.memwhy", "web.1.memwhy",
// "web.2.memwhy" …
std::string part_path(const std::string& path, uint32_t part);

}  // namespace memwhy::trace
