// SPDX-License-Identifier: Apache-2.0
// What a file in memory (memfd) has, from its begin. Not for a pipe, or a file whose size says nothing: those of /proc.
#pragma once

#include <cstddef>
#include <string>

#include "base/fd.h"

namespace memwhy {

// At most `most` bytes; what could be read of them when the rest can't be.
std::string content_of(const Fd& file, size_t most);

}  // namespace memwhy
