// SPDX-License-Identifier: Apache-2.0
#include "trace/info.h"

#include <algorithm>
#include <unordered_map>
#include <variant>

#include "events/visit.h"

namespace memwhy::trace {
namespace {

constexpr size_t kMostTargets = 10'000;

class InfoSink : public events::EventSink {
 public:
  explicit InfoSink(FileInfo& info) : info_(info) {}

  void on_event(const events::Event& event) override {
    using namespace events;
    if (!begun_at_) begun_at_ = event.time;
    const auto target = [&](SpaceId space, auto&& change) {
      if (TargetInfo* found = find(space, event.time)) change(*found);
    };
    std::visit(
        Overloaded{[&](const RecordingInfo& e) { info_.recording = e; },
                   [&](const HookReport& e) { info_.hooks = e; },
                   [&](const Coverage& e) { info_.coverage = e; },
                   [&](const ClockAnchor& e) {
                     if (!first_anchor_ || from_begin(e) < from_begin(*first_anchor_)) first_anchor_ = e;
                     last_anchor_ = e;
                   },
                   [&](const Loss& e) { info_.lost_events += e.count; },
                   [&](const SpaceStart& e) { target(e.space, [&](TargetInfo& t) { t.start = e; }); },
                   [&](const SpaceEnd& e) { target(e.space, [&](TargetInfo& t) { t.end = event.time; }); },
                   [&](const PageScan& e) { target(e.space, [](TargetInfo& t) { ++t.scans; }); },
                   LeaveAlone<RecordingEnd, BinaryInfo, SymbolInfo, ProcessExit, OomVictim, ThreadList,
                              Counters, VmaList, PageTableRuns, Stack, VmaMapped, VmaUnmapped, VmaAdvised,
                              VmaMoved, HeapGrown, GoStatistics, GoReading, GoProfile, GoGoroutines, GoCall,
                              RuntimePages, AllocatorHeap, CgroupMemory, AllocationCall>{}},
        event.payload);
  }

  const std::optional<events::ClockAnchor>& first_anchor() const { return first_anchor_; }
  const std::optional<events::ClockAnchor>& last_anchor() const { return last_anchor_; }

 private:
  // A further part of a recording has the first anchor of all; since then the clock may have been set, or the machine slept.
  TimeNs from_begin(const events::ClockAnchor& anchor) const {
    return std::max(anchor.monotonic_ns, *begun_at_) - std::min(anchor.monotonic_ns, *begun_at_);
  }
  TargetInfo* find(SpaceId space, TimeNs now) {
    const auto known = index_.find(static_cast<uint32_t>(space));
    if (known != index_.end()) return &info_.targets[known->second];
    if (info_.targets.size() >= kMostTargets) {
      ++info_.targets_left_out;  // counts statements, not spaces: to count those would take the memory that
                                 // this saves
      return nullptr;
    }
    index_[static_cast<uint32_t>(space)] = info_.targets.size();
    TargetInfo& target = info_.targets.emplace_back();
    target.start.space = space;
    target.first_seen = now;
    return &target;
  }

  FileInfo& info_;
  std::unordered_map<uint32_t, size_t> index_;
  std::optional<TimeNs> begun_at_;
  std::optional<events::ClockAnchor> first_anchor_, last_anchor_;  // nearest to the begin; the last
};

int64_t realtime_of(const events::ClockAnchor& anchor, TimeNs time) {
  return static_cast<int64_t>(anchor.realtime_ns +
                              (time - anchor.monotonic_ns));  // modulo 2^64: time may be before it
}

}  // namespace

Result<FileInfo> info(const Reader& reader) {
  FileInfo info;
  InfoSink sink(info);
  Result<ReadSummary> summary = reader.read_all(sink);
  if (!summary) return std::move(summary).error();
  info.summary = std::move(summary).value();
  if (sink.first_anchor() && info.summary.events != 0) {
    info.start_realtime_ns = realtime_of(*sink.first_anchor(), info.summary.first_time);
    info.end_realtime_ns = realtime_of(*sink.last_anchor(), info.summary.last_time);
  }
  return info;
}

}  // namespace memwhy::trace
