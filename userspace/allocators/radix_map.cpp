// SPDX-License-Identifier: Apache-2.0
#include "allocators/radix_map.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include "allocators/module_data.h"

namespace memwhy::allocators {
namespace {

constexpr size_t kMostRoots = 4096, kMostKeys = 64, kSample = 256, kTogether = 512;
constexpr size_t kFewestProofs = 8, kStaleToProof = 16;  // most of a leaf may be stale
constexpr uint64_t kLeastMapping = 1 << 20;

struct Entry {
  uint64_t index, descriptor;  // in its leaf
};

bool is_leaf(const HeapMemory& memory, uint64_t address) {
  if (address % 8 != 0) return false;
  const AddressRange span = memory.span(address);
  return !span.empty() && span.end - address >= kLeafBytes;
}

// Words of a leaf that name a descriptor, the first of neighbours that name the same.
template <typename Visit>
void each_entry(HeapMemory& memory, const RadixKind& kind, uint64_t leaf, Visit visit) {
  uint64_t last = 0;
  each_word(memory, {leaf, leaf + kLeafBytes}, [&](uint64_t place, uint64_t word) {
    const uint64_t descriptor = kind.descriptor(word);
    if (descriptor != 0 && descriptor != last) visit(Entry{(place - leaf) / 8, descriptor});
    last = descriptor;
  });
}

// Those that could not be read have an address of 0.
std::vector<Descriptor> read_descriptors(HeapMemory& memory, const RadixKind& kind,
                                         std::span<const Entry> entries) {
  std::vector<Descriptor> out(entries.size());
  std::vector<remote::Piece> pieces;
  for (size_t i = 0; i < entries.size(); ++i)
    pieces.push_back({entries[i].descriptor,
                      std::as_writable_bytes(std::span(out[i].words).first(kind.words)), false, false});
  memory.read_each(pieces);
  for (size_t i = 0; i < out.size(); ++i) out[i].address = pieces[i].there ? entries[i].descriptor : 0;
  return out;
}

bool covers(const HeapMemory& memory, const RadixKind& kind, const Descriptor& descriptor, uint64_t page) {
  const AddressRange range = kind.memory(descriptor);
  if (range.empty() || !range.contains(page << kind.page_shift)) return false;
  const AddressRange span = memory.span(range.start);
  return !span.empty() && range.end <= span.end;
}

// Slots of the root that have to be filled, since there is memory that they stand for.
std::vector<uint64_t> keys_of(const HeapMemory& memory, const RadixKind& kind) {
  const uint64_t shift = kind.page_shift + kLeafBits;
  std::set<uint64_t> keys;
  for (const events::Vma& vma : memory.vmas()) {
    if (!HeapMemory::private_anonymous(vma) || vma.range.bytes() < kLeastMapping) continue;
    for (uint64_t key = vma.range.start >> shift; key << shift < vma.range.end; ++key)
      if (keys.size() < kMostKeys && key < uint64_t{1} << kind.root_bits) keys.insert(key);
  }
  return {keys.begin(), keys.end()};
}

// Which slot the leaf belongs to, by what its descriptors cover.
std::optional<uint64_t> key_of(HeapMemory& memory, const RadixKind& kind, uint64_t leaf,
                               const std::vector<uint64_t>& keys) {
  std::vector<Entry> entries, sample;
  each_entry(memory, kind, leaf, [&](const Entry& entry) { entries.push_back(entry); });
  const size_t step = entries.size() / kSample + 1;  // from all over it: old parts are stale
  for (size_t i = 0; i < entries.size(); i += step) sample.push_back(entries[i]);
  const std::vector<Descriptor> descriptors = read_descriptors(memory, kind, sample);
  for (const uint64_t key : keys) {
    size_t good = 0;
    for (size_t i = 0; i < sample.size(); ++i)
      good += descriptors[i].address != 0 &&
              covers(memory, kind, descriptors[i], key << kLeafBits | sample[i].index);
    if (good >= kFewestProofs && good * kStaleToProof >= sample.size()) return key;
  }
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> find_radix(HeapMemory& memory, const RadixKind& kind) {
  const std::vector<uint64_t> keys = keys_of(memory, kind);
  for (const ModuleData& data : module_data(memory.vmas())) {
    if (data.range.bytes() < kind.root_bytes()) continue;
    std::vector<std::pair<uint64_t, uint64_t>> slots;  // place, leaf
    each_word(memory, data.range, [&](uint64_t place, uint64_t word) {
      if (slots.size() < kMostRoots && is_leaf(memory, word)) slots.emplace_back(place, word);
    });
    std::unordered_set<uint64_t> looked;
    for (const auto& [place, leaf] : slots) {
      std::vector<uint64_t> fit;
      for (const uint64_t key : keys)
        if (place - data.range.start >= 8 * key && place - 8 * key + kind.root_bytes() <= data.range.end)
          fit.push_back(key);
      if (fit.empty() || !looked.insert(leaf).second) continue;
      if (const std::optional<uint64_t> key = key_of(memory, kind, leaf, fit)) return place - 8 * *key;
      if (!memory.step()) return std::nullopt;
    }
  }
  return std::nullopt;
}

RadixContents read_radix(HeapMemory& memory, const RadixKind& kind, uint64_t root) {
  RadixContents out;
  std::vector<std::pair<uint64_t, uint64_t>> leaves;  // slot, leaf
  each_word(memory, {root, root + kind.root_bytes()}, [&](uint64_t place, uint64_t word) {
    if (leaves.size() < kMostRoots && is_leaf(memory, word)) leaves.emplace_back((place - root) / 8, word);
  });
  std::unordered_set<uint64_t> seen;
  for (const auto& [slot, leaf] : leaves) {
    out.leaves.push_back({leaf, leaf + kLeafBytes});
    std::vector<Entry> entries;
    each_entry(memory, kind, leaf, [&](const Entry& entry) { entries.push_back(entry); });
    for (size_t at = 0; at < entries.size() && out.whole; at += kTogether) {
      const auto some = std::span(entries).subspan(at, std::min(kTogether, entries.size() - at));
      const std::vector<Descriptor> read = read_descriptors(memory, kind, some);
      for (size_t i = 0; i < some.size(); ++i) {
        if (read[i].address == 0 || !covers(memory, kind, read[i], slot << kLeafBits | some[i].index))
          continue;
        if (!seen.insert(read[i].address).second) continue;
        out.whole = out.whole && memory.keep(2 * sizeof(Descriptor));
        if (out.whole) out.descriptors.push_back(read[i]);
      }
    }
    out.whole = out.whole && memory.step();
  }
  return out;
}

}  // namespace memwhy::allocators
