// SPDX-License-Identifier: Apache-2.0
#include "fuzz/support/elf_fields.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace memwhy::fuzz {
namespace {

struct Field {
  uint64_t offset, bytes;
};
constexpr std::array<Field, 7> kHeader = {{{24, 8}, {32, 8}, {40, 8}, {56, 2}, {60, 2}, {62, 2}, {18, 2}}};
constexpr std::array<Field, 6> kSegment = {{{0, 4}, {4, 4}, {8, 8}, {16, 8}, {32, 8}, {40, 8}}};
constexpr std::array<Field, 9> kSection = {
    {{0, 4}, {4, 4}, {8, 8}, {16, 8}, {24, 8}, {32, 8}, {40, 4}, {44, 4}, {56, 8}}};
constexpr uint64_t kBegin = 128;  // of what a segment or a section holds

char* bytes_at(Sparse& file, Field field) {
  for (Piece& piece : file.pieces)
    if (field.offset >= piece.offset && field.bytes <= piece.bytes.size() &&
        field.offset - piece.offset <= piece.bytes.size() - field.bytes)
      return piece.bytes.data() + (field.offset - piece.offset);
  return nullptr;
}

std::optional<uint64_t> value_of(Sparse& file, Field field) {
  const char* at = bytes_at(file, field);
  if (at == nullptr) return std::nullopt;
  uint64_t value = 0;
  std::memcpy(&value, at, field.bytes);
  return value;
}

}  // namespace

bool mutate_elf_field(Sparse& file, Random& random) {
  Elf64_Ehdr header{};
  const char* first = bytes_at(file, {0, sizeof header});
  if (first == nullptr) return false;
  std::memcpy(&header, first, sizeof header);
  const auto in_table = [&](const auto& fields, uint64_t table, uint64_t count, uint64_t bytes) {
    Field field = fields[random.below(fields.size())];
    field.offset += table + random.below(count) * bytes;
    return field;
  };
  const auto segment = [&] { return header.e_phoff + random.below(header.e_phnum) * sizeof(Elf64_Phdr); };
  const auto section = [&] { return header.e_shoff + random.below(header.e_shnum) * sizeof(Elf64_Shdr); };
  Field field{};
  switch (random.below(5)) {
    case 0:
      field = kHeader[random.below(kHeader.size())];
      break;
    case 1:
      field = in_table(kSegment, header.e_phoff, header.e_phnum, sizeof(Elf64_Phdr));
      break;
    case 2:
      field = in_table(kSection, header.e_shoff, header.e_shnum, sizeof(Elf64_Shdr));
      break;
    default: {  // a word near the beginning of what one of them holds
      const uint64_t start = random.one_in(2) ? segment() + 8 : section() + 24;
      field = {value_of(file, {start, 8}).value_or(0) + 4 * random.below(kBegin / 4), 4};
    }
  }
  char* at = bytes_at(file, field);
  if (at == nullptr) return false;
  uint64_t value = value_of(file, field).value_or(0);
  switch (random.below(5)) {
    case 0:
      value = random.nasty();
      break;
    case 1:  // a number of things, or the size of the file, and right beside it
      value = std::array<uint64_t, 4>{header.e_phnum, header.e_shnum, file.size,
                                      file.size / sizeof(Elf64_Sym)}[random.below(4)] +
              random.below(3) - 1;
      break;
    case 2:
      value = value_of(file, {section() + kSection[random.below(kSection.size())].offset, field.bytes})
                  .value_or(value);
      break;
    default:
      value = random.near(value);
  }
  std::memcpy(at, &value, field.bytes);
  return true;
}

}  // namespace memwhy::fuzz
