// SPDX-License-Identifier: Apache-2.0
// MapSites: which stack made each current mapping. A tree of ranges in order of address, which are cut when parts go or move:
// an operation costs O(log n), wherever the kernel puts the next mapping.
//
//   mmap 0x100+64 by s1, munmap 0x110+8, mremap 0x118+40 -> 0x900+50 by s2:
//     [0x100,0x110) s1 kMmap
//     [0x900,0x928) s1 kMmap      its maker moves with it
//     [0x928,0x932) s2 kMremap    what it grew by
//   departed: [0x110,0x118) s1, [0x100,0x128) s1 of the move
//
// Neighbours of the same maker become one when a list of mappings confirms them (clip). A fork shares the tree of its
// parent, leaf by leaf, until one of the two writes.
#pragma once

#include <vector>

#include "timeline/address_space.h"
#include "timeline/interval_map.h"

namespace memwhy::timeline {

constexpr uint32_t kMapPopulate = 0x8000;  // of MapSite::flags

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
  // The address from which on that may be another one.
  uint64_t changes_after(uint64_t address) const { return sites_.changes_after(address); }
  // What was cut or moved away since then: the last maker at each address.
  MapSites departed(TimeNs since) const;
  void forget_departed(TimeNs before);
  // As a forked child has them: of what departed before, nothing is its own.
  MapSites forked() const {
    MapSites child;
    child.sites_ = sites_;
    return child;
  }
  std::vector<MapSite> all() const;
  bool empty() const { return sites_.empty(); }
  size_t size() const { return sites_.size(); }
  size_t memory_bytes() const;

 private:
  struct Departed {
    TimeNs time;
    MapSite site;
  };
  void remember(AddressRange range, TimeNs time);
  void put(const MapSite& site);
  IntervalMap<MapSite> sites_;
  std::vector<Departed> departed_;  // in order of arrival
};

}  // namespace memwhy::timeline
