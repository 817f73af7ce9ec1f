// SPDX-License-Identifier: Apache-2.0
#include "explain/heaviest.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace memwhy::explain {
namespace {

using timeline::How;

// Owners for which the mapping is enough; for the others the stack reveals more.
bool by_mapping(Owner owner) {
  return owner == Owner::kRaceShadow || owner == Owner::kRaceMeta || owner == Owner::kThreadStacks ||
         owner == Owner::kMainStack || owner == Owner::kShmem;
}

std::string mapping_text(const events::Vma& vma) {
  if (!vma.name.empty()) return vma.name;
  return fmt::format("{:x}-{:x} {}{}{}{}", vma.range.start, vma.range.end, vma.read ? 'r' : '-',
                     vma.write ? 'w' : '-', vma.exec ? 'x' : '-', vma.shared ? 's' : 'p');
}

class View {
 public:
  explicit View(const Attribution& all) : all_(all) {}

  // Cells of one owner with the same file, mapping or stack.
  void add(const Cell& cell) {
    if (cell.rest) return;
    Key key{EntryWhat::kMapping, cell.mapping, cell.how};
    if (by_file(cell.owner)) {
      if (cell.mapping == kNoIndex) return;
      const auto index = files_.try_emplace(all_.mappings[cell.mapping].file, cell.mapping).first->second;
      key = {EntryWhat::kFile, index, std::nullopt};
    } else if (by_mapping(cell.owner)) {
      std::get<2>(key) = std::nullopt;
    } else if (cell.stack != kNoIndex) {
      key = {EntryWhat::kStack, cell.stack, cell.how};
    }
    if (std::get<1>(key) == kNoIndex) return;
    const auto [at, added] = sums_.try_emplace(key, Sum{0, cell.oldest});
    at->second.bytes += cell.bytes();
    at->second.oldest = std::min(at->second.oldest, cell.oldest);
  }

  std::vector<Entry> entries() const {
    std::vector<Entry> all;
    for (const auto& [key, sum] : sums_) {
      Entry& entry = all.emplace_back();
      uint32_t index = 0;
      std::tie(entry.what, index, entry.how) = key;
      (entry.what == EntryWhat::kStack ? entry.stack : entry.mapping) = index;
      entry.bytes = sum.bytes;
      if (sum.oldest != 0 && sum.oldest <= all_.time)
        entry.age_s = static_cast<double>(all_.time - sum.oldest) / 1e9;
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Entry& a, const Entry& b) { return a.bytes > b.bytes; });
    return alike(std::move(all));
  }

 private:
  using Key = std::tuple<EntryWhat, uint32_t, std::optional<How>>;
  struct Sum {
    uint64_t bytes = 0;
    TimeNs oldest = 0;
  };
  // Entries that look the same: stacks with the same places, however deep their recursion, or mappings with the same name.
  struct Seen {
    EntryWhat what{};
    std::optional<How> how;
    std::vector<Frame> places;
    std::string_view name;
    uint32_t mapping = kNoIndex;  // of one without a name
    bool operator<(const Seen& other) const {
      if (std::tie(what, how, name, mapping) != std::tie(other.what, other.how, other.name, other.mapping))
        return std::tie(what, how, name, mapping) <
               std::tie(other.what, other.how, other.name, other.mapping);
      return PlacesBefore()(places, other.places);
    }
  };
  Seen seen(Entry& entry) const {
    Seen out{entry.what, entry.how, {}, {}, kNoIndex};
    if (entry.what == EntryWhat::kStack) {
      for (FoldedFrame& one : folded(all_.frames_of(entry.stack))) {
        out.places.push_back(std::move(one.frame));
        Frame& place = out.places.back();
        const bool helper = place.kind == FrameKind::kLibc || place.kind == FrameKind::kAllocator;
        if (helper) place.line = 0;  // which line of memcpy it was is nobody's question
        entry.deep.push_back(one.deep);
      }
      return out;
    }
    out.name = all_.mappings[entry.mapping].vma.name;
    if (out.name.empty()) out.mapping = entry.mapping;
    return out;
  }

  std::vector<Entry> alike(std::vector<Entry> all) const {
    std::map<Seen, size_t> known;
    std::vector<Entry> out;
    for (Entry& entry : all) {
      const auto [at, added] = known.try_emplace(seen(entry), out.size());
      if (added) {
        out.push_back(std::move(entry));
        continue;
      }
      Entry& same = out[at->second];
      same.bytes += entry.bytes;
      if (entry.age_s) same.age_s = std::max(same.age_s.value_or(0), *entry.age_s);
      for (size_t i = 0; i < same.deep.size(); ++i) same.deep[i] = std::max(same.deep[i], entry.deep[i]);
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const Entry& x, const Entry& y) { return x.bytes > y.bytes; });
    return out;
  }

  const Attribution& all_;
  std::map<Key, Sum> sums_;
  std::map<std::string_view, uint32_t> files_;
};

// Entries that exceed the line are cut; the heaviest keep most.
void limit_to(uint64_t bytes, std::vector<Entry>& entries) {
  for (Entry& entry : entries) {
    entry.bytes = std::min(entry.bytes, bytes);
    bytes -= entry.bytes;
  }
  std::erase_if(entries, [](const Entry& entry) { return entry.bytes == 0; });
}

std::vector<Entry> allocated(const Attribution& all) {
  std::vector<Entry> out;
  for (const AllocatedAt& each : all.allocated) {
    Entry& entry = out.emplace_back();
    entry.bytes = each.bytes;
    entry.what = EntryWhat::kStack;
    entry.says = EntrySays::kAllocated;
    entry.stack = each.stack;
  }
  return out;
}

}  // namespace

std::vector<Entry> heaviest(const Attribution& all, const LedgerLine& line, size_t most) {
  std::vector<Entry> out;
  const bool samples = line.owner == Owner::kGoHeapLive && !all.allocated.empty();
  if (samples) {
    out = allocated(all);
  } else {
    View view(all);
    for (const Cell& cell : all.cells)
      if (cell.owner == line.owner) view.add(cell);
    out = view.entries();
  }
  if (out.size() > kHeaviest) out.resize(kHeaviest);
  const PartedPages* parted = all.parted_as(line.owner);
  if (samples || parted != nullptr) {
    uint64_t sum = 0;
    for (const Entry& entry : out) sum += entry.bytes;
    for (Entry& entry : out) {
      if (entry.says == EntrySays::kAllocated) continue;
      // Faults are of whole pages, whatever became of their slots: they may exceed the line of live ones.
      entry.whole = parted->whole;
      entry.says = sum > line.bytes ? EntrySays::kFirstTouchedOfAllSpans : EntrySays::kFirstTouched;
    }
    limit_to(line.bytes, out);
  }
  if (out.size() > most) out.resize(most);
  return out;
}

std::vector<FoldedFrame> folded_of(const Attribution& all, const Entry& entry) {
  std::vector<FoldedFrame> out = folded(all.frames_of(entry.stack));
  for (size_t i = 0; i < std::min(out.size(), entry.deep.size()); ++i) out[i].deep = entry.deep[i];
  return out;
}

std::string name_of(const Attribution& all, const Entry& entry) {
  if (entry.what == EntryWhat::kStack || entry.mapping >= all.mappings.size()) return "";
  const Mapping& mapping = all.mappings[entry.mapping];
  return entry.what == EntryWhat::kFile ? mapping.file : mapping_text(mapping.vma);
}

}  // namespace memwhy::explain
