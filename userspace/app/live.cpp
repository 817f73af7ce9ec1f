// SPDX-License-Identifier: Apache-2.0
#include "app/live.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <memory>
#include <new>

#include "app/child.h"
#include "app/environment.h"
#include "app/limits.h"
#include "app/live_output.h"
#include "app/parts.h"
#include "app/privilege.h"
#include "app/recording.h"
#include "app/terminal.h"
#include "app/units.h"
#include "base/text.h"
#include "events/order.h"
#include "procfs/cgroup.h"
#include "procfs/cgroup_find.h"

namespace memwhy::app {
namespace {

constexpr std::chrono::milliseconds kGlance{200};  // how often the main thread looks around
static_assert(std::chrono::nanoseconds(kGlance).count() <= int64_t{events::kFileTick});

// The file, the sink before it, and the view: they live as long as the session's threads.
struct FileOutput {
  FileOutput(std::unique_ptr<trace::Writer> file, uint64_t limit, std::shared_ptr<LiveView> shown)
      : writer(std::move(file)), sink(writer.get(), limit), view(std::move(shown)) {}
  std::unique_ptr<trace::Writer> writer;  // nullptr: only the view
  FileSink sink;
  std::shared_ptr<LiveView> view;

  std::vector<record::Sink> sinks() {
    std::vector<record::Sink> all = {{&sink, "the file", false}};
    if (view) all.push_back({&view->sink(), "the view", false});
    return all;
  }
};

// A person at a terminal: signals end the recording, stderr shows how it goes.
class Person : public Audience {
 public:
  Person(const LiveRequest& request, StopSignals& signals, record::Session& session, FileSink& sink,
         std::optional<Child>& child)
      : request_(request),
        signals_(signals),
        session_(session),
        sink_(sink),
        child_(child),
        progress_(Progress::mode_for_stderr(request.quiet)) {}

  bool glance() override {
    const bool signalled = signals_.wait(kGlance);
    sink_.tick(clock_.now());
    const bool full = sink_.wants_restate();
    if (full && !restating_) session_.request_restate();  // the next part begins when it has come
    restating_ = full;
    say_child_ended();
    return (request_.view && request_.view->glance(session_)) || signalled;
  }
  bool stopped() const override { return signals_.stopped(); }
  Status before_start() override { return child_ ? child_->release() : Status(); }
  void refused(const std::string& sentence) override {
    progress_.clear();
    warn(sentence);
  }
  void joined(const std::string& name) override {
    progress_.clear();
    if (!request_.quiet) say("recording " + name + " too");
  }
  void progress(const record::Progress& now) override {
    const std::chrono::nanoseconds elapsed(now.elapsed_ns);
    if (progress_.due(elapsed)) progress_.show(elapsed, line(now));
  }

  // How it begins and ends. `first`: of those that are recorded.
  void begin(const std::string& first, size_t attached) {
    target_ = child_ ? fmt::format("pid {} ({})", child_->pid(), request_.targets.command.front()) : first;
    if (request_.quiet || signals_.stopped()) return;
    const std::string until = request_.duration ? "for " + duration_text(*request_.duration) + ", or " : "";
    const std::string more = attached > 1 ? fmt::format(" and {} more", attached - 1) : "";
    const std::string exits = request_.targets.open_ended() ? "" : "it exits or ";  // others may come later
    say(fmt::format("recording {}{} {}until {}Ctrl-C", target_, more, until, exits));
  }
  void say_child_ended() {
    if (!child_ || child_said_) return;
    const std::optional<std::string> how = child_->ended();
    if (!how) return;
    child_said_ = true;
    progress_.clear();
    if (!request_.quiet) say(fmt::format("{} {}", request_.targets.command.front(), *how));
  }
  bool child_runs() const { return child_ && !child_said_; }
  const std::string& target() const { return target_; }

 private:
  std::string line(const record::Progress& now) const {
    const std::string lost = now.events_lost == 0 ? "" : fmt::format(", {} events lost", now.events_lost);
    const std::string total = request_.duration ? " of " + duration_text(*request_.duration) : "";
    return fmt::format("{}{}: {} in {}, {:.0f} faults/s, {} scans{}",
                       duration_text(std::chrono::nanoseconds(now.elapsed_ns)), total,
                       human_bytes(now.rss_bytes),
                       now.targets == 1 ? target_ : fmt::format("{} processes", now.targets),
                       now.faults_per_s, now.scans, lost);
  }

