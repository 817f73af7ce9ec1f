// SPDX-License-Identifier: Apache-2.0
// MapSites: who made what is mapped now. Disjoint ranges in order of address; they are cut as parts go or move. An
// operation costs O(log n), and what it takes away.
//
//   mmap 0x100+64 by s1, munmap 0x110+8, mremap 0x118+40 -> 0x900+50 by s2:
//     [0x100,0x110) s1 kMmap
//     [0x900,0x928) s1 kMmap      its maker moves with it
//     [0x928,0x932) s2 kMremap    what it grew by
//   departed: [0x110,0x118) s1, [0x100,0x128) s1 of the move
//
// Neighbours that were made alike, at about the same time or before the last list of mappings, are one: a leak of 100,000
// mmaps by one stack is a few entries. A copy shares the entries until one of the two changes.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "timeline/address_space.h"

namespace memwhy::timeline {

class MapSites {
 public:
  static constexpr size_t kMax = size_t{1} << 17;  // twice the kernel's limit of mappings
  // Between two scans; of more, the oldest are forgotten.
  static constexpr size_t kMaxDeparted = size_t{1} << 16;

  void add(const MapSite& site);
  void cut(AddressRange range, TimeNs time);
  void move(AddressRange from, AddressRange to, const MapSite& by);
  // Forgets what no mapping of the list covers, unless it is newer than `newer`: the list may be older than
  // it.
  void clip(const std::vector<events::Vma>& vmas, TimeNs newer);
  const MapSite* find(uint64_t address) const;
  // All of the range has the same answer of find().
  bool one_answer(AddressRange range) const;
  // What was cut or moved away since then: the last maker at each address.
  MapSites departed(TimeNs since) const;
  void forget_departed(TimeNs before);
  std::vector<MapSite> all() const;
  bool empty() const { return size() == 0; }
  size_t size() const { return sites_ ? sites_->size() : 0; }
  size_t memory_bytes() const;

 private:
  using Map = std::map<uint64_t, MapSite>;  // by the start of the range
  struct Departed {
    TimeNs time;
    MapSite site;
  };
  Map& own();
  template <typename Fn>
  void each(AddressRange range, Fn fn) const;
  bool alike(const MapSite& a, const MapSite& b) const;
  void remember(AddressRange range, TimeNs time);
  void erase(AddressRange range);
  void put(const MapSite& site);
  std::shared_ptr<Map> sites_;      // null: none
  std::vector<Departed> departed_;  // as they were heard of
  TimeNs listed_ = 0;               // what is not newer was held against a list
};

}  // namespace memwhy::timeline
