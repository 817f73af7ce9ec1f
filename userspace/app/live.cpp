// SPDX-License-Identifier: Apache-2.0
#include "app/live.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>

#include "app/adapters.h"
#include "app/child.h"
#include "app/environment.h"
#include "app/terminal.h"
#include "app/units.h"
#include "files/children.h"
#include "record/session.h"
#include "trace/output.h"

namespace memwhy::app {
namespace {

constexpr std::chrono::milliseconds kGlance{200};  // how often the main thread looks around

// The session's sink: the file, and the end of the recording when the file takes no more. The main thread
// ticks, so that what was seen is on disk within a second also when nothing follows; the lock is free
// otherwise.
class FileSink : public events::EventSink {
 public:
  explicit FileSink(trace::Writer& writer) : writer_(writer) {}
  void bind(record::Session& session) { session_ = &session; }
  void on_event(const events::Event& event) override {
    const std::lock_guard lock(mutex_);
    writer_.on_event(event);
    if (writer_.failure() && session_ != nullptr) session_->request_stop("output_full");
  }
  void tick(TimeNs now) {
    const std::lock_guard lock(mutex_);
    writer_.tick(now);
  }
  bool wants_restate() const { return writer_.wants_restate(); }

 private:
  std::mutex mutex_;
  trace::Writer& writer_;
  record::Session* session_ = nullptr;
};

// A file that is removed again unless there is something in it worth keeping.
class NewFile {
 public:
  static Result<NewFile> create(const std::string& path) {
    Result<Fd> fd = path.empty() ? trace::create_unlinked_output() : trace::create_output(path);
    if (!fd) return std::move(fd).error();
    return NewFile(std::move(*fd), path);
  }
  NewFile(NewFile&& other) noexcept : fd_(std::move(other.fd_)), path_(std::exchange(other.path_, {})) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Fd take() { return std::move(fd_); }
  void keep() { path_.clear(); }

 private:
  NewFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::string path_;
};

class Recording {
 public:
  Recording(const LiveRequest& request, const procfs::Root& proc, StopSignals& signals,
            record::Session& session, FileSink& sink, std::optional<Child>& child)
      : request_(request), proc_(proc), signals_(signals), session_(session), sink_(sink), child_(child) {}

  // Attaches to whom was asked for. An Error: to nobody.
  Status attach(const std::vector<Pid>& pids) {
    std::optional<Error> refusal;
    for (const Pid pid : pids) {
      // Looked at between any two, so that the first signal ends a long attach, and the second kills.
      if (signals_.wait({}) && !known_.empty()) {
        session_.request_stop("stopped");
        break;
      }
      const std::string name = name_of(proc_, pid);
      if (Status added = session_.add(pid); !added) {
        if (!request_.targets.open_ended()) return added;
        if (added.error().code() != ErrorCode::kTargetGone) refusal = std::move(added).error();
        continue;  // of many processes by name, some are always just leaving
      }
      known_.insert(pid);
      if (target_.empty()) target_ = name;
    }
    if (known_.empty() && refusal) return *std::move(refusal);
    if (known_.empty()) {
      return Error(ErrorCode::kTargetGone,
                   fmt::format("every process of {} exited while memwhy attached", describe_targets()));
    }
    if (child_) {
      target_ = fmt::format("pid {} ({})", child_->pid(), request_.targets.command.front());
      if (Status released = child_->release(); !released) return released;
    }
    session_.attached();
    return {};
  }

  void tell() const {
    if (request_.quiet || signals_.stopped()) return;
    const std::string until = request_.duration ? "for " + duration_text(*request_.duration) + ", or " : "";
    const std::string more = known_.size() > 1 ? fmt::format(" and {} more", known_.size() - 1) : "";
    const std::string exits = request_.targets.open_ended() ? "" : "it exits or ";  // others may come later
    say(fmt::format("recording {}{} {}until {}Ctrl-C", target_, more, until, exits));
  }

  // Until it is over.
  void wait() {
    record::SystemClock clock;
    Progress progress(Progress::mode_for_stderr(request_.quiet));
    std::chrono::nanoseconds next_search{std::chrono::seconds(1)};
    bool restating = false;
    while (!session_.wait(0)) {
      if (signals_.wait(kGlance)) session_.request_stop("stopped");
      sink_.tick(clock.now());
      const bool full = sink_.wants_restate();
      if (full && !restating) session_.request_restate();  // the next part begins when it has come
      restating = full;
      const record::Progress now = session_.progress();
      const std::chrono::nanoseconds elapsed(now.elapsed_ns);
      if (request_.targets.open_ended() && elapsed >= next_search) {
        join_newcomers(progress);
        next_search = elapsed + std::chrono::seconds(1);
      }
      if (child_) say_child_ended(progress);
      if (progress.due(elapsed)) progress.show(elapsed, line(now));
    }
    if (child_) say_child_ended(progress);
  }

  const std::string& target() const { return target_; }
  bool child_runs() const { return child_ && !child_said_; }

 private:
  std::string describe_targets() const {
    return fmt::format("{}", fmt::join(request_.targets.described(), ", "));
  }

