// SPDX-License-Identifier: Apache-2.0
#include "allocators/radix_map.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "allocators/module_data.h"

namespace memwhy::allocators {
namespace {

constexpr size_t kSample = 256, kTogether = 512;
constexpr size_t kFewestProofs = 8, kStaleToProof = 16;  // most of a leaf may be stale
constexpr uint64_t kLeastMapping = 1 << 20;
constexpr size_t kNear = 64, kMostNear = 16;  // words

// A run of words of a leaf that name one descriptor, by its first and its last place. Either may be stale, where the descriptor
// has lost a part of its memory since.
struct Entry {
  uint64_t first, last, descriptor;
};

bool is_leaf(const HeapMemory& memory, uint64_t address) {
  if (address % 8 != 0) return false;
  const AddressRange span = memory.span(address);
  return !span.empty() && span.end - address >= kLeafBytes;
}

std::vector<Entry> entries_of(HeapMemory& memory, const RadixKind& kind, uint64_t leaf) {
  std::vector<Entry> out;
  each_word(memory, {leaf, leaf + kLeafBytes}, [&](uint64_t place, uint64_t word) {
    const uint64_t descriptor = kind.descriptor(word), index = (place - leaf) / 8;
    if (descriptor == 0) return;
    if (!out.empty() && out.back().descriptor == descriptor)
      out.back().last = index;
    else
      out.push_back({index, index, descriptor});
  });
  return out;
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

// What the descriptor is of, if that is mapped.
AddressRange mapped_memory(const HeapMemory& memory, const RadixKind& kind, const Descriptor& descriptor) {
  const AddressRange range = kind.memory(descriptor);
  const AddressRange span = range.empty() ? AddressRange{} : memory.span(range.start);
  return !span.empty() && range.end <= span.end ? range : AddressRange{};
}

bool covers(const RadixKind& kind, const AddressRange& range, uint64_t key, const Entry& entry) {
  return range.contains((key << kLeafBits | entry.first) << kind.page_shift) ||
         range.contains((key << kLeafBits | entry.last) << kind.page_shift);
}

// Slots of the root that must be filled, since the memory that they cover exists. Sorted.
std::vector<uint64_t> keys_of(const HeapMemory& memory, const RadixKind& kind) {
  const uint64_t shift = kind.page_shift + kLeafBits;
  std::vector<uint64_t> keys;
  for (const events::Vma& vma : memory.vmas()) {
    if (!HeapMemory::private_anonymous(vma) || vma.range.bytes() < kLeastMapping) continue;
    for (uint64_t key = vma.range.start >> shift;
         key << shift < vma.range.end && key < uint64_t{1} << kind.root_bits; ++key)
      if (keys.empty() || keys.back() < key) keys.push_back(key);
  }
  return keys;
}

// Those from `first` to `last`.
std::span<const uint64_t> between(std::span<const uint64_t> keys, uint64_t first, uint64_t last) {
  const auto from = std::lower_bound(keys.begin(), keys.end(), first);
  return {from, std::upper_bound(from, keys.end(), last)};
}

// Which slot the leaf belongs to, by what its descriptors cover.
std::optional<uint64_t> key_of(HeapMemory& memory, const RadixKind& kind, uint64_t leaf,
                               std::span<const uint64_t> keys) {
  const std::vector<Entry> entries = entries_of(memory, kind, leaf);
  std::vector<Entry> sample;
  const size_t step = entries.size() / kSample + 1;  // from all over it: old parts are stale
  for (size_t i = 0; i < entries.size(); i += step) sample.push_back(entries[i]);
  const std::vector<Descriptor> descriptors = read_descriptors(memory, kind, sample);
  std::map<uint64_t, size_t> good;
  for (size_t i = 0; i < sample.size() && memory.step(); ++i) {
    if (descriptors[i].address == 0) continue;
    const AddressRange range = mapped_memory(memory, kind, descriptors[i]);
    if (range.empty()) continue;
    const uint64_t shift = kind.page_shift + kLeafBits;
    for (const uint64_t key : between(keys, range.start >> shift, (range.end - 1) >> shift))
      good[key] += covers(kind, range, key, sample[i]) ? 1 : 0;
  }
  for (const auto& [key, proofs] : good)
    if (proofs >= kFewestProofs && proofs * kStaleToProof >= sample.size()) return key;
  return std::nullopt;
}

// A root is sparse; a table full of pointers is none: of the words after a slot no more are filled than the memory needs.
// A run of slots begins somewhere, so before the first of it is hardly anything either.
class Sparse {
 public:
  // For each word that is not zero, in order.
  bool before(uint64_t place) {
    uint64_t& earlier = recent_[next_++ % kMostNear];
    const bool dense = place - std::exchange(earlier, place) < 8 * kNear;
    return !dense;
  }
  static bool behind(HeapMemory& memory, uint64_t place, size_t slots) {
    std::array<uint64_t, kNear> words;
    if (!memory.get(place, words)) return true;  // it ends there, or was never touched
    return kNear - static_cast<size_t>(std::count(words.begin(), words.end(), uint64_t{0})) <=
           slots + kMostNear;
  }

 private:
  std::array<uint64_t, kMostNear> recent_{};
  size_t next_ = 0;
};

}  // namespace

std::optional<uint64_t> find_radix(HeapMemory& memory, const RadixKind& kind, const MayHold& may_hold) {
  const std::vector<uint64_t> keys = keys_of(memory, kind);
  std::optional<uint64_t> root;
  for (const ModuleData& data : module_data(memory.vmas())) {
    if (data.range.bytes() < kind.root_bytes()) continue;
    const events::Vma* const first = memory.mapping(data.range.start);
    if (may_hold && first != nullptr && !may_hold(memory.vmas(), *first)) continue;
    std::set<uint64_t> looked;  // as many as a search may read
    Sparse sparse;
    each_word(memory, data.range, [&](uint64_t place, uint64_t leaf) {
      const bool begins = sparse.before(place);
      if (root || !is_leaf(memory, leaf)) return;
      // The whole root lies in the variables.
      const uint64_t before = place - data.range.start, least = data.range.end - kind.root_bytes();
      const auto fit = between(keys, place > least ? (place - least + 7) / 8 : 0, before / 8);
      if (!fit.empty() && !begins && fit.front() >= kNear) return;  // else other variables precede it
      if (fit.empty() || looked.count(leaf) != 0 || !memory.step()) return;
      if (!Sparse::behind(memory, place, between(keys, fit.front(), fit.back() + kNear).size())) return;
      looked.insert(leaf);
      if (const std::optional<uint64_t> key = key_of(memory, kind, leaf, fit)) root = place - 8 * *key;
    });
    if (root) break;
  }
  return root;
}

RadixContents read_radix(HeapMemory& memory, const RadixKind& kind, uint64_t root) {
  RadixContents out;
  std::vector<std::pair<uint64_t, uint64_t>> leaves;  // slot, leaf
  each_word(memory, {root, root + kind.root_bytes()}, [&](uint64_t place, uint64_t word) {
    if (is_leaf(memory, word)) leaves.emplace_back((place - root) / 8, word);
  });
  for (const auto& [slot, leaf] : leaves) {
    out.leaves.push_back({leaf, leaf + kLeafBytes});
    if (!out.whole) continue;
    const std::vector<Entry> entries = entries_of(memory, kind, leaf);
    for (size_t at = 0; at < entries.size() && out.whole; at += kTogether) {
      const auto some = std::span(entries).subspan(at, std::min(kTogether, entries.size() - at));
      const std::vector<Descriptor> read = read_descriptors(memory, kind, some);
      for (size_t i = 0; i < some.size(); ++i) {
        if (read[i].address == 0 || !covers(kind, mapped_memory(memory, kind, read[i]), slot, some[i]))
          continue;
        out.whole = out.whole && memory.keep(2 * sizeof(Descriptor));
        if (out.whole) out.descriptors.push_back(read[i]);
      }
    }
    out.whole = out.whole && memory.step();
  }
  std::vector<Descriptor>& all = out.descriptors;
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
  all.erase(std::unique(all.begin(), all.end(),
                        [](const auto& a, const auto& b) { return a.address == b.address; }),
            all.end());
  return out;
}

}  // namespace memwhy::allocators
