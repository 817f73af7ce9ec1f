// SPDX-License-Identifier: Apache-2.0
// A section that the linker compressed (SHF_COMPRESSED, zlib), in memory; every read of it draws on a budget.
#pragma once

#include <memory>

#include "symbols/byte_source.h"
#include "symbols/elf_file.h"

namespace memwhy::symbols {

constexpr uint64_t kMostInflatedBytes = 64 << 20;

// nullptr: it is not such a section, damaged, or larger than that. `budget` must outlive what is returned.
std::unique_ptr<ByteSource> inflate_section(ByteSource& source, const Section& section, Budget& budget);

}  // namespace memwhy::symbols
