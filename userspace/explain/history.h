// SPDX-License-Identifier: Apache-2.0
// History: bytes by owner at each scan, thinned evenly so that a recording of days costs what one of minutes
// costs. ledger.h has one scan, growth.h judges growth by them.
//
//   scans at 0, 10, 20 … 5,130 s: 513 samples → every second one stays, and from now on only every second one
//   comes in: 0, 20, 40 … The latest scan is always there. Arrivals of a dropped sample go to the next one,
//   so they still sum.
#pragma once

#include <array>
#include <vector>

#include "explain/owner.h"
#include "explain/owners.h"

namespace memwhy::explain {

constexpr size_t kHistorySamples = 512;

struct Sample {
  TimeNs time = 0;
  uint64_t rss_bytes = 0;
  OwnerBytes bytes = {};
  OwnerBytes arrived = {}, left = {};  // since the sample before; 0 in the first
  std::array<uint64_t, 4> older = {};  // of rss_bytes, than timeline::kAgeLimits[i]
  bool between_scans = false;          // made of what RSS did (growth.h)
};

// Bytes that had no certain owner when they were counted, by where they were: later scans may know the
// mapping.
struct Doubt {
  uint64_t address = 0;
  Owner owner{};
  bool arrived = false;     // of Sample::arrived, else of Sample::bytes
  bool own_stack = false;   // a stack speaks for them beside the mapping
  bool by_program = false;  // and it is no stack of the Go runtime
  uint64_t bytes = 0;
};

class History {
 public:
  void add(Sample sample, std::vector<Doubt> doubts);

  void restart();  // with the last sample as the first

  // All samples, with the doubts settled by what `owners` knows now.
  std::vector<Sample> settled(const Owners& owners) const;
  size_t scans() const { return scans_; }

 private:
  struct Entry {
    Sample sample;
    std::vector<Doubt> doubts;
    size_t number = 0;
  };
  void thin();

  std::vector<Entry> entries_;
  size_t scans_ = 0;
  size_t stride_ = 1;
};

}  // namespace memwhy::explain
