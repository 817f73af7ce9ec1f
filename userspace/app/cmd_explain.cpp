// SPDX-License-Identifier: Apache-2.0
// memwhy explain: a live process or a recording, as sentences and a ledger that adds up. A live process is
// recorded into a file first (one without a name, unless -o keeps it), and then that file is explained: the
// same path for both.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <system_error>

#include "app/command.h"
#include "app/debug_names.h"
#include "app/explained.h"
#include "app/file_limits.h"
#include "app/live.h"
#include "app/moments.h"
#include "app/terminal.h"
#include "app/units.h"
#include "explain/compare/limits.h"
#include "pprof/heap.h"
#include "report/json.h"
#include "report/text.h"
#include "trace/reader.h"

namespace memwhy::app {
namespace {

constexpr std::chrono::seconds kDefaultDuration{10};

constexpr const char* kExplainExamples = R"(Examples:
  memwhy explain -p 4711                       what pid 4711's memory is, after 10 s of watching
  memwhy explain -p 4711 -d 5m -o web.memwhy   5 minutes, and keep the recording
  memwhy explain --cgroup web.service          a container or a unit as a whole, and each of its processes
  memwhy explain web.memwhy                    a recording, on any machine, without privileges
  memwhy explain web.memwhy --from -5m         its last five minutes, alone
  memwhy explain web.memwhy --fail-on any-problem     exit status 3 when there is one
  memwhy explain -p 4711 --json | jq '.processes[0].findings[].claim'

Ctrl-C ends the watching early and explains what was seen. Without -o the recording goes into a file without a name in
/var/tmp (else $TMPDIR, /tmp, memory), and ends when that has 1G (in memory 256M): then that much is explained.)";

struct Request {
  LiveRequest live;
  std::string path;
  std::string heap_profile;
  FileLimits limits;
  Part part;
  std::vector<std::string> fail_on;
  double min_share = 0;
  bool json = false, cells = false, full = false;
  Colour colour = Colour::kAuto;
};

Status check(const Request& request, bool duration_given) {
  const bool live = !request.live.targets.pids.empty() || !request.live.targets.cgroup.empty();
  if (live && !request.path.empty()) {
    return Error(ErrorCode::kUsage,
                 "give a process (-p PID), a container (--cgroup) or a recording (FILE), one of them");
  }
  if (!live && request.path.empty()) {
    return Error(ErrorCode::kUsage,
                 "say what to explain: -p PID, --cgroup NAME, or a FILE that memwhy record made");
  }
  if (!live && (!request.live.output.empty() || duration_given || request.live.targets.follow ||
                request.live.probes_asked())) {
    return Error(
        ErrorCode::kUsage,
        "-o, -d, --follow, --no-uprobes and --who-allocates are about recording; they make no sense with a "
        "FILE");
  }
  if (live && !request.part.whole()) {
    return Error(ErrorCode::kUsage, "--from and --to are moments of a recording; they make no sense with -p");
  }
  if (Status known = check_finding_ids(request.fail_on); !known) return known;
  return live ? request.live.targets.check() : Status{};
}

// The user's own profile instead of the buckets that were read: its bytes in use. Read before a recording is made.
Result<std::optional<uint64_t>> read_heap_profile(const std::string& path) {
  if (path.empty()) return std::optional<uint64_t>();
  std::error_code ignored;
  std::ifstream file;
  if (!std::filesystem::is_directory(path, ignored)) file.open(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || file.bad())
    return Error(ErrorCode::kBadInput, "the heap profile " + path + " can't be read");
  Result<pprof::HeapProfile> heap = pprof::read_heap(std::as_bytes(std::span(bytes)));
  if (!heap) return std::move(heap).error().with(path);
  return std::optional<uint64_t>(heap->inuse_bytes);
}

// Findings of less than this share of RSS are not printed, and fail nothing. The verdict is of all of them.
void leave_out_small(explain::Explanation& explanation, double min_share) {
  for (explain::ProcessExplanation& process : explanation.processes)
    std::erase_if(process.findings, [&](const explain::Finding& found) { return found.share < min_share; });
}

Status explain_unbounded(const trace::Reader& reader, const Request& request,
                         std::optional<uint64_t> profile_bytes, DebugNames* names) {
  const Result<explain::Interval> interval = interval_of(reader, request.part);
  if (!interval) return interval.error();
  Result<explain::Explanation> explanation = explained(reader, *interval, profile_bytes, names);
  if (!explanation) return std::move(explanation).error();
  leave_out_small(*explanation, request.min_share);
  const report::TextOptions text{request.full, request.min_share, style_of_stdout(request.colour)};
  const Status printed = print(request.json ? report::to_json(*explanation, {request.cells})
                                            : report::to_text(*explanation, text));
  if (!printed) return printed;
  return unmet(explain::met_findings(*explanation, request.fail_on));
}

Status explain_recording(const trace::Reader& reader, const Request& request,
                         std::optional<uint64_t> profile_bytes, DebugNames* names) {
  return within(request.limits, request.path.empty() ? "the recording" : request.path,
                [&] { return explain_unbounded(reader, request, profile_bytes, names); });
}

Status explain(const Request& request) {
  const Result<std::optional<uint64_t>> profile_bytes = read_heap_profile(request.heap_profile);
  if (!profile_bytes) return profile_bytes.error();
  // Its processes are started before a recording gives up what is needed to make them powerless.
  Result<std::unique_ptr<DebugNames>> names = DebugNames::if_asked(request.live.debug_directories);
  if (!names) return std::move(names).error();
  if (!request.path.empty()) {
    Result<trace::Reader> reader = trace::Reader::open(request.path);
    if (!reader) return std::move(reader).error();
    return explain_recording(*reader, request, *profile_bytes, names->get());
  }
  Result<LiveResult> done = record_live(request.live);
  if (!done) return std::move(done).error();
  if (done->failure) warn(done->failure->message() + "; what was recorded until then is explained");
  if (done->ended == "size")
    warn("the temporary file is full (-o FILE has no such limit); what was recorded until then is explained");
  Result<trace::Reader> reader = trace::Reader::open(
      std::move(done->file), request.live.output.empty() ? "the recording" : request.live.output);
  if (!reader) return std::move(reader).error();
  if (Status explained = explain_recording(*reader, request, *profile_bytes, names->get()); !explained)
    return explained;
  return done->failure ? Status(*std::move(done->failure)) : Status{};
}

}  // namespace

