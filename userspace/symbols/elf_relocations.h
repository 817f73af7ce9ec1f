// SPDX-License-Identifier: Apache-2.0
// Words of a position-independent file that the dynamic linker fills in: in the file they may be 0, and their
// values (link-time addresses) are only in the relocation table.
//
//   DT_RELA:  r_offset 0x5c1b20  R_X86_64_RELATIVE  addend 0x4e2a00
//   "the word at 0x5c1b20 is 0x4e2a00 (+ where the file gets loaded)"
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "symbols/byte_source.h"
#include "symbols/elf_file.h"

namespace memwhy::symbols {

// Link-time addresses of the 8-aligned words in writable segments with the value `value`, max `most`: by
// the bytes of the file, and by relocations.
std::vector<uint64_t> find_words(ByteSource& source, const ElfFile& elf, uint64_t value, size_t most);

// `count` words from `vaddr` on, relocations applied; empty when they are not in the file.
std::vector<uint64_t> load_words(ByteSource& source, const ElfFile& elf, uint64_t vaddr, size_t count);

}  // namespace memwhy::symbols
