// SPDX-License-Identifier: Apache-2.0
// IntervalMap: disjoint ranges in order, each with what is known of it. What RangeTicks and MapSites are made of.
//
// What it is: storage, in leaves of up to 64 intervals that copies share until one of them writes. What it is not: a
// rule about which interval wins; the caller decides what is put and what is cleared.
//
//   leaves_   { 0x100, ● } { 0x7f00, ● } { 0x9a00, ● }          200 leaves for 10,000 munmaps between two scans
//                      |           ╰─ [0x7f00,0x7f10) 41 [0x7f10,0x7f18) 90 …      an operation moves a part of one leaf
//                      ╰─ shared with the child of a fork: the first that writes gets a leaf of its own
//
// A copy costs a reference for each leaf, an operation O(log n) and a leaf.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

namespace memwhy::timeline {

template <typename Item>  // Item::range has start and end
class IntervalMap {
 public:
  static constexpr size_t kLeafItems = 64;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  void clear() { *this = {}; }

  // fn(const Item&) for the intervals that overlap [start, end), whole and in order.
  template <typename Fn>
  void each(uint64_t start, uint64_t end, Fn fn) const {
    if (leaves_.empty() || start >= end) return;
    for (size_t leaf = leaf_of(start); leaf < leaves_.size() && leaves_[leaf].first < end; ++leaf) {
      const std::vector<Item>& items = *leaves_[leaf].items;
      for (auto it = ending_after(items, start); it != items.end(); ++it) {
        if (it->range.start >= end) return;
        fn(*it);
      }
    }
  }
  template <typename Fn>
  void each(Fn fn) const {
    for (const Leaf& leaf : leaves_)
      for (const Item& item : *leaf.items) fn(item);
  }
  // The interval that holds `at`, or nullptr.
  const Item* find(uint64_t at) const {
    if (leaves_.empty()) return nullptr;
    const std::vector<Item>& items = *leaves_[leaf_of(at)].items;
    const auto it = ending_after(items, at);
    return it != items.end() && it->range.start <= at ? &*it : nullptr;
  }

  // Where the result of find(at) changes next.
  uint64_t changes_after(uint64_t at) const {
    if (leaves_.empty()) return UINT64_MAX;
    const size_t leaf = leaf_of(at);
    const std::vector<Item>& items = *leaves_[leaf].items;
    const auto it = ending_after(items, at);
    if (it == items.end()) return leaf + 1 < leaves_.size() ? leaves_[leaf + 1].first : UINT64_MAX;
    return it->range.start <= at ? it->range.end : it->range.start;
  }

  // Takes [start, end) away; an interval that sticks out keeps what sticks out.
  void clear(uint64_t start, uint64_t end) {
    if (start < end && !leaves_.empty()) open_gap(start, end);
  }
  // Puts the item in place of whatever overlaps it. joins(before, item): it only makes the one that ends where it starts longer.
  template <typename Joins>
  void put(const Item& item, Joins joins) {
    if (item.range.start >= item.range.end) return;
    if (leaves_.empty()) {
      leaves_.push_back({item.range.start, std::make_shared<std::vector<Item>>(1, item)});
      size_ = 1;
      return;
    }
    const Place at = open_gap(item.range.start, item.range.end, true);
    std::vector<Item>& items = own(at.leaf);
    if (at.index > 0 && items[at.index - 1].range.end == item.range.start &&
        joins(items[at.index - 1], item)) {
      items[at.index - 1].range.end = item.range.end;
      return;
    }
    items.insert(items.begin() + static_cast<std::ptrdiff_t>(at.index), item);
    leaves_[at.leaf].first = items.front().range.start;
    ++size_;
    if (items.size() > kLeafItems) split(at.leaf);
  }
  void put(const Item& item) {
    put(item, [](const Item&, const Item&) { return false; });
  }

  // In place of all: items in order that do not overlap.
  void assign(const std::vector<Item>& items) {
    leaves_.clear();
    size_ = items.size();
    constexpr size_t kFill = kLeafItems * 3 / 4;  // the next operations find room
    for (size_t at = 0; at < items.size(); at += kFill) {
      const auto first = items.begin() + static_cast<std::ptrdiff_t>(at);
      const auto end = first + static_cast<std::ptrdiff_t>(std::min(kFill, items.size() - at));
      leaves_.push_back({first->range.start, std::make_shared<std::vector<Item>>(first, end)});
    }
  }
  template <typename Pred>
  void erase_if(Pred pred) {
    std::vector<Item> kept;
    kept.reserve(size_);
    each([&](const Item& item) {
      if (!pred(item)) kept.push_back(item);
    });
    if (kept.size() != size_) assign(kept);
  }

