// SPDX-License-Identifier: Apache-2.0
#include "app/earlier_moments.h"

#include <algorithm>

#include "app/runtimes.h"
#include "explain/explainer.h"

namespace memwhy::app {
namespace {

using explain::Explanation;
using explain::ProcessExplanation;

// Answers as soon as a scan of one of the times is whole.
class MomentSink : public events::EventSink {
 public:
  MomentSink(const std::vector<TimeNs>& times, const std::function<void(const Explanation&)>& told)
      : times_(times), told_(told) {}

  void on_event(const events::Event& event) override {
    explainer_.on_event(event);
    if (next_ < times_.size() && event.time >= times_[next_] && scanned(times_[next_])) {
      told_(explainer_.finish());
      ++next_;
    }
  }

 private:
  bool scanned(TimeNs time) const {
    const timeline::Timeline& timeline = explainer_.timeline();
    const std::vector<SpaceId> spaces = timeline.spaces();
    return std::any_of(spaces.begin(), spaces.end(), [&](SpaceId id) {
      const timeline::AddressSpace* space = timeline.space(id);
      return space != nullptr && space->last_scan() != nullptr && space->last_scan()->time >= time;
    });
  }

  explain::Explainer explainer_{owner_table()};
  const std::vector<TimeNs>& times_;
  const std::function<void(const Explanation&)>& told_;
  size_t next_ = 0;
};

}  // namespace

std::vector<TimeNs> earlier_scans(const Explanation& explanation, size_t most) {
  const auto largest = std::max_element(
      explanation.processes.begin(), explanation.processes.end(),
      [](const ProcessExplanation& a, const ProcessExplanation& b) { return a.rss.bytes < b.rss.bytes; });
  if (largest == explanation.processes.end() || !largest->scan_time) return {};
  std::vector<TimeNs> scans;
  for (const explain::TimelinePoint& point : largest->timeline)
    if (!point.ledger.empty() && point.time < *largest->scan_time) scans.push_back(point.time);
  if (scans.size() <= most || most < 2) return scans;
  std::vector<TimeNs> chosen;
  for (size_t i = 0; i < most; ++i) chosen.push_back(scans[i * (scans.size() - 1) / (most - 1)]);
  return chosen;
}

Status explain_moments(const trace::Reader& reader, const std::vector<TimeNs>& times,
                       const std::function<void(const Explanation&)>& told) {
  if (times.empty()) return {};
  MomentSink sink(times, told);
  const Result<trace::ReadSummary> summary = reader.read_all(sink);
  return summary ? Status{} : Status(summary.error());
}

}  // namespace memwhy::app
