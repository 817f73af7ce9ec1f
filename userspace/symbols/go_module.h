// SPDX-License-Identifier: Apache-2.0
// GoModule: the runtime's own index of a Go program (runtime.moduledata), found in its file by content.
//
//   word  0   address of the pclntab header      the word that identifies the structure
//        20   minpc      21  maxpc
//        22   text       23  etext               what entries of the line table are relative to
//      35…48  types, etypes, rodata, gofunc …    gofunc is word 38 (1.18, 1.19), 40 (1.20 … 1.26), 43 (1.27)
//
// In a position-independent program these words may be in the relocations only.
#pragma once

#include <cstdint>
#include <vector>

#include "symbols/byte_source.h"
#include "symbols/elf_file.h"

namespace memwhy::symbols {

struct GoModule {
  uint64_t min_pc = 0, max_pc = 0, text = 0, end_text = 0;
  std::vector<uint64_t> gofunc_candidates;  // in order of likelihood; users must verify theirs
};

// All structures that look like the moduledata of the line table at `table_vaddr`, with names that begin
// `names_offset` bytes after its start.
std::vector<GoModule> find_go_modules(ByteSource& source, const ElfFile& elf, uint64_t table_vaddr,
                                      uint64_t names_offset);

}  // namespace memwhy::symbols
