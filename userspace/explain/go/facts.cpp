// SPDX-License-Identifier: Apache-2.0
#include "explain/go/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <map>

#include "base/whole.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kMostPagesAsked = 4096;  // of one object: evenly spread when it is larger

}  // namespace

GoFacts::GoFacts(const timeline::Timeline& timeline, const timeline::AddressSpace& space,
                 const timeline::ScanResult& scan, const events::GoReading* reading,
                 std::optional<uint64_t> own_profile_bytes)
    : timeline_(timeline),
      space_(space),
      scan_(scan),
      reading_(reading),
      names_(timeline, space.id(), scan.mappings()),
      profile_(space.tracks().go.profile()),
      own_profile_bytes_(own_profile_bytes),
      curve_(space.tracks().go.curve()),
      goroutines_(space.tracks().go.goroutines()),
      call_sites_(space.tracks().go.calls()) {}

std::string GoFacts::problem() const {
  if (heap() != nullptr && scan_.runtimes)
    for (const timeline::RuntimeTold& told : scan_.runtimes->told)
      if (told.pages->runtime == events::kGoRuntime) return told.pages->problem;
  return "the Go runtime's tables were not read";
}

ProfileSource GoFacts::profile_source() const {
  if (own_profile_bytes_) return ProfileSource::kFile;
  if (profile_ == nullptr) return ProfileSource::kNotRead;
  switch (profile_->source) {
    case events::GoProfile::Source::kBuckets:
      return ProfileSource::kBuckets;
    case events::GoProfile::Source::kOffInBinary:
      return ProfileSource::kOffInBinary;
    case events::GoProfile::Source::kUnreadable:
      break;
  }
  return ProfileSource::kUnreadable;
}

double GoFacts::scaled_bytes(const events::GoBucket& bucket, uint64_t objects, uint64_t rate) {
  const auto size = static_cast<double>(bucket.object_bytes);
  const double bytes = static_cast<double>(objects) * size;
  if (rate <= 1 || bucket.object_bytes == 0) return bytes;
  return bytes / (1 - std::exp(-size / static_cast<double>(rate)));
}

std::optional<uint64_t> GoFacts::profile_bytes() const {
  if (own_profile_bytes_) return own_profile_bytes_;
  if (profile_ == nullptr || profile_->source != events::GoProfile::Source::kBuckets) return std::nullopt;
  if (!profile_rate()) return std::nullopt;
  return estimated_bytes();
}

uint64_t GoFacts::estimated_bytes() const {
  double sum = 0;
  for (const events::GoBucket& bucket : profile_->buckets)
    sum += scaled_bytes(bucket, bucket.published_objects, profile_->rate);
  return whole(sum);
}

uint64_t GoFacts::most_in_use() const {
  if (!layout_trusted()) return 0;
  uint64_t most = heap()->counters.heap_in_use_bytes;
  for (const timeline::GoPoint& point : curve_) most = std::max(most, point.counters.heap_in_use_bytes);
  return most;
}

std::optional<uint64_t> GoFacts::profile_rate() const {
  if (profile_ == nullptr || profile_->source != events::GoProfile::Source::kBuckets) return std::nullopt;
  if (!profile_->rate_assumed) return profile_->rate;
  if (!profile_->rate_known()) return std::nullopt;
  // No heap of that rate is taken for one that is larger by more than four standard deviations of its sampling.
  const auto in_use = static_cast<double>(most_in_use());
  const double most = in_use + 4 * std::sqrt(in_use * static_cast<double>(profile_->rate));
  if (in_use != 0 && static_cast<double>(estimated_bytes()) > most) return std::nullopt;
  return profile_->rate;
}

std::vector<Frame> GoFacts::frames(const std::vector<uint64_t>& addresses, bool first_is_exact) const {
  std::vector<Frame> out, next;
  bool inlined = false;  // the last address stood for several frames
  for (size_t i = 0; i < addresses.size(); ++i) {
    next.clear();
    names_.append(addresses[i], i > 0 || !first_is_exact, next);
    // The runtime records an address for each inlined caller too: it repeats the one before.
    const bool repeated = inlined && !next.front().function.empty() && same_place(next.front(), out.back());
    out.insert(out.end(), next.begin() + (repeated ? 1 : 0), next.end());
    inlined = next.size() > 1 || repeated;
  }
  return out;
}

std::vector<Frame> GoFacts::touched_by(uint64_t address, uint64_t bytes) const {
  const PageNumber first = address >> kPageShift, end = (address + bytes + kPageBytes - 1) >> kPageShift;
  const uint64_t step = std::max<uint64_t>(1, (end - first) / kMostPagesAsked);
  std::map<StackId, uint64_t> stacks;
  for (PageNumber page = first; page < end; page += step)
    if (const std::optional<timeline::PageEvidence> evidence = space_.evidence(page))
      if (evidence->stack != StackId::kNone && evidence->stack != StackId::kLost) ++stacks[evidence->stack];
  const auto most = std::max_element(stacks.begin(), stacks.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == stacks.end()) return {};
  return frames_of(most->first);
}

std::optional<uint64_t> GoFacts::resident_bytes(uint64_t address, uint64_t bytes) const {
  if (space_.ended() || bytes == 0) return std::nullopt;
  const PageNumber first = address >> kPageShift, end = (address + bytes + kPageBytes - 1) >> kPageShift;
  const uint64_t step = std::max<uint64_t>(1, (end - first) / kMostPagesAsked);
  uint64_t asked = 0, resident = 0;
  for (PageNumber page = first; page < end; page += step) {
    ++asked;
    resident += space_.evidence(page) ? 1 : 0;
  }
  return resident == asked ? bytes : bytes / asked * resident;
}

std::vector<Frame> GoFacts::frames_of(StackId id) const {
  const events::Stack* stack = timeline_.stack(id);
  return stack == nullptr ? std::vector<Frame>{} : frames(stack->frames, true);
}

std::optional<TimeNs> GoFacts::monotonic(uint64_t unix_ns) const {
  const timeline::RecordingState& recording = timeline_.recording();
  const auto& anchor = recording.last_anchor ? recording.last_anchor : recording.first_anchor;
  if (!anchor || anchor->monotonic_ns + unix_ns < anchor->realtime_ns) return std::nullopt;
  return anchor->monotonic_ns + unix_ns - anchor->realtime_ns;
}

std::string GoFacts::clock(TimeNs monotonic_ns) const {
  const timeline::RecordingState& recording = timeline_.recording();
  const auto& anchor = recording.last_anchor ? recording.last_anchor : recording.first_anchor;
  if (!anchor) return "";
  // Unsigned arithmetic wraps as it should.
  const uint64_t realtime_ns = anchor->realtime_ns + monotonic_ns - anchor->monotonic_ns;
  const auto now = static_cast<std::time_t>(anchor->realtime_ns / 1'000'000'000);
  const auto then = static_cast<std::time_t>(realtime_ns / 1'000'000'000);
  std::tm today = {}, at = {};
  if (gmtime_r(&now, &today) == nullptr || gmtime_r(&then, &at) == nullptr) return "";
  std::string time = fmt::format("{:02}:{:02}:{:02} UTC", at.tm_hour, at.tm_min, at.tm_sec);
  if (today.tm_year == at.tm_year && today.tm_yday == at.tm_yday) return time;
  return fmt::format("{:04}-{:02}-{:02} {}", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday, time);
}

}  // namespace memwhy::explain
