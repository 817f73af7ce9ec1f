// SPDX-License-Identifier: Apache-2.0
// memwhy record: into a file, for as long as it takes; to be explained later, on any machine, by any user.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <memory>

#include "app/command.h"
#include "app/debug_names.h"
#include "app/live.h"
#include "app/terminal.h"
#include "app/units.h"
#include "base/text.h"

namespace memwhy::app {
namespace {

constexpr uint64_t kSmallestPart = 64 << 10;

constexpr const char* kRecordExamples = R"(Examples:
  memwhy record -p 4711 -d 5m                     five minutes of pid 4711, into a file that is named for you
  memwhy record -p 4711,4712 -o web.memwhy        both, until they exit or Ctrl-C
  memwhy record --comm postgres -d 1h             every process of that name, also those that start meanwhile
  memwhy record --cgroup /system.slice/web.service --max-size 1G -o web.memwhy
  memwhy record -o run.memwhy -- ls -lR /usr      a program from its start, with its children

The first Ctrl-C (or SIGTERM) ends the recording and closes the file; the second ends memwhy at once, and the file is
good up to a second before. The exit status is memwhy's, not the command's: that is said when it ends.
Then: memwhy explain FILE)";

// memwhy-HOST-4711-20260131T120000Z.memwhy
std::string default_name(const Targets& targets) {
  std::array<char, 65> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("memwhy-{}-{}-{:%Y%m%dT%H%M%SZ}.memwhy", host.data(), targets.short_name(),
                     fmt::gmtime(std::time(nullptr)));
}

Status record(LiveRequest request) {
  if (Status asked = request.targets.check(); !asked) return asked;
  if (request.max_part_bytes != 0 && request.max_part_bytes < kSmallestPart) {
    return Error(ErrorCode::kUsage,
                 fmt::format("--max-size {}: a part needs at least {}", human_bytes(request.max_part_bytes),
                             human_bytes(kSmallestPart)));
  }
  if (request.output.empty()) request.output = default_name(request.targets);
  Result<LiveResult> done = record_live(request);
  if (!done) return std::move(done).error();
  if (done->failure) return *std::move(done->failure);
  if (!request.quiet) {
    const std::string parts =
        done->totals.parts > 1 ? fmt::format(" and {} more parts", done->totals.parts - 1) : "";
    say(fmt::format("{} of {} in {}{}: {}; see memwhy explain {}", duration_text(done->elapsed), done->target,
                    request.output, parts, human_bytes(done->totals.bytes), request.output));
  }
  return {};
}

}  // namespace

Command add_record(CLI::App& program) {
  CLI::App* options = program.add_subcommand("record", "Record processes into a file, to be explained later");
  options->footer(kRecordExamples);
  set_usage(*options, "memwhy record (-p PID[,PID…] | --comm NAME | --cgroup PATH | -- COMMAND…) [OPTIONS]");
  const auto request = std::make_shared<LiveRequest>();
  const auto duration = std::make_shared<std::chrono::nanoseconds>(0);
  add_target_options(*options, request->targets);
  options->add_option("-o,--output", request->output, "the file to make; it must not exist")
      ->type_name("FILE");
  add_duration(*options, "-d,--duration", *duration, "end after this time (30, 30s, 5m, 2h)");
  add_size(*options, "--max-size", request->max_part_bytes,
           "go on in a new file when one has this size (500M, 2G): x.memwhy, x.1.memwhy …");
  add_probe_options(*options, *request);
  add_debug_directories(*options, request->debug_directories);
  options->add_flag("-q,--quiet", request->quiet, "no progress");
  return {options, true, [request, duration](const std::vector<std::string>& words) {
            LiveRequest asked = *request;
            asked.targets.command = words;
            if (duration->count() != 0) asked.duration = *duration;
            if (Status there = check_debug_directories(asked.debug_directories); !there) return there;
            return record(std::move(asked));
          }};
}

}  // namespace memwhy::app
