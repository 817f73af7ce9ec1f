// SPDX-License-Identifier: Apache-2.0
#include "app/moments.h"

#include <fmt/format.h>

#include <ctime>
#include <limits>

#include "app/units.h"
#include "trace/info.h"

namespace memwhy::app {
namespace {

constexpr const char* kNoMoment =
    "not a moment; write +30s (after the start), -5m (before the end) or 2026-11-29T12:03:00Z";
constexpr int64_t kSecondNs = 1'000'000'000;

// "Z", "+02:00", "-0530" in seconds.
std::optional<int64_t> parse_offset(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  std::string digits;
  for (const char c : text.substr(text.empty() ? 0 : 1))
    if (c != ':') digits += c;
  if (text.empty() || (text[0] != '+' && text[0] != '-') || digits.size() != 4 ||
      digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  const int64_t seconds = std::stoll(digits.substr(0, 2)) * 3600 + std::stoll(digits.substr(2)) * 60;
  return text[0] == '-' ? -seconds : seconds;
}

bool parse_rfc3339(const std::string& text, Moment& out) {
  std::tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return false;
  std::string_view tail(rest);
  int64_t fraction = 0, unit = kSecondNs;
  if (tail.starts_with('.')) {
    tail.remove_prefix(1);
    if (tail.empty() || tail[0] < '0' || tail[0] > '9') return false;
    while (!tail.empty() && tail[0] >= '0' && tail[0] <= '9') {
      unit /= 10;
      fraction += (tail[0] - '0') * unit;
      tail.remove_prefix(1);
    }
  }
  const std::optional<int64_t> offset = parse_offset(tail);
  const std::time_t seconds = ::timegm(&parts);
  constexpr int64_t kMostSeconds = int64_t{8'000'000'000};  // nanoseconds of it fit into 63 bits
  if (!offset || seconds < 0 || seconds > kMostSeconds) return false;
  out.since = Moment::Since::kEpoch;
  out.time = std::chrono::nanoseconds((seconds - *offset) * kSecondNs + fraction);
  out.unit = std::chrono::nanoseconds(unit);
  return true;
}

CLI::Option* add_moment(CLI::App& command, const char* name, std::optional<Moment>& value, const char* help) {
  return command
      .add_option_function<std::string>(
          name,
          [&value, name](const std::string& text) {
            value = parse_moment(text);
            if (!value) throw CLI::ValidationError(fmt::format("{} {}: {}", name, text, kNoMoment));
          },
          help)
      ->type_name("MOMENT");
}

// What a file or a person wrote may be any number: more than 63 bits hold is the most that they hold.
int64_t plus(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b < 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
}
int64_t minus(int64_t a, int64_t b) {
  int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return b > 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
}

// By the clock as it was at the end, which is how explain prints moments; one outside of the recording by that of its start,
// which is how info prints the first: the clock may have been set meanwhile.
int64_t of_clock(const Moment& moment, const trace::FileInfo& info, int64_t first, int64_t last) {
  const int64_t by_end = plus(last, minus(moment.time.count(), *info.end_realtime_ns));
  if (by_end >= first && by_end <= last) return by_end;
  const int64_t by_start = plus(first, minus(moment.time.count(), *info.start_realtime_ns));
  // Moments are printed without what is left of their second: the first one printed is before the first one.
  return by_start < first && minus(first, by_start) < moment.unit.count() ? first : by_start;
}

// `name`: of the option, for sentences.
Result<TimeNs> resolve(const char* name, const Moment& moment, const trace::FileInfo& info) {
  const auto first = static_cast<int64_t>(info.summary.first_time);
  const auto last = static_cast<int64_t>(info.summary.last_time);
  int64_t at = 0;
  switch (moment.since) {
    case Moment::Since::kStart:
      at = plus(first, moment.time.count());
      break;
    case Moment::Since::kEnd:
      at = minus(last, moment.time.count());
      break;
    case Moment::Since::kEpoch:
      if (!info.start_realtime_ns)
        return Error(ErrorCode::kUsage,
                     fmt::format("{} {}: this recording has no clock; write +30s or -5m", name, moment.text));
      at = of_clock(moment, info, first, last);
      break;
  }
  if (at < first || at > last) {
    const std::string clock = info.start_realtime_ns
                                  ? fmt::format(", from {} to {}", utc_text(*info.start_realtime_ns),
                                                utc_text(*info.end_realtime_ns))
                                  : "";
    return Error(ErrorCode::kUsage,
                 fmt::format("{} {} is not within the recording, which took {}{}", name, moment.text,
                             duration_text(std::chrono::nanoseconds(last - first)), clock));
  }
  return static_cast<TimeNs>(at);
}

}  // namespace

std::optional<Moment> parse_moment(std::string_view text) {
  Moment out;
  out.text = text;
  if (parse_rfc3339(out.text, out)) return out;
  if (text.starts_with('-')) out.since = Moment::Since::kEnd;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const auto duration = parse_duration(text);
  if (!duration) return std::nullopt;
  out.time = *duration;
  return out;
}

void add_part_options(CLI::App& command, Part& part, const char* from, const char* to) {
  add_moment(command, "--from", part.from, from);
  add_moment(command, "--to", part.to, to);
}

Result<explain::Interval> interval_of(const trace::Reader& reader, const Part& part) {
  explain::Interval out;
  if (part.whole()) return out;
  Result<trace::FileInfo> info = trace::info(reader);
  if (!info) return std::move(info).error();
  if (part.from) {
    Result<TimeNs> from = resolve("--from", *part.from, *info);
    if (!from) return std::move(from).error();
    out.from = *from;
  }
  if (part.to) {
    Result<TimeNs> to = resolve("--to", *part.to, *info);
    if (!to) return std::move(to).error();
    out.to = *to;
  }
  if (out.from >= out.to)
    return Error(ErrorCode::kUsage,
                 part.from && part.to
                     ? fmt::format("--from {} is not before --to {}", part.from->text, part.to->text)
                     : fmt::format("{} {} leaves nothing of the recording", part.from ? "--from" : "--to",
                                   part.from ? part.from->text : part.to->text));
  return out;
}

}  // namespace memwhy::app