  size_t leaves() const { return leaves_.size(); }
  // Leaves that no copy shares.
  size_t own_leaves() const {
    return static_cast<size_t>(std::count_if(leaves_.begin(), leaves_.end(),
                                             [](const Leaf& leaf) { return leaf.items.use_count() == 1; }));
  }
  size_t memory_bytes() const {
    constexpr size_t kPerLeaf = 48;  // the counts of a shared_ptr, and what malloc adds, twice
    size_t bytes = leaves_.capacity() * sizeof(Leaf);
    for (const Leaf& leaf : leaves_) {
      bytes += (leaf.items->capacity() * sizeof(Item) + sizeof(*leaf.items) + kPerLeaf) /
               static_cast<size_t>(leaf.items.use_count());
    }
    return bytes;
  }

 private:
  struct Leaf {
    uint64_t first;                            // start of its first item
    std::shared_ptr<std::vector<Item>> items;  // never empty between two operations
  };
  struct Place {
    size_t leaf, index;
  };

  // The last leaf that begins at or before `at`; the first one when none does.
  size_t leaf_of(uint64_t at) const {
    const auto after = std::partition_point(leaves_.begin(), leaves_.end(),
                                            [at](const Leaf& leaf) { return leaf.first <= at; });
    return after == leaves_.begin() ? 0 : static_cast<size_t>(after - leaves_.begin()) - 1;
  }
  static auto ending_after(const std::vector<Item>& items, uint64_t at) {
    return std::partition_point(items.begin(), items.end(),
                                [at](const Item& item) { return item.range.end <= at; });
  }
  std::vector<Item>& own(size_t leaf) {
    auto& items = leaves_[leaf].items;
    if (items.use_count() > 1) {
      auto copy = std::make_shared<std::vector<Item>>();
      copy->reserve(items->size() + 1);
      copy->assign(items->begin(), items->end());
      items = std::move(copy);
    }
    return *items;
  }

  // Clears [start, end) and returns where an interval that starts at `start` belongs. The leaf of that place may be empty then, if
  // `keep`; without it no leaf stays empty.
  Place open_gap(uint64_t start, uint64_t end, bool keep = false) {
    size_t leaf = leaf_of(start);
    size_t index =
        static_cast<size_t>(ending_after(*leaves_[leaf].items, start) - leaves_[leaf].items->begin());
    const Place place = cut_front(leaf, index, start, end);
    remove(place, end);
    if (!keep && leaves_[place.leaf].items->empty())
      leaves_.erase(leaves_.begin() + static_cast<std::ptrdiff_t>(place.leaf));
    return place;
  }

  // The interval that begins before `start` and reaches over it.
  Place cut_front(size_t leaf, size_t index, uint64_t start, uint64_t end) {
    const std::vector<Item>& now = *leaves_[leaf].items;
    if (index == now.size() || now[index].range.start >= start) return {leaf, index};
    std::vector<Item>& items = own(leaf);
    Item rest = items[index];
    items[index].range.end = start;
    ++index;
    if (rest.range.end > end) {
      rest.range.start = end;
      items.insert(items.begin() + static_cast<std::ptrdiff_t>(index), rest);
      ++size_;
      if (items.size() > kLeafItems) {
        const size_t half = split(leaf);
        if (index > half) return {leaf + 1, index - half};
      }
    }
    return {leaf, index};
  }

  // What begins before `end`, from the place on.
  void remove(Place from, uint64_t end) {
    const size_t next = from.leaf + 1;
    size_t whole = next;  // leaves [next, whole) are covered as a whole: they need not be its own to go
    for (size_t leaf = from.leaf; leaf < leaves_.size(); ++leaf) {
      const std::vector<Item>& now = *leaves_[leaf].items;
      const size_t begin = leaf == from.leaf ? from.index : 0, count = now.size();
      size_t last = begin;
      while (last < count && now[last].range.end <= end) ++last;
      const bool cut = last < count && now[last].range.start < end;
      if (leaf != from.leaf && last == count) {
        size_ -= count;
        whole = leaf + 1;
        continue;
      }
      if (last > begin || cut) {
        std::vector<Item>& items = own(leaf);
        if (cut) items[last].range.start = end;
        items.erase(items.begin() + static_cast<std::ptrdiff_t>(begin),
                    items.begin() + static_cast<std::ptrdiff_t>(last));
        size_ -= last - begin;
        if (!items.empty()) leaves_[leaf].first = items.front().range.start;
      }
      if (last < count) break;
    }
    leaves_.erase(leaves_.begin() + static_cast<std::ptrdiff_t>(next),
                  leaves_.begin() + static_cast<std::ptrdiff_t>(whole));
  }

  // The upper half of a leaf becomes the next leaf. How many items stay.
  size_t split(size_t leaf) {
    std::vector<Item>& items = own(leaf);
    const size_t half = items.size() / 2;
    auto upper =
        std::make_shared<std::vector<Item>>(items.begin() + static_cast<std::ptrdiff_t>(half), items.end());
    items.resize(half);
    const uint64_t first = upper->front().range.start;
    leaves_.insert(leaves_.begin() + static_cast<std::ptrdiff_t>(leaf) + 1, {first, std::move(upper)});
    return half;
  }

  std::vector<Leaf> leaves_;
  size_t size_ = 0;
};

}  // namespace memwhy::timeline
