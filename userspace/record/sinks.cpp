// SPDX-License-Identifier: Apache-2.0
#include "record/sinks.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace memwhy::record {

Sinks::Sinks(std::vector<Sink> sinks, Clock& clock, std::function<void(std::exception_ptr)> failed)
    : clock_(clock), failed_(std::move(failed)) {
  for (Sink& sink : sinks) sinks_.push_back({std::move(sink), 0});
}

void Sinks::on_event(const events::Event& event) {
  const bool timed = sinks_.size() > 1;
  TimeNs before = timed ? clock_.now() : 0;
  for (size_t at = 0; at < sinks_.size();) {
    try {
      sinks_[at].sink.to->on_event(event);
    } catch (const std::exception& thrown) {
      const std::exception_ptr what = std::current_exception();
      const bool optional = sinks_[at].sink.optional;
      cut(at, fmt::format("it failed: {}", thrown.what()));
      if (!optional) failed_(what);
      continue;
    }
    if (timed) {
      const TimeNs now = clock_.now();
      sinks_[at].took += now - std::exchange(before, now);
    }
    ++at;
  }
}

void Sinks::shed() {
  TimeNs all = 0;
  size_t slowest = sinks_.size();
  for (size_t at = 0; at < sinks_.size(); ++at) {
    all += sinks_[at].took;
    if (sinks_[at].sink.optional && (slowest == sinks_.size() || sinks_[at].took > sinks_[slowest].took))
      slowest = at;
  }
  if (slowest < sinks_.size() && sinks_[slowest].took * 2 > all)
    cut(slowest, "it is slower than events come");
  for (Open& open : sinks_) open.took = 0;
}

void Sinks::cut(size_t at, const std::string& why) {
  cut_.push_back(fmt::format("{} is given nothing more of this recording: {}", sinks_[at].sink.name, why));
  sinks_.erase(sinks_.begin() + static_cast<std::ptrdiff_t>(at));
}

std::vector<std::string> Sinks::take_cut() { return std::exchange(cut_, {}); }

}  // namespace memwhy::record
