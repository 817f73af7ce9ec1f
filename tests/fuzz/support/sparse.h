// SPDX-License-Identifier: Apache-2.0
// A large file of which an input holds only the parts that its readers look at: a Go program of 2 MiB is 60 KiB so. All
// else reads as zeros. Also which addresses to look up in it.
//
//   "MWSPARSE" | u64 size | u32 addresses | u32 pieces | u64 address … | { u64 offset, u64 bytes } … | the pieces' bytes
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/support/check.h"

namespace memwhy::fuzz {

struct Piece {
  uint64_t offset = 0;
  std::string bytes;
};

struct Sparse {
  static constexpr uint64_t kMostSize = 64 << 20;  // a larger file is read as one of this size

  uint64_t size = 0;
  std::vector<uint64_t> addresses;
  std::vector<Piece> pieces;  // in order, not overlapping

  void read(uint64_t offset, std::span<std::byte> into) const;  // inside of size
};

// nullopt: it is none. Pieces that are out of order or beyond the end are left out.
std::optional<Sparse> parse_sparse(std::string_view input);
std::string to_input(const Sparse& sparse);

// Changes words and bytes inside of pieces, an address to look up, or rarely the size.
void mutate_sparse(Sparse& sparse, Random& random);
// Changes a word or a byte where it is: offsets that others know stay right.
void mutate_in_place(std::string& bytes, Random& random);

}  // namespace memwhy::fuzz
