// SPDX-License-Identifier: Apache-2.0
// Store: the folder of the agent on disk: recordings, rings, and a lock so that there is one agent in it.
//
//   /var/lib/memwhy/  0700
//     lock                                                     flock, with the pid of who has it
//     node7_web.service_20261129T141500Z_growth.memwhy  0600   closed; whole
//     .closing.17                                              being written; renamed when it is on disk
//     ring/web.service/ring.4.memwhy …                         ring.h's
//
// Quota: when recordings and rings exceed it, recordings go, the least interesting first and of these the oldest: rings that an
// agent left (interrupted), steps, cgroup events and pressure, growth, forecasts and signals, at last OOM kills, findings and requests.
// Not who writes into the files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace memwhy::agent {

struct StoredRecording {
  std::string name;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;  // realtime, or what keeps the order in which they were closed
};

// A ring that an agent left behind.
struct Orphan {
  std::string unit;  // as file_name_of() has it
  std::string folder;
  std::vector<std::string> parts;  // oldest first
};

constexpr std::string_view kInterrupted = "interrupted";  // the cause of an orphan

class Store {
 public:
  // kOutput: it can't be made, is somebody else's, or others may write into it. kConflict: another agent is in it.
  static Result<Store> open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  std::string rings() const { return folder_ + "/ring"; }
  // Left by an agent that was killed. Half written recordings of it are removed.
  std::vector<Orphan> orphans() const;
  static void remove(const Orphan& orphan);
  // Under a name that no ring has.
  static Orphan set_aside(const Orphan& orphan);

  // HOST_UNIT_TIME_CAUSE.memwhy, with .1 … where that is there already.
  std::string name_for(const std::string& host, const std::string& unit, int64_t realtime_ns,
                       std::string_view cause) const;
  std::string temporary(uint64_t number) const;
  // The written file gets its name, on disk. kOutput; kConflict: the name is taken.
  Status publish(const std::string& temporary, const std::string& name) const;

  // Oldest first.
  std::vector<StoredRecording> recordings() const;
  // Makes room for `rings_bytes` and what is there, within `quota`. What was removed.
  std::vector<StoredRecording> trim(uint64_t quota, uint64_t rings_bytes) const;

 private:
  Store(std::string folder, Fd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}
  std::string folder_;
  Fd lock_;
};

// 0: goes first.
int interest(std::string_view name);

}  // namespace memwhy::agent
