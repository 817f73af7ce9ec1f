// SPDX-License-Identifier: Apache-2.0
// RuntimeReader: reads the runtimes and allocators of a target: what they hold the pages of a pass for, their counters, and
// at longer intervals what is expensive. Each has a budget of its own and knows of no other.
//
//   each pass      pages of every runtime                   a scan without them would call their memory unclassified
//   1 Hz           counters
//   60 s, or with each pass as long as that takes less than 1/50 of a CPU: details
//   first pass     details that may be long come after it: the caller that attaches does not wait for them
//
// The budget. 1/100 of a CPU for each runtime, in the long run; the first half second is free, since a short recording
// needs its first and its last reading:
//
//   300 ms for each reading of "go":  t=0 0.3 s   t=10 0.6 s: 0.1 s too much is paid for by 10 s   t=20 0.9 s: by 40 s from the
//   start   ...   -> the scans of this target come at 0, 10, 20, 40, 70, 100, which is reported once, with the runtime's name
#pragma once

#include <cstdint>

#include "record/names.h"
#include "record/notices.h"
#include "record/target.h"
#include "record/world.h"

namespace memwhy::record {

constexpr TimeNs kDetailsPeriod = 60'000'000'000;
constexpr uint64_t kDetailsBudget = 50;  // or with each scan, for up to 1/50 of a CPU
constexpr uint64_t kRuntimeShare = 100;
constexpr uint64_t kRuntimeFreeNs = 500'000'000;
constexpr uint64_t kRuntimeUntoldNs = 200'000'000;  // less than that is not reported

// Which look at a target a pass is.
enum class Look : uint8_t { kFirst, kUsual, kLast };

class RuntimeReader {
 public:
  RuntimeReader(const World& world, Names& names, Notices& notices)
      : world_(world), names_(names), notices_(notices) {}

  // What the runtimes hold the pages of this pass for; details when they are due. false: the target went away, and the pass
  // is not to be reported.
  bool read(Target& target, const events::PageScan& pass, Look look);
  // The details that the first look put off; when schedule.details_at is due.
  void read_put_off(Target& target);
  void read_counters(Target& target);
  // At its first reading: its own tables first, so that no probe delays them.
  void probe(Target& target);
  // Scans come when what the runtimes took is paid for. After each scan.
  void stretch(Target& target);
  // The first and the last reading are made whatever they take, so a short recording may have taken more. At the end.
  void tell_shares(const Target& target);

  // How it ended is read whole.
  static void allow_details(Target& target);
  // When what was read is paid for.
  TimeNs paid_at(const RuntimeState& runtime) const;

 private:
  // What one pass has received so far.
  struct Heard {
    size_t holders = 0;
  };
  bool read(Target& target, RuntimeSource& source, RuntimeState& state, const events::PageScan& pass,
            Look look, Heard& heard);
  void read_own(RuntimeSource& source, RuntimeState& state, Look look, uint64_t paid_ns,
                const RuntimeSource::Tell& tell);
  void take_notices(const Target& target, RuntimeSource& source);
  void tell_pages(Target& target, RuntimeState& state, events::RuntimePages pages, Heard& heard);
  void tell(Target& target, events::Payload payload);

  const World& world_;
  Names& names_;
  Notices& notices_;
};

}  // namespace memwhy::record
