// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets that read ELF files have in common: an input as a file, and how one is changed.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "fuzz/support/check.h"
#include "fuzz/support/elf_fields.h"
#include "fuzz/support/sparse.h"
#include "symbols/byte_source.h"

namespace memwhy::fuzz {

inline constexpr std::string_view kElf =
    "\x7f"
    "ELF";

class SparseBytes final : public symbols::ByteSource {
 public:
  explicit SparseBytes(const Sparse& sparse) : sparse_(sparse) {}
  uint64_t size() const override { return sparse_.size; }
  Status read_at(uint64_t offset, std::span<std::byte> out) override {
    if (offset > sparse_.size || out.size() > sparse_.size - offset)
      return Error(ErrorCode::kBadInput, "not inside the file");
    sparse_.read(offset, out);
    return {};
  }

 private:
  const Sparse& sparse_;
};

// A plain file as one piece; the addresses are what its last bytes say.
inline Sparse file_of(std::string_view input) {
  if (std::optional<Sparse> sparse = parse_sparse(input)) return std::move(*sparse);
  Sparse out;
  out.size = input.size();
  out.pieces.push_back({0, std::string(input)});
  for (size_t at = sizeof(uint64_t); at <= std::min<size_t>(input.size(), 64); at += sizeof(uint64_t)) {
    uint64_t address = 0;
    std::memcpy(&address, input.data() + input.size() - at, sizeof address);
    out.addresses.push_back(address);
  }
  return out;
}

// Fields of headers change, or words in place, in the first 1 KiB as often as in all the rest; what is no ELF file changes in
// libFuzzer's way.
inline size_t mutate_elf(uint8_t* data, size_t size, size_t most, Random& random) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::optional<Sparse> sparse = parse_sparse(input);
  if (random.one_in(32) || (!sparse && !input.starts_with(kElf))) return LLVMFuzzerMutate(data, size, most);
  std::string made(input);
  for (size_t times = 1 + random.below(4); times > 0; --times) {
    if (random.one_in(2)) {
      Sparse file = sparse ? std::move(*sparse) : Sparse{made.size(), {}, {{0, made}}};
      static_cast<void>(mutate_elf_field(file, random));
      if (sparse)
        sparse = std::move(file);
      else
        made = std::move(file.pieces.front().bytes);
    } else if (sparse) {
      mutate_sparse(*sparse, random);
    } else {
      std::string part = made.substr(0, random.one_in(2) ? 1024 : made.size());
      mutate_in_place(part, random);
      made.replace(0, part.size(), part);
    }
  }
  if (sparse) made = to_input(*sparse);
  if (made.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, made.data(), made.size());
  return made.size();
}

}  // namespace memwhy::fuzz