  std::string line(const record::Progress& now) const {
    const std::string lost = now.events_lost == 0 ? "" : fmt::format(", {} events lost", now.events_lost);
    const std::string total = request_.duration ? " of " + duration_text(*request_.duration) : "";
    return fmt::format("{}{}: {} in {}, {:.0f} faults/s, {} scans{}",
                       duration_text(std::chrono::nanoseconds(now.elapsed_ns)), total,
                       size_text(now.rss_bytes),
                       now.targets == 1 ? target_ : fmt::format("{} processes", now.targets),
                       now.faults_per_s, now.scans, lost);
  }

  void join_newcomers(Progress& progress) {
    const Result<std::vector<Pid>> found = find_targets(proc_, request_.targets);
    if (!found) return;
    for (const Pid pid : *found) {
      if (known_.contains(pid) || !check_target(proc_, pid) || !session_.add(pid)) continue;
      progress.clear();
      if (!request_.quiet) say("recording " + name_of(proc_, pid) + " too");
    }
    known_ = {found->begin(), found->end()};  // the gone are forgotten: their numbers may come again
  }

  void say_child_ended(Progress& progress) {
    const std::optional<std::string> how = child_->ended();
    if (!how || child_said_) return;
    child_said_ = true;
    progress.clear();
    if (!request_.quiet) say(fmt::format("{} {}", request_.targets.command.front(), *how));
  }

  const LiveRequest& request_;
  const procfs::Root& proc_;
  StopSignals& signals_;
  record::Session& session_;
  FileSink& sink_;
  std::optional<Child>& child_;
  std::set<Pid> known_;
  std::string target_;
  bool child_said_ = false;
};

record::SessionOptions session_options(const LiveRequest& request, const procfs::Root& proc) {
  record::SessionOptions options;
  options.info = proc.host();
  options.info.tool_version = MEMWHY_VERSION;
  options.info.what = request.targets.described();
  if (request.duration) options.duration = static_cast<TimeNs>(request.duration->count());
  options.follow = request.targets.follows_children();
  options.probe_go = !request.no_uprobes;
  options.end_alone = !request.targets.open_ended();
  return options;
}

}  // namespace

Result<LiveResult> record_live(const LiveRequest& request) {
  if (Status possible = check_recording_possible(); !possible) return possible.error();
  Result<procfs::Root> proc = procfs::Root::open("/proc");
  if (!proc) return std::move(proc).error();
  Result<StopSignals> signals = StopSignals::take();
  if (!signals) return std::move(signals).error();

  std::vector<Pid> pids;
  std::optional<Error> refusal;  // of one of many
  if (request.targets.command.empty()) {
    Result<std::vector<Pid>> found = find_targets(*proc, request.targets);
    if (!found) return std::move(found).error();
    for (const Pid pid : *found) {
      Status fit = check_target(*proc, pid);
      if (!fit && !request.targets.open_ended()) return fit.error();
      if (fit)
        pids.push_back(pid);
      else if (fit.error().code() != ErrorCode::kTargetGone)
        refusal = std::move(fit).error();
    }
    if (pids.empty() && refusal) return *std::move(refusal);
  } else if (Status fit = check_command(request.targets.command.front()); !fit) {
    return fit.error();
  }
  Result<NewFile> output = NewFile::create(request.output);
  if (!output) return std::move(output).error();
  Result<std::unique_ptr<trace::Writer>> writer =
      trace::Writer::create(output->take(), {request.output, request.max_part_bytes});
  if (!writer) return std::move(writer).error();

  std::optional<Child> child;
  if (!request.targets.command.empty()) {
    Result<Child> started = Child::start(request.targets.command, *signals);
    if (!started) return std::move(started).error();
    child.emplace(std::move(*started));
    pids.push_back(child->pid());
  }

  // Before there is anything of the kernel's that they must not have.
  Result<std::unique_ptr<files::Children>> files = files::Children::start();
  if (!files) return std::move(files).error();
  Result<std::unique_ptr<record::KernelSource>> kernel = open_kernel();
  if (!kernel) return std::move(kernel).error();
  ProcfsOpener processes(*proc, **files);
  Symbols symbols(**files);
  FileSink sink(**writer);
  record::SystemClock clock;
  record::Session session(**kernel, processes, symbols, sink, clock, session_options(request, *proc));
  sink.bind(session);
  if (Status started = session.start(); !started) return started.error();
  Recording recording(request, *proc, *signals, session, sink, child);
  if (Status attached = recording.attach(pids); !attached) {
    session.finish();
    // A file that takes no more ends the recording, and so the attaching.
    return (*writer)->failure() ? *(*writer)->failure() : attached.error();
  }
  output->keep();
  recording.tell();
  recording.wait();

  LiveResult result;
  result.elapsed = std::chrono::nanoseconds(session.progress().elapsed_ns);
  result.ended = session.finish();
  if (recording.child_runs() && !request.quiet) {
    say(fmt::format("{} goes on, no longer recorded", recording.target()));
  }
  result.target = recording.target();
  if (Status closed = (*writer)->finish(result.ended); !closed) result.failure = closed.error();
  if ((*writer)->failure()) result.failure = (*writer)->failure();
  result.totals = (*writer)->totals();
  result.file = (*writer)->release();
  return result;
}

}  // namespace memwhy::app
