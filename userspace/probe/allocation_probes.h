// SPDX-License-Identifier: Apache-2.0
// AllocationProbes: probes on malloc and its kind, for a few calls. Each call traps (0.6 us of the target's time), so a process
// has a budget of calls, in turns over the recording, and the probe is removed between them. What it is not: the choice of
// sites (app/allocation_plan.h), or the meaning of the calls (explain/).
//
//   t=0 s  attached, 250 calls in 2 ms, away; 12 more trapped while the probes came and went
//   t=1 s  attached, 250 calls in 2 ms, away                                         a busy program: 8 turns, 2,000 calls
//   t=0 s  attached   t=1 s  40 of 250 used, 250 more   ...   t=9 s  still attached  a quiet one: until the calls are used up
//
// A thread of its own checks the rest of the budget, each millisecond at first and less often where calls are rare: at the
// recording's own intervals (50 ms, 1 s) a busy program would trap 50,000 times.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "events/allocation.h"
#include "events/recording.h"
#include "probe/map_looks.h"
#include "probe/uprobes.h"

namespace memwhy::probe {

struct AllocationBudget {
  uint32_t turns = 8, calls_a_turn = 250;
  TimeNs turn_ns = 1'000'000'000;
};

// Whether attaching, or taking away, would wait for the lock of a map.
enum class MapState : uint8_t { kFree, kHeld, kUnknown };  // unknown: it can't be checked now

// Lets the kernel side record so many calls more. Those that trapped after the last are not taken off these, but returned: between a look
// at `left` and this call a busy program makes hundreds.
uint64_t give_calls(int32_t& left, int32_t calls);

class AllocationProbes {
 public:
  // Where the kernel side counts down the calls of a space; nullptr: it is gone. Atomic.
  using Left = std::function<int32_t*(SpaceId)>;
  // For the thread, with an address of a site; the looks since the map was free.
  using MapStateOf = std::function<MapState(SpaceId, uint64_t, std::optional<MapLooks>&)>;
  AllocationProbes(bpf_program* program, UprobeWay way, std::string why_none, AllocationBudget budget,
                   Left left, MapStateOf map_state)
      : program_(program),
        way_(way),
        why_none_(std::move(why_none)),
        budget_(budget),
        left_(std::move(left)),
        map_state_(std::move(map_state)) {}
  ~AllocationProbes();
  AllocationProbes(const AllocationProbes&) = delete;
  AllocationProbes& operator=(const AllocationProbes&) = delete;

  // A space that has probes already keeps them.
  void attach(SpaceId space, events::AllocationProbePlan plan);
  // `locked`: as GoProbes::MapLocked; then what is attached stays.
  void detach(SpaceId space, const std::function<std::optional<std::string>(uint64_t site)>& locked);
  // true: the report has changed since the last call.
  bool changed();
  void report(events::HookReport& report) const;
  size_t links() const;

 private:
  struct Attached {
    events::AllocationProbePlan plan;
    int32_t* left = nullptr;
    UprobeLinks links;
    uint32_t turns = 0;  // that were given
    TimeNs next_turn = 0;
    TimeNs pause = 0;  // until the next check
    int32_t seen_left = 0;
    std::optional<MapLooks> looks;  // while some lock is held
    TimeNs next_look = 0, until_next = 0;
    uint64_t late = 0;  // calls that trapped and were not recorded
    uint64_t recorded(uint32_t calls_a_turn) const;
  };
  struct Sum {
    uint64_t recorded = 0, late = 0;
  };
  void run(const std::stop_token& stop);
  TimeNs step(SpaceId space, Attached& at, TimeNs now);  // when to check it again
  bool map_is_free(SpaceId space, Attached& at, TimeNs now);
  void begin_turn(Attached& at, TimeNs now);
  static void count_late(Attached& at);
  void add_to(std::map<std::string, Sum>& sums, const Attached& at) const;
  void unlink(Attached& from);
  void give_up(Attached& at, const std::string& why);
  void say(std::string sentence);

  bpf_program* program_;
  UprobeWay way_;
  std::string why_none_;
  AllocationBudget budget_;
  Left left_;
  MapStateOf map_state_;
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::map<SpaceId, Attached> attached_;
  std::vector<std::string> sentences_;
  std::map<std::string, Sum> ended_;  // of spaces that are gone, by "malloc, calloc and realloc of libc.so.6"
  bool changed_ = false;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace memwhy::probe
