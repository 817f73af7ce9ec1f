// SPDX-License-Identifier: Apache-2.0
// memwhy report: a recording as one HTML file, to be looked at in a browser that has neither the target nor a network. A live
// process is recorded first.
#include <fmt/format.h>

#include <iterator>
#include <memory>

#include "app/command.h"
#include "app/earlier_moments.h"
#include "app/explained.h"
#include "app/file_limits.h"
#include "app/live.h"
#include "app/live_output.h"
#include "app/terminal.h"
#include "base/text.h"
#include "html/document.h"
#include "report/clock.h"
#include "report/json.h"
#include "trace/reader.h"

namespace memwhy::app {
namespace {

constexpr std::chrono::seconds kWatched{10};
constexpr size_t kMostMoments = 8;
constexpr size_t kMostPageBytes = size_t{2} << 20;  // of blocks; the last moment alone may be more

constexpr const char* kReportExamples = R"(Examples:
  memwhy report web.memwhy -o web.html        a recording; needs no privileges
  memwhy report -p 4711 -d 5m -o web.html     records pid 4711 for 5 minutes first

The file needs a browser and nothing else: no network, no memwhy. Stacks are in it as of up to 8 earlier scans too.)";

struct ReportRequest {
  LiveRequest live;
  std::string path, output;
  FileLimits limits;
};

Status check_report(const ReportRequest& request, bool duration_given) {
  const bool live = !request.live.targets.pids.empty();
  if (live == !request.path.empty())
    return Error(ErrorCode::kUsage,
                 "say what to report: a FILE that memwhy record made, or a process (-p PID)");
  if (!live && (duration_given || request.live.targets.follow || request.live.probes_asked()))
    return Error(
        ErrorCode::kUsage,
        "-d, --follow, --no-uprobes and --who-allocates are about recording; they make no sense with a FILE");
  return live ? request.live.targets.check() : Status{};
}

// Earlier moments, each inflated by the browser when needed. While they do not fit, every second one is left out; the
// first, from which growth is measured, goes last.
Status add_moments(const trace::Reader& reader, const explain::Explanation& last,
                   std::vector<html::Block>& blocks) {
  if (!last.clock) return {};  // no moment has a time to be chosen by
  std::vector<html::Block> moments;
  const Status read =
      explain_moments(reader, earlier_scans(last, kMostMoments), [&](const explain::Explanation& then) {
        TimeNs time = 0;
        for (const explain::ProcessExplanation& process : then.processes)
          if (process.scan_time) time = std::max(time, *process.scan_time);
        const uint64_t unix_ms = *last.clock.realtime_ns(time) / 1'000'000;
        moments.push_back(
            html::packed(fmt::format("moment-{}", unix_ms), report::moment_to_json(then, last.clock)));
      });
  if (!read) return read.error();
  const auto bytes = [&] {
    size_t sum = blocks.front().text.size();
    for (const html::Block& moment : moments) sum += moment.text.size();
    return sum;
  };
  while (!moments.empty() && bytes() > kMostPageBytes) {
    std::vector<html::Block> kept;
    for (size_t i = 0; i + 1 < moments.size(); i += 2) kept.push_back(std::move(moments[i]));
    moments = std::move(kept);
  }
  std::move(moments.begin(), moments.end(), std::back_inserter(blocks));
  return {};
}

Result<std::string> page_of(const trace::Reader& reader) {
  const Result<explain::Explanation> explanation = explained(reader);
  if (!explanation) return explanation.error();
  std::vector<html::Block> blocks;
  blocks.push_back(html::packed("answer", report::to_json(*explanation, {.cells = true, .spaces = false})));
  if (Status read = add_moments(reader, *explanation, blocks); !read) return read.error();
  return html::document(blocks);
}

Status write_page(const trace::Reader& reader, const ReportRequest& request, int fd) {
  return within(
      request.limits, request.path.empty() ? "the recording" : request.path,
      [&]() -> Status {
        const Result<std::string> page = page_of(reader);
        return page ? write_result(fd, *page, request.output) : Status(page.error());
      },
      request.output);
}

Result<trace::Reader> recording_of(const ReportRequest& request, std::optional<Error>& failure) {
  if (!request.path.empty()) return trace::Reader::open(request.path);
  Result<LiveResult> done = record_live(request.live);
  if (!done) return std::move(done).error();
  if (done->failure) warn(done->failure->message() + "; what was recorded until then is reported");
  failure = std::move(done->failure);
  return trace::Reader::open(std::move(done->file), "the recording");
}

Status make_report(const ReportRequest& request) {
  // Before the recording: whoever names a file that exists should not wait for that sentence.
  Result<NewFile> file = NewFile::create(request.output);
  if (!file) return std::move(file).error();
  const Fd fd = file->take();
  std::optional<Error> failure;
  Result<trace::Reader> reader = recording_of(request, failure);
  if (!reader) return std::move(reader).error();
  if (Status written = write_page(*reader, request, fd.get()); !written) return written;
  file->keep();
  return failure ? Status(*std::move(failure)) : Status{};
}

}  // namespace

Command add_report(CLI::App& program) {
  CLI::App* options = program.add_subcommand(
      "report", "Make an HTML page of a recording, or of a process that is recorded first");
  options->footer(kReportExamples);
  set_usage(*options, "memwhy report (FILE | -p PID) -o PAGE.html [OPTIONS]");
  const auto request = std::make_shared<ReportRequest>();
  const auto duration = std::make_shared<std::chrono::nanoseconds>(0);
  options->add_option("FILE", request->path, "a recording (.memwhy)")->type_name("");
  add_pid_option(*options, request->live.targets);
  options->add_flag("--follow", request->live.targets.follow, "and its children");
  add_duration(*options, "-d,--duration", *duration, "how long to watch (30, 30s, 5m, 2h); default 10 s");
  options->add_option("-o,--output", request->output, "the page to make; it must not exist")
      ->required()
      ->type_name("PAGE");
  add_probe_options(*options, request->live);
  add_file_limits(*options, request->limits, "explaining");
  options->add_flag("-q,--quiet", request->live.quiet, "no progress");
  return {options, false, [request, duration](const std::vector<std::string>&) -> Status {
            const bool given = duration->count() != 0;
            if (Status asked = check_report(*request, given); !asked) return asked;
            ReportRequest wanted = *request;
            wanted.live.duration = given ? *duration : std::chrono::nanoseconds(kWatched);
            return make_report(wanted);
          }};
}

}  // namespace memwhy::app
