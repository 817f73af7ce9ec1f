// SPDX-License-Identifier: Apache-2.0
// memwhy info FILE: the facts of a recording, without explaining it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "app/command.h"
#include "app/file_limits.h"
#include "app/terminal.h"
#include "app/units.h"
#include "base/text.h"
#include "trace/info.h"
#include "trace/reader.h"

namespace memwhy::app {
namespace {

std::string moment(std::optional<int64_t> realtime_ns) {
  return realtime_ns ? utc_text(*realtime_ns) : "unknown";
}

std::string line(const char* name, const std::string& value) {
  return fmt::format("{:<12} {}\n", name, escape(value));
}

std::string target_text(const trace::TargetInfo& target, TimeNs start) {
  const auto since_start = [start](TimeNs time) {
    return duration_text(std::chrono::nanoseconds(time > start ? time - start : 0));
  };
  return line("process",
              fmt::format("pid {} {} ({}), from {} to {}, {} scans", target.start.tgid, target.start.comm,
                          target.start.exe.empty() ? "executable unknown" : target.start.exe,
                          since_start(target.first_seen), target.end ? since_start(*target.end) : "the end",
                          target.scans));
}

// A shell's thousand children are one line, but for those of which something was read.
std::string targets_text(const trace::FileInfo& info) {
  std::string text;
  size_t unread = 0;
  for (const trace::TargetInfo& target : info.targets) {
    if (target.end && target.scans == 0 && target.start.tgid != info.targets.front().start.tgid)
      ++unread;
    else
      text += target_text(target, info.summary.first_time);
  }
  if (unread != 0) text += line("", fmt::format("and {} that ended before they were scanned", unread));
  if (info.targets_left_out != 0) text += line("", fmt::format("and {} more", info.targets_left_out));
  return text;
}

std::string text_of(const std::string& path, const trace::FileInfo& info) {
  const trace::ReadSummary& summary = info.summary;
  std::string text = line("file", fmt::format("{}, {}, format {}.{}", path, human_bytes(summary.file_bytes),
                                              summary.major, summary.minor));
  if (info.recording) {
    const events::RecordingInfo& made = *info.recording;
    text += line("recorded", fmt::format("{} by memwhy {} on {} ({} {}, {} CPUs)", fmt::join(made.what, ", "),
                                         made.tool_version, made.host, made.architecture, made.kernel_release,
                                         made.cpus));
  }
  text += line("from", moment(info.start_realtime_ns));
  text += line("to",
               fmt::format("{} ({})", moment(info.end_realtime_ns),
                           duration_text(std::chrono::nanoseconds(summary.last_time - summary.first_time))));
  text += line("ended", summary.ended);
  if (summary.part != 0 || summary.rotated) text += line("part", fmt::format("{}", summary.part));
  text += targets_text(info);
  if (info.hooks) {
    for (const events::Hook& hook : info.hooks->hooks) {
      text += line("hook", fmt::format("{} ({}): {}", hook.name, hook.attach, hook.purpose));
    }
    for (const events::Privilege& kept : info.hooks->privileges)
      text += line("privilege", fmt::format("{}: {}", kept.name, kept.reason));
    for (const std::string& sentence : info.hooks->not_seen) text += line("not seen", sentence);
    for (const std::string& sentence : info.hooks->notices) text += line("note", sentence);
  }
  text += line("events", fmt::format("{} in {} chunks, {} lost while recording", summary.events,
                                     summary.chunks, info.lost_events));
  for (const trace::KindTotals& kind : summary.kinds) {
    text +=
        line("", fmt::format("{:<16} {:>10} {:>12}", kind.name, kind.events, human_bytes(kind.raw_bytes)));
  }
  if (const std::string unknown = summary.of_newer_kinds(); !unknown.empty()) text += line("note", unknown);
  for (const std::string& sentence : summary.damage) text += line("damage", sentence);
  return text;
}

Status print_info(const std::string& path) {
  Result<trace::Reader> reader = trace::Reader::open(path);
  if (!reader) return std::move(reader).error();
  Result<trace::FileInfo> info = trace::info(*reader);
  if (!info) return std::move(info).error();
  if (Status printed = print(text_of(path, *info)); !printed) return printed;
  if (!info->summary.complete && !info->summary.rotated) warn("the recording is not complete, see above");
  return {};
}

}  // namespace

Command add_info(CLI::App& program) {
  CLI::App* options =
      program.add_subcommand("info", "Say what a recording holds: where, when, what, how complete");
  const auto path = std::make_shared<std::string>();
  options->add_option("FILE", *path, "a .memwhy file")->type_name("")->required();
  set_usage(*options, "memwhy info FILE");
  const auto limits = std::make_shared<FileLimits>();
  add_file_limits(*options, *limits, "reading");
  return {options, false, [path, limits](const std::vector<std::string>&) {
            return within(*limits, *path, [&path] { return print_info(*path); });
          }};
}

}  // namespace memwhy::app
