// SPDX-License-Identifier: Apache-2.0
// Timeline: the sink that turns raw events into the state of each address space. Pure: no clock, no /proc, no
// libbpf; the same events give the same state, live and from a file.
//
// What comes next: explain/ reads ScanResult and AddressSpace and decides owners.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "events/event.h"
#include "timeline/address_space.h"
#include "timeline/cgroup_track.h"
#include "timeline/page_group.h"
#include "timeline/wall_clock.h"

namespace memwhy::timeline {

// What is known of the whole recording.
struct RecordingState {
  events::RecordingInfo info;
  std::optional<events::ClockAnchor> first_anchor, last_anchor;
  WallClock wall_clock;
  std::optional<events::HookReport> hooks;   // the last one is in force
  std::optional<events::Coverage> coverage;  // the last one: cumulative
  std::vector<events::Loss> losses;
  uint64_t spaces_forgotten = 0;  // ended long ago, without a result before others
  std::optional<events::RecordingEnd> end;
  TimeNs first_event = 0, last_event = 0;
};

class Timeline : public events::EventSink {
 public:
  using ScanObserver = std::function<void(const AddressSpace&, const ScanResult&)>;

  // Called after each scan was reconciled, before the next event.
  explicit Timeline(ScanObserver on_scan = {});
  ~Timeline() override;

  void on_event(const events::Event& event) override;

  // Series over time (RSS, counters of runtimes, goroutines, allocators) begin anew here, each with its last
  // point. Pages, mappings and their evidence stay: what is there now came about before.
  void restart_series();

  const RecordingState& recording() const;
  std::vector<SpaceId> spaces() const;           // in order of first sight
  size_t spaces_kept() const;                    // their number
  const AddressSpace* space(SpaceId id) const;   // nullptr: never seen
  const events::Stack* stack(StackId id) const;  // nullptr: never delivered
  const events::BinaryInfo* binary(BinaryId id) const;
  std::vector<const events::BinaryInfo*> go_binaries() const;  // in order of first sight
  const CgroupTrack* cgroup(const std::string& path) const;    // nullptr: nothing was recorded of it
  // Names for an address as used in `space`; falls back to the parents it was forked from. nullptr: unknown.
  const events::SymbolInfo* symbol(SpaceId space, uint64_t address, bool is_return) const;
  // Grows when stack(), binary() or symbol() answers something else for what they had an answer for before.
  uint64_t answers_changed() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace memwhy::timeline