  const LiveRequest& request_;
  StopSignals& signals_;
  record::Session& session_;
  FileSink& sink_;
  std::optional<Child>& child_;
  Progress progress_;
  record::SystemClock clock_;
  std::string target_;
  bool restating_ = false, child_said_ = false;
};

record::SessionOptions session_options(const LiveRequest& request, const procfs::Root& proc) {
  record::SessionOptions options;
  options.info = proc.host();
  options.info.tool_version = MEMWHY_VERSION;
  options.info.what = request.targets.described();
  if (request.duration) options.duration = static_cast<TimeNs>(request.duration->count());
  options.follow = request.targets.follows_children();
  options.cgroup = request.targets.cgroup;
  options.probes = {!request.no_uprobes, request.who_allocates};
  options.end_alone = !request.targets.open_ended();
  return options;
}

const char* const kNoMemory =
    "memwhy was given no more memory (a limit of its own, or the machine has none left)";

// Attaches and waits. An Error: to none, or there was no memory.
Status run_recording(Recording& recording, Person& person, const std::vector<Pid>& pids, NewFile& output) {
  try {
    if (Status attached = recording.attach(pids); !attached) return attached;
    output.keep();
    person.begin(recording.first(), recording.attached());
    recording.wait();
    person.say_child_ended();
    return {};
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kEnvironment, kNoMemory);
  } catch (const std::future_error&) {  // of a thread that had none
    return Error(ErrorCode::kEnvironment, kNoMemory);
  }
}

// What is meant by --cgroup.
Status resolve_cgroup(const procfs::Root& proc, Targets& targets) {
  if (targets.cgroup.empty()) return {};
  Result<std::string> path = procfs::find_cgroup(procfs::CgroupReader(proc).mounts(), targets.cgroup);
  if (!path) return std::move(path).error();
  targets.cgroup = *std::move(path);
  return {};
}

void close_file(trace::Writer& writer, LiveResult& result) {
  const Status closed = writer.finish(result.ended);
  if (!closed && !result.failure) result.failure = closed.error();
  result.totals = writer.totals();
  result.file = writer.release();
}

Result<LiveResult> record_checked(LiveRequest request) {
  if (Status possible = check_recording_possible(); !possible) return possible.error();
  Result<procfs::Root> proc = procfs::Root::open("/proc");
  if (!proc) return std::move(proc).error();
  if (Status ours = check_namespace(*proc); !ours) return ours.error();
  if (Status resolved = resolve_cgroup(*proc, request.targets); !resolved) return resolved.error();
  Result<StopSignals> signals = StopSignals::take();
  if (!signals) return std::move(signals).error();

  std::vector<Pid> pids;
  if (request.targets.command.empty()) {
    Result<std::vector<Pid>> chosen = Recording::choose(*proc, request.targets);
    if (!chosen) return std::move(chosen).error();
    pids = *std::move(chosen);
  } else if (Status fit = check_command(request.targets.command.front()); !fit) {
    return fit.error();
  }
  const bool keeps = request.view == nullptr || !request.output.empty();
  Result<NewFile> output = keeps ? NewFile::create(request.output) : NewFile::none();
  if (!output) return std::move(output).error();
  Result<std::unique_ptr<trace::Writer>> writer = std::unique_ptr<trace::Writer>();
  if (keeps) writer = trace::Writer::create(output->take(), {request.output, request.max_part_bytes});
  if (!writer) return std::move(writer).error();

  std::optional<Child> child;
  if (!request.targets.command.empty()) {
    Result<Child> started = Child::start(request.targets.command, *signals);
    if (!started) return std::move(started).error();
    child.emplace(std::move(*started));
    pids.push_back(child->pid());
  }
  raise_open_files();  // after starting the command, which keeps its own limit
  no_core_files();

  const auto file = std::make_shared<FileOutput>(std::move(*writer), output->limit(), request.view);
  const PrivilegePlan privileges = own_privileges(request.max_part_bytes != 0);
  record::SessionOptions options = session_options(request, *proc);
  Result<PartsPtr> assembled = assemble(std::move(*proc), privileges, file->sinks(), file, std::move(options),
                                        request.debug_directories);
  if (!assembled) return std::move(assembled).error();
  const PartsPtr& parts = *assembled;
  file->sink.bind(parts->session);
  record::Session& session = parts->session;
  if (Status started = session.start(); !started) return started.error();
  if (parts->teaching)
    parts->teaching->tell([&session](const std::string& sentence) { session.notice(sentence); });
  if (Status kept = keep_only(privileges.main); !kept) warn(kept.error().message());
  Person person(request, *signals, session, file->sink, child);
  Recording recording(request.targets, parts->proc, session, person);
  const Status ran = run_recording(recording, person, pids, *output);
  LiveResult result;
  result.elapsed = std::chrono::nanoseconds(session.progress().elapsed_ns);
  result.ended = session.finish(kPatience);
  if (request.view) request.view->end();
  std::optional<Error> failure = session.failure();
  // A file that takes no more ends the recording, and so the attaching.
  if (file->writer && file->writer->failure()) failure = file->writer->failure();
  if (!failure && !ran) failure = ran.error();
  if (!ran && !output->kept()) return *std::move(failure);
  if (person.child_runs() && !request.quiet) {
    say(fmt::format("{} goes on, no longer recorded", person.target()));
  }
  result.target = person.target();
  result.failure = std::move(failure);
  if (file->writer) close_file(*file->writer, result);
  return result;
}

}  // namespace

void add_probe_options(CLI::App& command, LiveRequest& request) {
  CLI::Option* none =
      command.add_flag("--no-uprobes", request.no_uprobes, "do not attach uprobes to the Go runtime");
  command
      .add_flag("--who-allocates", request.who_allocates,
                "attach uprobes to malloc, calloc and realloc too, for 2,000 calls of each process: who "
                "allocates, and which sizes")
      ->excludes(none);
}

Result<LiveResult> record_live(const LiveRequest& request) {
  try {
    return record_checked(request);
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kEnvironment, kNoMemory);
  }
}

}  // namespace memwhy::app
