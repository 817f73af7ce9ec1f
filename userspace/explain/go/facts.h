// SPDX-License-Identifier: Apache-2.0
// GoFacts: what the recording knows of a Go program's runtime, for the rules: its counters over time, its heap profile, its
// goroutines each time they were read, and names for its code. Not the ledger: its bytes are virtual unless a name
// contains "resident".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "explain/code_names.h"
#include "explain/explanation.h"
#include "timeline/timeline.h"

namespace memwhy::explain {

class GoFacts {
 public:
  GoFacts(const timeline::Timeline& timeline, const timeline::AddressSpace& space,
          const timeline::ScanResult& scan, const events::GoReading* reading,
          std::optional<uint64_t> own_profile_bytes);

  events::GoLayout layout() const { return heap() == nullptr ? events::GoLayout::kNone : heap()->layout; }
  bool layout_trusted() const { return events::trusted(layout()); }
  std::string problem() const;                                // one sentence when it is not
  const events::GoReading* heap() const { return reading_; }  // nullptr: not read

  const std::vector<timeline::GoPoint>& curve() const { return curve_; }
  const timeline::GoPauses& pauses() const { return space_.tracks().go.pauses(); }
  const timeline::GoCycles& cycles() const { return space_.tracks().go.cycles(); }
  const timeline::GoMoments& moments() const { return space_.tracks().go.moments(); }
  const std::vector<timeline::GoroutinePoint>& goroutines() const { return goroutines_; }

  // Of the profile that the user brought, else of the buckets, scaled as pprof scales: what an endpoint would show.
  ProfileSource profile_source() const;
  std::optional<uint64_t> profile_bytes() const;
  uint64_t estimated_bytes() const;  // the same, also where its rate is a guess; a profile must be there
  const events::GoProfile* profile() const { return profile_; }
  // Mean bytes between two samples of the buckets; absent: unknown, and the usual one would make them more than the heap.
  std::optional<uint64_t> profile_rate() const;
  static double scaled_bytes(const events::GoBucket& bucket, uint64_t objects, uint64_t rate);

  // Innermost first, inlined frames included. `first_is_exact`: the first address is an instruction, not a return address.
  std::vector<Frame> frames(const std::vector<uint64_t>& addresses, bool first_is_exact) const;
  // The stack of the faults that made most of an object's pages resident, the runtime's frames included. Empty: it was
  // there before memwhy attached.
  std::vector<Frame> touched_by(uint64_t address, uint64_t bytes) const;
  // Of an object's pages, as the last scan has them; of a very large one an estimate. Absent: the process has ended.
  std::optional<uint64_t> resident_bytes(uint64_t address, uint64_t bytes) const;
  // What the probes of its runtime saw since memwhy attached, by stack, most bytes first. Objects may be gone since.
  const std::vector<timeline::GoCallSite>& call_sites() const { return call_sites_; }
  std::vector<Frame> frames_of(StackId stack) const;  // of a call; empty: unknown
  // nullopt: the recording has no clock.
  std::optional<TimeNs> monotonic(uint64_t unix_ns) const;
  // "14:02:11 UTC", with the date when it is not the recording's; "" when the recording has no clock.
  std::string clock(TimeNs monotonic_ns) const;

 private:
  uint64_t most_in_use() const;

  const timeline::Timeline& timeline_;
  const timeline::AddressSpace& space_;
  const timeline::ScanResult& scan_;
  const events::GoReading* reading_;
  CodeNames names_;
  const events::GoProfile* profile_;
  std::optional<uint64_t> own_profile_bytes_;
  std::vector<timeline::GoPoint> curve_;
  std::vector<timeline::GoroutinePoint> goroutines_;
  std::vector<timeline::GoCallSite> call_sites_;
};

}  // namespace memwhy::explain
