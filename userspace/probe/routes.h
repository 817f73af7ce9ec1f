// SPDX-License-Identifier: Apache-2.0
// Routes: which ports record which address space. Pure: no kernel, no lock of its own.
//
// One object in the kernel serves every recording of the program; what it reports of a space goes to the ports that trace it:
//
//   port 1 traces 4711, with its children     space 1 -> {port 1, follows}
//   port 2 traces 4800                        space 2 -> {port 2}
//   port 2 traces 4711 too                    space 1 -> {port 1, follows} {port 2}
//   4711 forks: space 3                       space 3 -> {port 1, follows}            port 2 does not follow
//   4711 execs: space 1 becomes 4             space 4 -> {port 1, follows} {port 2}
//
// A port is done with a space when it has read the last of its table. It still gets later events: a process execs or exits when
// its old space has ended. These routes are forgotten, the oldest first, when one port has more than kMostDone.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "base/ids.h"

namespace memwhy::probe {

class Routes {
 public:
  static constexpr size_t kMostDone = 4096;

  struct Way {
    uint32_t port = 0;
    bool follows = false;  // children of this space are recorded too
    bool reads = true;     // the table of this space is still needed
  };

  // The port traces this space. One that does already may only begin to follow.
  void add(SpaceId space, uint32_t port, bool follows);
  // `to` comes out of `from`, by a fork (followers_only) or an exec. false: no port records it.
  bool start(SpaceId from, SpaceId to, bool followers_only);

  const std::vector<Way>& of(SpaceId space) const;
  // This port still reads it, and no other does.
  bool reads_alone(SpaceId space, uint32_t port) const;
  bool is_followed(SpaceId space) const;  // by a port that still reads it

  // The port has read the last of it. true: so has every other, just now.
  bool done(SpaceId space, uint32_t port);
  // The same, and the port is given nothing of this space from now on.
  bool remove(SpaceId space, uint32_t port);
  // Everything that the port records, or did until lately.
  std::vector<SpaceId> all_of(uint32_t port) const;
  // The port is gone. What it recorded was removed before.
  void close(uint32_t port) { done_.erase(port); }

  size_t size() const { return ways_.size(); }

 private:
  Way* find(SpaceId space, uint32_t port);
  bool is_read(SpaceId space) const;
  void erase(SpaceId space, uint32_t port);

  std::unordered_map<SpaceId, std::vector<Way>> ways_;
  std::unordered_map<uint32_t, std::deque<SpaceId>> done_;  // of each port, the oldest first
};

}  // namespace memwhy::probe
