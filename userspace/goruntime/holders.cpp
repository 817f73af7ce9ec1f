// SPDX-License-Identifier: Apache-2.0
#include "goruntime/holders.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <unordered_map>
#include <utility>

#include "goruntime/heap_walk.h"
#include "goruntime/map_count.h"
#include "goruntime/sync_pool.h"
#include "goruntime/words.h"

namespace memwhy::goruntime {
namespace {

using Color = HeapWalk::Color;
using Holder = events::GoHolder;
constexpr size_t kMostRoots = 1 << 20;  // words of variables beyond that have no name: they only take away

// The last that begins at `address` or before, and contains it.
const AddressRange* range_of(std::span<const AddressRange> ranges, uint64_t address) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), address,
                       [](uint64_t value, const AddressRange& range) { return value < range.start; });
  if (after == ranges.begin() || !std::prev(after)->contains(address)) return nullptr;
  return &*std::prev(after);
}

uint64_t overlap(std::span<const AddressRange> ranges, AddressRange object) {
  auto at = std::upper_bound(ranges.begin(), ranges.end(), object.start,
                             [](uint64_t value, const AddressRange& range) { return value < range.end; });
  uint64_t bytes = 0;
  for (; at != ranges.end() && at->start < object.end; ++at)
    bytes += std::min(at->end, object.end) - std::max(at->start, object.start);
  return bytes;
}

// Which root has which color.
class Palette {
 public:
  explicit Palette(const HolderRoots& roots) : roots_(roots) {}

  Color of_word(uint64_t address) {
    const AddressRange* variable = range_of(roots_.variables, address);
    const uint64_t start = variable == nullptr ? address : variable->start;
    if (const auto known = words_.find(start); known != words_.end()) return known->second;
    if (holders_.size() >= kMostRoots) return HeapWalk::kShared;
    Holder holder;
    holder.address = start;
    return words_[start] = add(std::move(holder));
  }
  Color add(Holder holder) {
    holders_.push_back(std::move(holder));
    return static_cast<Color>(HeapWalk::kFirst + holders_.size() - 1);
  }
  Holder* of(Color color) { return color < HeapWalk::kFirst ? nullptr : &holders_[color - HeapWalk::kFirst]; }
  std::vector<Holder>& holders() { return holders_; }

 private:
  const HolderRoots& roots_;
  std::unordered_map<uint64_t, Color> words_;  // of a variable, or of one of its words
  std::vector<Holder> holders_;
};

Holder holder_of(const GoroutineList& list, Members members) {
  Holder out;
  out.kind = Holder::Kind::kGoroutines;
  const GoroutineKind& first = list.kind_of(list.goroutines[members.front()]);
  out.count = members.size();
  out.created_at = first.created_at;
  out.frames.assign(first.frames().begin(), first.frames().end());
  return out;
}

void scan_roots(HeapWalk& walk, Palette& palette, const GoroutineList& list, const HolderRoots& roots) {
  walk.scan_variables([&](uint64_t address) { return palette.of_word(address); });
  for (const Members& group : roots.groups) walk.scan_goroutines(group, palette.add(holder_of(list, group)));
  walk.scan_goroutines(in_no_group(list, roots.groups), HeapWalk::kShared);
  if (roots.queued.empty()) return;
  Holder queue;
  queue.kind = Holder::Kind::kFinalizers;
  queue.count = roots.queued.size();
  const Color color = palette.add(std::move(queue));
  for (const uint64_t object : roots.queued) walk.visit(object, color);
}

void add_sizes(const std::map<uint64_t, uint64_t>& sizes, Holder& out) {
  for (const auto& [bytes, objects] : sizes) out.sizes.push_back({bytes, objects});
  std::stable_sort(out.sizes.begin(), out.sizes.end(), [](const auto& a, const auto& b) {
    return a.object_bytes * a.objects > b.object_bytes * b.objects;
  });
  if (out.sizes.size() > kMostSizes) out.sizes.resize(kMostSizes);
}

// Reported for few only: for all roots it would be too much.
struct Closer {
  std::map<uint64_t, uint64_t> sizes;
  std::vector<KeptObject> large;
  uint64_t map_bytes = 0, entries = 0, slots = 0;  // of the groups of maps
};

