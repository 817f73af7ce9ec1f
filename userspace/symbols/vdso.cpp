// SPDX-License-Identifier: Apache-2.0
#include "symbols/vdso.h"

#include <elf.h>
#include <sys/auxv.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace memwhy::symbols {

// It is a file that lies in memory as on a disk: its section headers are its end.
std::vector<std::byte> own_vdso() {
  const auto* start = reinterpret_cast<const std::byte*>(::getauxval(AT_SYSINFO_EHDR));  // NOLINT
  if (start == nullptr) return {};
  Elf64_Ehdr header;
  std::memcpy(&header, start, sizeof header);
  uint64_t bytes = header.e_shoff + uint64_t{header.e_shnum} * header.e_shentsize;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr program;
    std::memcpy(&program, start + header.e_phoff + uint64_t{i} * sizeof program, sizeof program);
    if (program.p_type == PT_LOAD) bytes = std::max(bytes, program.p_offset + program.p_filesz);
  }
  return {start, start + bytes};
}

}  // namespace memwhy::symbols
