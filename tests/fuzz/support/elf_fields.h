// SPDX-License-Identifier: Apache-2.0
// Mutations of an ELF file that know its headers: one field of the header, of a segment or of a section is something else, or
// a word of what a note segment or section holds. A word chosen among all bytes is mostly one of code.
//
//   e_shstrndx  12 -> 13 (the number of sections)     .symtab sh_link  11 -> 2^31 - 1     .note descsz  20 -> 24
#pragma once

#include "fuzz/support/check.h"
#include "fuzz/support/sparse.h"

namespace memwhy::fuzz {

// false: nothing of it is a header.
bool mutate_elf_field(Sparse& file, Random& random);

}  // namespace memwhy::fuzz
