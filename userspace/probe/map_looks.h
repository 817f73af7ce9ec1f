// SPDX-License-Identifier: Apache-2.0
// MapLooks: whether adding or removing a breakpoint would wait for good. The kernel takes the lock of the map of each process that
// maps the file, where no signal ends the wait, and every fork of the machine waits for that.
//
// What it is: looks at the locks of all processes; a lock that was held at each look stays held, and of those that stay, who maps
// the file. What it is not: proof: a lock that was free may be taken a moment later.
//
//   look 1     held by 17, 4711, 9000
//   look 2     held by 4711, 9000, 23
//     …
//   look 200   held by 4711, 9000, 51        4711 does not map the file, 9000 does
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "memwhy/abi/table.h"

namespace memwhy::probe {

class Object;

class MapLooks {
 public:
  // `mm`: of the process that is to be probed; `site`: an address of it, in the file.
  MapLooks(const Object& object, uint64_t mm, uint64_t site) : object_(&object), mm_(mm), site_(site) {}

  // One more. true: some lock was held at each.
  bool look();
  // Forgets those that do not map the file. true: some are left.
  bool only_of_file();
  uint32_t count() const { return count_; }
  // 200 in 0.2 s, no more than it takes. Which lock was held at all of them, as a clause: "its memory map is locked".
  std::optional<std::string> stays_held();

 private:
  uint32_t mapping(size_t first) const;  // of the 16 from there on, a bit for each that maps the file

  const Object* object_;
  uint64_t mm_, site_;
  std::vector<mw_held> held_;
  uint32_t count_ = 0;
};

}  // namespace memwhy::probe
