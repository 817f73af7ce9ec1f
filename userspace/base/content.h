// SPDX-License-Identifier: Apache-2.0
// The content of a file in memory (memfd), from its beginning. Not for a pipe, or a file without a size, as in /proc.
#pragma once

#include <cstddef>
#include <string>

#include "base/fd.h"

namespace memwhy {

// Max `most` bytes; if the rest can't be read, what was read before.
std::string content_of(const Fd& file, size_t most);

}  // namespace memwhy