void look_closer(const HeapWalk& walk, const HolderRoots& roots,
                 std::map<Color, std::pair<Holder, Closer>>& chosen) {
  walk.seen().for_each([&](uint64_t address, Color first, bool shared) {
    const auto found = shared ? chosen.end() : chosen.find(first);
    if (found == chosen.end()) return;
    auto& [holder, closer] = found->second;
    const uint64_t bytes = HeapWalk::Object{address, walk.span_of(address)}.bytes();
    holder.resident_bytes += overlap(roots.resident, {address, address + bytes});
    ++closer.sizes[bytes];
    if (bytes >= kLargeBytes) closer.large.push_back({address, bytes, {}});
    if (const auto groups = walk.map_groups().find(address); groups != walk.map_groups().end()) {
      closer.map_bytes += bytes;
      closer.entries += groups->second.entries;
      closer.slots += groups->second.slots;
    }
    const auto pin = walk.pins().find(address);
    if (pin == walk.pins().end() || pin->second.whole || pin->second.used * 2 > bytes) return;
    ++holder.pinned;
    holder.pinned_bytes += bytes;
    holder.used_bytes += pin->second.used;
  });
  for (auto& [color, one] : chosen) {
    auto& [holder, closer] = one;
    add_sizes(closer.sizes, holder);
    if (closer.map_bytes * 2 >= holder.bytes) {
      holder.entries = closer.entries;
      holder.slots = closer.slots;
    }
    keep_largest(walk, closer.large, kMostKept);
    for (KeptObject& object : closer.large)
      holder.large.push_back({object.address, object.bytes, std::move(object.allocated_at)});
  }
}

// Of a variable that is one word: whether it is a map.
void count_map(remote::RemoteMemory& memory, const Globals& globals, const HeapWalk& walk,
               const HolderRoots& roots, Holder& holder) {
  const AddressRange* variable = range_of(roots.variables, holder.address);
  if (holder.kind != Holder::Kind::kVariable || (variable != nullptr && variable->bytes() != 8)) return;
  std::vector<std::byte> pointer(8);
  HeapWalk::Object object;
  if (!memory.read(holder.address, pointer) || !walk.object_of(word(pointer, 0), object)) return;
  if (const std::optional<MapCount> map = count_map(memory, walk, globals.layout->minor, object)) {
    holder.slots = map->slots;
    holder.entries = map->entries;
  }
}

void count_lists(remote::RemoteMemory& memory, const HeapWalk& walk, const HolderRoots& roots,
                 Holder& holder) {
  if (holder.kind != Holder::Kind::kVariable) return;
  const AddressRange* variable = range_of(roots.variables, holder.address);
  if (variable != nullptr && variable->bytes() == 8) return;  // a pool is larger
  holder.pool_lists = pool_lists(
      memory, walk, variable != nullptr ? *variable : AddressRange{holder.address, holder.address + 8});
}

}  // namespace

events::GoHeld holders(remote::RemoteMemory& memory, const Globals& globals, SpanTable& spans,
                       const GoroutineList& list, const HolderRoots& roots, const ReachBudget& budget) {
  HeapWalk walk(memory, globals, spans, list, budget);
  walk.note_pins(kLeastPinned);
  Palette palette(roots);
  scan_roots(walk, palette, list, roots);
  walk.drain();

  events::GoHeld out;
  walk.seen().for_each([&](uint64_t address, Color first, bool shared) {
    const uint64_t bytes = HeapWalk::Object{address, walk.span_of(address)}.bytes();
    out.bytes += bytes;
    ++out.objects;
    Holder* nearest = palette.of(first);
    if (nearest == nullptr) return;
    (shared ? nearest->also_bytes : nearest->bytes) += bytes;
    if (!shared) ++nearest->objects;
  });
  out.complete = walk.finished() && list.unread == 0;

  std::vector<Color> heaviest(palette.holders().size());
  for (size_t i = 0; i < heaviest.size(); ++i) heaviest[i] = static_cast<Color>(HeapWalk::kFirst + i);
  std::stable_sort(heaviest.begin(), heaviest.end(), [&](Color a, Color b) {
    const Holder &x = *palette.of(a), &y = *palette.of(b);
    return x.bytes + x.also_bytes > y.bytes + y.also_bytes;
  });
  if (heaviest.size() > kMostHolders) heaviest.resize(kMostHolders);
  std::map<Color, std::pair<Holder, Closer>> chosen;
  for (const Color color : heaviest)
    if (const Holder& holder = *palette.of(color); holder.bytes + holder.also_bytes != 0)
      chosen[color].first = holder;
  look_closer(walk, roots, chosen);
  for (const Color color : heaviest) {
    const auto found = chosen.find(color);
    if (found == chosen.end()) continue;
    count_map(memory, globals, walk, roots, found->second.first);
    count_lists(memory, walk, roots, found->second.first);
    out.holders.push_back(std::move(found->second.first));
  }
  return out;
}

}  // namespace memwhy::goruntime
