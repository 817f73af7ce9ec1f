// SPDX-License-Identifier: Apache-2.0
#include "goruntime/holders.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <unordered_map>
#include <utility>

#include "goruntime/heap_walk.h"
#include "goruntime/map_count.h"
#include "goruntime/static_pointers.h"
#include "goruntime/sync_pool.h"
#include "goruntime/words.h"

namespace memwhy::goruntime {
namespace {

using Color = HeapWalk::Color;
using Holder = events::GoHolder;
constexpr size_t kMostRoots =
    1 << 18;                       // 80 MiB; words of variables beyond that have no name: they only take away
constexpr size_t kMostLedTo = 64;  // words to which a variable leads that are looked at

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
  Palette(const HolderRoots& roots, const StaticPointers& pointers) : roots_(roots), pointers_(pointers) {}

  Color of_word(uint64_t address) {
    const uint64_t named = named_word(address);
    const AddressRange* variable = range_of(roots_.variables, named);
    const uint64_t start = variable == nullptr ? named : variable->start;
    auto known = words_.find(start);
    if (known == words_.end()) {
      if (holders_.size() >= kMostRoots) return HeapWalk::kShared;
      Holder holder;
      holder.address = start;
      known = words_.emplace(start, add(std::move(holder))).first;
    }
    if (named != address)
      if (std::vector<uint64_t>& led_to = led_to_[start]; led_to.size() < kMostLedTo)
        led_to.push_back(address);
    return known->second;
  }
  Color add(Holder holder) {
    holders_.push_back(std::move(holder));
    return static_cast<Color>(HeapWalk::kFirst + holders_.size() - 1);
  }
  Holder* of(Color color) { return color < HeapWalk::kFirst ? nullptr : &holders_[color - HeapWalk::kFirst]; }
  std::vector<Holder>& holders() { return holders_; }
  // Words without a symbol to which the variable at this address leads.
  std::span<const uint64_t> led_to(uint64_t variable) const {
    const auto found = led_to_.find(variable);
    return found == led_to_.end() ? std::span<const uint64_t>() : found->second;
  }

 private:
  // Itself, or where the way to it begins in a variable.
  uint64_t named_word(uint64_t address) const {
    if (roots_.variables.empty() || range_of(roots_.variables, address) != nullptr) return address;
    const std::vector<uint64_t> way = pointers_.leading_to(address);
    return way.empty() || range_of(roots_.variables, way.back()) == nullptr ? address : way.back();
  }

  const HolderRoots& roots_;
  const StaticPointers& pointers_;
  std::unordered_map<uint64_t, std::vector<uint64_t>> led_to_;
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

// Words of a variable, or of what it leads to, that refer to the heap.
std::vector<uint64_t> words_into_heap(remote::RemoteMemory& memory, const HeapWalk& walk,
                                      std::span<const uint64_t> words) {
  std::vector<uint64_t> out;
  std::vector<std::byte> pointer(8);
  HeapWalk::Object object;
  for (const uint64_t at : words.first(std::min(words.size(), kMostLedTo)))
    if (memory.read(at, pointer) && walk.object_of(word(pointer, 0), object)) out.push_back(at);
  return out;
}

// Of a variable that is one word, or leads to one: whether it is a map.
void count_map(remote::RemoteMemory& memory, const Globals& globals, const HeapWalk& walk,
               const HolderRoots& roots, std::span<const uint64_t> led_to, Holder& holder) {
  const AddressRange* variable = range_of(roots.variables, holder.address);
  if (holder.kind != Holder::Kind::kVariable || (variable != nullptr && variable->bytes() != 8)) return;
  const std::vector<uint64_t> words =
      words_into_heap(memory, walk, led_to.empty() ? std::span(&holder.address, 1) : led_to);
  std::vector<std::byte> pointer(8);
  HeapWalk::Object object;
  if (words.size() != 1 || !memory.read(words.front(), pointer) || !walk.object_of(word(pointer, 0), object))
    return;
  if (const std::optional<MapCount> map = count_map(memory, walk, globals.layout->minor, object)) {
    holder.slots = map->slots;
    holder.entries = map->entries;
  }
}

void count_lists(remote::RemoteMemory& memory, const HeapWalk& walk, const HolderRoots& roots,
                 std::span<const uint64_t> led_to, Holder& holder) {
  if (holder.kind != Holder::Kind::kVariable) return;
  for (const uint64_t at : led_to.first(std::min(led_to.size(), kMostLedTo)))
    holder.pool_lists = std::max(holder.pool_lists, pool_lists(memory, walk, {at, at + 8}));
  const AddressRange* variable = range_of(roots.variables, holder.address);
  if (variable != nullptr && variable->bytes() == 8) return;  // a pool is larger
  holder.pool_lists = std::max(
      holder.pool_lists,
      pool_lists(memory, walk,
                 variable != nullptr ? *variable : AddressRange{holder.address, holder.address + 8}));
}

StaticPointers static_pointers(HeapWalk& walk, const Globals& globals, const HolderRoots& roots) {
  StaticPointers out(roots.variables);
  walk.each_variable_word([&](uint64_t address, uint64_t value) {
    for (const AddressRange& range : globals.roots)
      if (range.contains(value)) out.add(address, value);
  });
  return out;
}

}  // namespace

Holding holders(remote::RemoteMemory& memory, const Globals& globals, SpanTable& spans,
                const GoroutineList& list, const HolderRoots& roots, const ReachBudget& budget) {
  HeapWalk walk(memory, globals, spans, list, budget);
  walk.note_pins(kLeastPinned);
  const StaticPointers pointers = static_pointers(walk, globals, roots);
  Palette palette(roots, pointers);
  scan_roots(walk, palette, list, roots);
  walk.drain();

  Holding holding;
  events::GoHeld& out = holding.held;
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
    Holder& holder = found->second.first;
    const std::span<const uint64_t> led_to = palette.led_to(holder.address);
    count_map(memory, globals, walk, roots, led_to, holder);
    count_lists(memory, walk, roots, led_to, holder);
    const bool nameless = holder.kind == Holder::Kind::kVariable && roots.variables.empty();
    holding.led_by.push_back(nameless ? pointers.leading_to(holder.address) : std::vector<uint64_t>());
    out.holders.push_back(std::move(holder));
  }
  return holding;
}

void name_holders(Holding& holding, const NamesOf& names_of) {
  std::vector<events::GoHolder>& all = holding.held.holders;
  std::vector<uint64_t> addresses;
  for (size_t i = 0; i < all.size(); ++i) {
    addresses.push_back(all[i].address);
    addresses.insert(addresses.end(), holding.led_by[i].begin(), holding.led_by[i].end());
  }
  std::vector<GoProgram::VariableName> names = names_of(addresses);
  if (names.size() < addresses.size()) return;
  const auto known = [&](size_t at) { return !names[at].name.empty() || !names[at].used_by.empty(); };
  for (size_t i = 0, at = 0; i < all.size(); ++i) {
    const size_t end = at + 1 + holding.led_by[i].size();
    while (at < end && !known(at)) ++at;
    if (at < end && all[i].address != 0) {
      all[i].address = addresses[at];
      all[i].name = std::move(names[at].name);
      all[i].used_by = std::move(names[at].used_by);
    }
    at = end;
  }
}

}  // namespace memwhy::goruntime
