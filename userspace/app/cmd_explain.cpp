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
#include "app/file_limits.h"
#include "app/live.h"
#include "app/runtimes.h"
#include "app/terminal.h"
#include "explain/explainer.h"
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
  memwhy explain web.memwhy                    a recording, on any machine, without privileges
  memwhy explain -p 4711 --json | jq '.processes[0].findings[].claim'

Ctrl-C ends the watching early and explains what was seen. Without -o the recording goes into a file without a name in
/var/tmp (else $TMPDIR, /tmp, memory), and ends when that has 1G (in memory 256M): then that much is explained.)";

struct Request {
  LiveRequest live;
  std::string path;
  std::string heap_profile;
  FileLimits limits;
  bool json = false, cells = false, full = false;
  Colour colour = Colour::kAuto;
};

Status check(const Request& request, bool duration_given) {
  const bool live = !request.live.targets.pids.empty();
  if (live && !request.path.empty()) {
    return Error(ErrorCode::kUsage, "give a process (-p PID) or a recording (FILE), not both");
  }
  if (!live && request.path.empty()) {
    return Error(ErrorCode::kUsage, "say what to explain: -p PID, or a FILE that memwhy record made");
  }
  if (!live && (!request.live.output.empty() || duration_given || request.live.targets.follow ||
                request.live.no_uprobes)) {
    return Error(ErrorCode::kUsage,
                 "-o, -d, --follow and --no-uprobes are about recording; they make no sense with a FILE");
  }
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

Status explain_unbounded(const trace::Reader& reader, const Request& request,
                         std::optional<uint64_t> profile_bytes, DebugNames* names) {
  explain::Explainer explainer(owner_table());
  if (names != nullptr) names->go_before(explainer);
  Result<trace::ReadSummary> summary =
      names == nullptr ? reader.read_all(explainer) : reader.read_all(*names);
  if (!summary) return std::move(summary).error();
  if (!summary->damage.empty()) {
    warn(fmt::format("the recording is damaged ({} finding{}), what is there is explained: {}",
                     summary->damage.size(), summary->damage.size() == 1 ? "" : "s",
                     summary->damage.front()));
  }
  explain::Explanation explanation = explainer.finish(summary->damage, profile_bytes);
  if (std::string unknown = summary->of_newer_kinds(); !unknown.empty())
    explanation.coverage.report.notices.push_back(std::move(unknown) + '.');
  if (names != nullptr)
    for (std::string& notice : names->take_notices())
      explanation.coverage.report.notices.push_back(std::move(notice));
  if (profile_bytes && explanation.processes.size() != 1)
    return Error(ErrorCode::kUsage, "a heap profile is of one process, and this recording has several");
  return print(request.json ? report::to_json(explanation, {request.cells})
                            : report::to_text(explanation, {request.full, style_of_stdout(request.colour)}));
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
  set_usage(*options, "memwhy explain (-p PID | FILE) [OPTIONS]");
  const auto request = std::make_shared<Request>();
  const auto duration = std::make_shared<std::chrono::nanoseconds>(0);
  options->add_option("FILE", request->path, "a recording (.memwhy)")->type_name("");
  options->add_option("-p,--pid", request->live.targets.pids, "the process, by its pid on the host")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("PID");
  options->add_flag("--follow", request->live.targets.follow, "and its children");
  add_duration(*options, "-d,--duration", *duration, "how long to watch (30, 30s, 5m, 2h); default 10 s");
  options
      ->add_option("-o,--output", request->live.output, "keep the recording in this file; it must not exist")
      ->type_name("FILE");
  options
      ->add_option("--heap-profile", request->heap_profile,
                   "compare with this heap profile (heap.pb.gz) instead of the one in the process")
      ->type_name("FILE");
  options->add_flag("--no-uprobes", request->live.no_uprobes, "do not attach uprobes to the Go runtime");
  add_debug_directories(*options, request->live.debug_directories);
  add_file_limits(*options, request->limits, "explaining");
  options->add_flag("--full", request->full,
                    "everything: all evidence and stacks, page retention, goroutines, how it was recorded");
  options->add_option("--color", request->colour, "auto, always or never; auto respects NO_COLOR")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Colour>{{"auto", Colour::kAuto},
                                                                        {"always", Colour::kAlways},
                                                                        {"never", Colour::kNever}})
                      .description(""))
      ->type_name("WHEN");
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
