// SPDX-License-Identifier: Apache-2.0
#include "fuzz/support/sparse.h"

#include <algorithm>
#include <cstring>

#include "fuzz/support/message.h"

namespace memwhy::fuzz {
namespace {

constexpr std::string_view kMagic = "MWSPARSE";
constexpr size_t kMostAddresses = 64, kMostPieces = 4096;

template <typename T>
bool take(std::string_view& from, T& value) {
  if (from.size() < sizeof value) return false;
  std::memcpy(&value, from.data(), sizeof value);
  from.remove_prefix(sizeof value);
  return true;
}

template <typename T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

void Sparse::read(uint64_t offset, std::span<std::byte> into) const {
  std::fill(into.begin(), into.end(), std::byte{0});
  auto piece = std::upper_bound(pieces.begin(), pieces.end(), offset, [](uint64_t at, const Piece& one) {
    return at < one.offset + one.bytes.size();
  });
  for (; piece != pieces.end() && piece->offset < offset + into.size(); ++piece) {
    const uint64_t from = std::max(offset, piece->offset);
    const uint64_t to = std::min(offset + into.size(), piece->offset + piece->bytes.size());
    std::memcpy(into.data() + (from - offset), piece->bytes.data() + (from - piece->offset), to - from);
  }
}

std::optional<Sparse> parse_sparse(std::string_view input) {
  if (!input.starts_with(kMagic)) return std::nullopt;
  input.remove_prefix(kMagic.size());
  Sparse out;
  uint32_t addresses = 0, pieces = 0;
  if (!take(input, out.size) || !take(input, addresses) || !take(input, pieces)) return std::nullopt;
  if (addresses > kMostAddresses || pieces > kMostPieces) return std::nullopt;
  out.size = std::min(out.size, Sparse::kMostSize);
  out.addresses.resize(addresses);
  for (uint64_t& address : out.addresses)
    if (!take(input, address)) return std::nullopt;
  struct Entry {
    uint64_t offset = 0, bytes = 0;
  };
  std::vector<Entry> table(pieces);
  for (Entry& entry : table)
    if (!take(input, entry)) return std::nullopt;
  uint64_t end = 0;
  for (const Entry& entry : table) {
    const std::string_view bytes = input.substr(0, entry.bytes);
    input.remove_prefix(bytes.size());
    if (entry.offset < end || entry.offset >= out.size) continue;
    out.pieces.push_back({entry.offset, std::string(bytes.substr(0, out.size - entry.offset))});
    end = entry.offset + out.pieces.back().bytes.size();
  }
  return out;
}

std::string to_input(const Sparse& sparse) {
  std::string out(kMagic);
  put(out, sparse.size);
  put(out, static_cast<uint32_t>(sparse.addresses.size()));
  put(out, static_cast<uint32_t>(sparse.pieces.size()));
  for (const uint64_t address : sparse.addresses) put(out, address);
  for (const Piece& piece : sparse.pieces) {
    put(out, piece.offset);
    put(out, uint64_t{piece.bytes.size()});
  }
  for (const Piece& piece : sparse.pieces) out += piece.bytes;
  return out;
}

void mutate_in_place(std::string& bytes, Random& random) {
  if (bytes.empty()) return;
  const size_t width = size_t{1} << random.below(4);
  size_t at = random.below(bytes.size());
  if (!random.one_in(4)) at &= ~(width - 1);
  if (bytes.size() - at < width) {
    bytes[at] = static_cast<char>(random.next());
    return;
  }
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, width);
  switch (random.below(5)) {
    case 0:
      value = random.nasty();
      break;
    case 1:  // what stands elsewhere: an offset of something else
      std::memcpy(&value, bytes.data() + random.below(bytes.size() - width + 1), width);
      break;
    case 2:
      value ^= uint64_t{1} << random.below(8 * width);
      break;
    case 3: {  // a few bytes as libFuzzer knows them from comparisons
      uint8_t known[8];
      std::memcpy(known, &value, sizeof known);
      LLVMFuzzerMutate(known, width, width);
      std::memcpy(&value, known, sizeof value);
      break;
    }
    default:
      value = random.near(value);
  }
  std::memcpy(bytes.data() + at, &value, width);
}

void mutate_sparse(Sparse& sparse, Random& random) {
  if (random.one_in(8) && !sparse.addresses.empty()) {
    uint64_t& address = sparse.addresses[random.below(sparse.addresses.size())];
    address = random.one_in(3) ? random.nasty() : random.near(address);
  } else if (random.one_in(40)) {
    sparse.size = random.one_in(2) ? random.below(Sparse::kMostSize) : random.near(sparse.size);
  } else if (!sparse.pieces.empty()) {
    // Each piece as often as any other: the small ones are the headers.
    mutate_in_place(sparse.pieces[random.below(sparse.pieces.size())].bytes, random);
  }
}

}  // namespace memwhy::fuzz
