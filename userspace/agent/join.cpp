// SPDX-License-Identifier: Apache-2.0
#include "agent/join.h"

#include <algorithm>
#include <optional>

#include "trace/reader.h"

namespace memwhy::agent {
namespace {

class OnePart : public events::EventSink {
 public:
  OnePart(events::EventSink& to, Joined& joined) : to_(to), joined_(joined) {}
  void on_event(const events::Event& event) override {
    if (std::holds_alternative<events::RecordingEnd>(event.payload)) return;
    if (joined_.first == 0) joined_.first = event.time;
    joined_.last = std::max(joined_.last, event.time);
    const auto* info = std::get_if<events::RecordingInfo>(&event.payload);
    if (info == nullptr) return to_.on_event(event);
    events::RecordingInfo whole = *info;
    whole.part = 0;
    to_.on_event({event.time, std::move(whole)});
  }

 private:
  events::EventSink& to_;
  Joined& joined_;
};

}  // namespace

Result<Joined> join(const std::vector<std::string>& parts, const std::string& why, events::EventSink& to) {
  Joined joined;
  OnePart part(to, joined);
  std::optional<Error> failed;
  for (const std::string& path : parts) {
    const Result<trace::Reader> reader = trace::Reader::open(path);
    if (!reader) {
      failed = reader.error();
      if (joined.parts != 0) joined.damage.push_back(reader.error().message());
      continue;
    }
    const Result<trace::ReadSummary> read = reader->read_all(part, {.skip_restated = joined.parts != 0});
    if (!read) {
      failed = read.error();
      joined.damage.push_back(read.error().message());
      continue;
    }
    ++joined.parts;
    // The last one was never closed: that is how it is meant.
    const bool written = &path == &parts.back() && !read->complete && read->ended == "killed";
    if (!written) joined.damage.insert(joined.damage.end(), read->damage.begin(), read->damage.end());
  }
  if (joined.parts == 0)
    return failed ? *std::move(failed) : Error(ErrorCode::kBadInput, "the ring has no parts");
  to.on_event({joined.last, events::RecordingEnd{why}});
  return joined;
}

}  // namespace memwhy::agent