Command add_explain(CLI::App& program) {
  CLI::App* options =
      program.add_subcommand("explain", "Say why a process's RSS is what it is: live, or from a recording");
  options->footer(kExplainExamples);
  set_usage(*options, "memwhy explain (-p PID | --cgroup NAME | FILE) [OPTIONS]");
  const auto request = std::make_shared<Request>();
  const auto duration = std::make_shared<std::chrono::nanoseconds>(0);
  options->add_option("FILE", request->path, "a recording (.memwhy)")->type_name("");
  add_pid_option(*options, request->live.targets);
  add_cgroup_option(*options, request->live.targets);
  options->add_flag("--follow", request->live.targets.follow, "and its children");
  add_duration(*options, "-d,--duration", *duration, "how long to watch (30, 30s, 5m, 2h); default 10 s");
  options
      ->add_option("-o,--output", request->live.output, "keep the recording in this file; it must not exist")
      ->type_name("FILE");
  options
      ->add_option("--heap-profile", request->heap_profile,
                   "compare with this heap profile (heap.pb.gz) instead of the one in the process")
      ->type_name("FILE");
  add_probe_options(*options, request->live);
  add_debug_directories(*options, request->live.debug_directories);
  add_file_limits(*options, request->limits, "explaining");
  add_part_options(*options, request->part,
                   "explain a recording from this moment on: +30s after its start, -5m "
                   "before its end, or RFC 3339",
                   "up to this moment, by the last scan before it");
  add_fail_on(*options, request->fail_on);
  add_share(*options, "--min-share", request->min_share,
            "leave out findings of less than this share of RSS, and add up smaller owners");
  options->add_flag("--full", request->full,
                    "everything: all evidence and stacks, page retention, goroutines, how it was recorded");
  add_colour(*options, request->colour);
  CLI::Option* json = options->add_flag("--json", request->json, "as JSON, format memwhy.explain/1");
  options
      ->add_flag("--cells", request->cells,
                 "with --json: the whole attribution table, each group of pages with its stack and mapping")
      ->needs(json);
  options->add_flag("-q,--quiet", request->live.quiet, "no progress");
  return {options, false, [request, duration](const std::vector<std::string>&) -> Status {
            const bool given = duration->count() != 0;
            if (Status asked = check(*request, given); !asked) return asked;
            Request wanted = *request;
            if (Status there = check_debug_directories(wanted.live.debug_directories); !there) return there;
            wanted.live.duration = given ? *duration : std::chrono::nanoseconds(kDefaultDuration);
            return explain(wanted);
          }};
}

}  // namespace memwhy::app
