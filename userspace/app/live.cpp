// SPDX-License-Identifier: Apache-2.0
#include "app/live.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <map>
#include <memory>
#include <new>
#include <set>

#include "app/adapters.h"
#include "app/child.h"
#include "app/environment.h"
#include "app/limits.h"
#include "app/live_output.h"
#include "app/privilege.h"
#include "app/terminal.h"
#include "app/units.h"
#include "base/text.h"
#include "files/children.h"
#include "record/session.h"

namespace memwhy::app {
namespace {

constexpr std::chrono::milliseconds kGlance{200};  // how often the main thread looks around
// A target may hold up who reads it for as long as it likes: once the recording is to end, an attaching is waited for so
// long, and the last looks so long. Together they stay below two seconds.
constexpr std::chrono::milliseconds kAttachPatience{500};
constexpr TimeNs kPatience = 1'200'000'000;
constexpr size_t kNamed = 3;            // of those that cannot be recorded
constexpr size_t kJoiningAtMost = 256;  // that are being attached while others are recorded

class Recording {
 public:
  Recording(const LiveRequest& request, const procfs::Root& proc, StopSignals& signals,
            record::Session& session, FileSink& sink, std::optional<Child>& child)
      : request_(request), proc_(proc), signals_(signals), session_(session), sink_(sink), child_(child) {}

  // Attaches to whom was asked for. An Error: to nobody.
  Status attach(const std::vector<Pid>& pids) {
    for (const Pid pid : pids) {
      // Looked at between any two, so that the first signal ends a long attach.
      if (signals_.stopped() && !known_.empty()) break;
      const std::string name = name_of(proc_, pid);
      const std::optional<Status> added = add(pid);
      if (!added) {  // it holds us up, and we were told to end: what is known of it until now is kept
        if (target_.empty()) target_ = name;
        known_.insert(pid);
        break;
      }
      if (!*added) {
        if (!request_.targets.open_ended()) return *added;
        refuse(pid, name, added->error());
        continue;
      }
      known_.insert(pid);
      if (target_.empty()) target_ = name;
    }
    if (known_.empty() && refusal_) return *refusal_;
    if (known_.empty()) {
      return Error(ErrorCode::kTargetGone,
                   fmt::format("every process of {} exited while memwhy attached", describe_targets()));
    }
    if (child_) {
      target_ = fmt::format("pid {} ({})", child_->pid(), request_.targets.command.front());
      if (Status released = child_->release(); !released) return released;
    }
    session_.attached();
    if (signals_.stopped()) session_.request_stop("stopped");
    tell_refused();
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
      welcome_newcomers(progress);
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
                       human_bytes(now.rss_bytes),
                       now.targets == 1 ? target_ : fmt::format("{} processes", now.targets),
                       now.faults_per_s, now.scans, lost);
  }

  // Waits for it, and for a signal. nullopt: there was one, and the attaching does not end.
  std::optional<Status> add(Pid pid) {
    std::future<Status> added = session_.begin_add(pid);
    while (added.wait_for(kGlance) != std::future_status::ready) {
      if (!signals_.stopped()) continue;
      session_.request_stop("stopped");
      if (added.wait_for(kAttachPatience) != std::future_status::ready) return std::nullopt;
    }
    return added.get();
  }

  // Of many processes by name some are always just leaving; anything else is told, and tried again.
  void refuse(Pid pid, const std::string& name, const Error& error) {
    if (error.code() == ErrorCode::kTargetGone || !refused_.insert(pid).second) return;
    if (untold_.size() < kNamed) untold_.push_back(name);
    ++untold_count_;
    refusal_ = error;
  }

  void tell_refused() {
    if (untold_count_ == 0) return;
    const std::string more =
        untold_count_ > untold_.size() ? fmt::format(" and {} more", untold_count_ - untold_.size()) : "";
    const std::string sentence =
        fmt::format("not recorded: {}{}: {}", fmt::join(untold_, ", "), more, refusal_->message());
    warn(sentence + "; tried again each second");
    session_.notice("N" + sentence.substr(1) + "; who could be recorded later has no beginning.");
    untold_.clear();
    untold_count_ = 0;
  }

  void join_newcomers(Progress& progress) {
    const Result<std::vector<Pid>> found = find_targets(proc_, request_.targets);
    if (!found) return;
    const std::set<Pid> there(found->begin(), found->end());
    std::erase_if(known_, [&](Pid pid) { return !there.contains(pid); });  // their numbers may come again
    std::erase_if(refused_, [&](Pid pid) { return !there.contains(pid); });
    for (const Pid pid : there) {
      if (joining_.size() >= kJoiningAtMost) break;
      if (known_.contains(pid) || joining_.contains(pid)) continue;
      if (Status fit = check_target(proc_, pid); fit)
        joining_.emplace(pid, session_.begin_add(pid));
      else if (fit.error().code() == ErrorCode::kUsage)
        known_.insert(pid);  // never
      else
        refuse(pid, name_of(proc_, pid), fit.error());
    }
    if (untold_count_ != 0) progress.clear();
    tell_refused();
  }

  void welcome_newcomers(Progress& progress) {
    for (auto joining = joining_.begin(); joining != joining_.end();) {
      if (joining->second.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        ++joining;
        continue;
      }
      const Pid pid = joining->first;
      const Status added = joining->second.get();
      joining = joining_.erase(joining);
      if (!added) {
        if (!signals_.stopped()) refuse(pid, name_of(proc_, pid), added.error());
        continue;
      }
      known_.insert(pid);
      refused_.erase(pid);
      progress.clear();
      if (!request_.quiet) say("recording " + name_of(proc_, pid) + " too");
    }
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
  std::map<Pid, std::future<Status>> joining_;
  std::set<Pid> refused_;            // each is told once
  std::vector<std::string> untold_;  // the first ones of these
  size_t untold_count_ = 0;
  std::optional<Error> refusal_;  // the last one
  std::string target_;
  bool child_said_ = false;
};

record::SessionOptions session_options(const LiveRequest& request, const procfs::Root& proc,
                                       const PrivilegePlan& privileges) {
  record::SessionOptions options;
  options.info = proc.host();
  options.info.tool_version = MEMWHY_VERSION;
  options.info.what = request.targets.described();
  if (request.duration) options.duration = static_cast<TimeNs>(request.duration->count());
  options.follow = request.targets.follows_children();
  options.probe_go = !request.no_uprobes;
  options.end_alone = !request.targets.open_ended();
  options.on_thread = [privileges](record::Thread thread) {
    const Worker worker = thread == record::Thread::kSampler  ? Worker::kSampler
                          : thread == record::Thread::kIntake ? Worker::kIntake
                                                              : Worker::kSink;
    if (Status kept = keep_only(privileges.of(worker)); !kept) warn(kept.error().message());
  };
  return options;
}

// Everything that the session's threads use, in one place: it is destroyed when they are done, or not at all.
struct Parts {
  Parts(procfs::Root root, std::unique_ptr<trace::Writer> file, uint64_t limit,
        std::unique_ptr<files::Children> readers, std::unique_ptr<record::KernelSource> hooks,
        const LiveRequest& request, const PrivilegePlan& privileges)
      : proc(std::move(root)),
        writer(std::move(file)),
        files(std::move(readers)),
        kernel(std::move(hooks)),
        processes(proc, *files),
        symbols(*files),
        sink(*writer, limit),
        session(*kernel, processes, symbols, sink, clock, session_options(request, proc, privileges)) {
    sink.bind(session);
  }
  procfs::Root proc;
  std::unique_ptr<trace::Writer> writer;
  std::unique_ptr<files::Children> files;
  std::unique_ptr<record::KernelSource> kernel;
  ProcfsOpener processes;
  Symbols symbols;
  FileSink sink;
  record::SystemClock clock;
  record::Session session;
};

// A thread that does not come back goes on using them: then they stay, and memwhy ends, when it does, without looking back.
struct EndOfParts {
  void operator()(Parts* parts) const {
    parts->session.finish(kPatience);
    if (!parts->session.abandoned()) {
      delete parts;
      return;
    }
    ::on_exit([](int status, void*) { ::_exit(status); }, nullptr);
  }
};

const char* const kNoMemory =
    "memwhy was given no more memory (a limit of its own, or the machine has none left)";

// Attaches and waits. An Error: to nobody, or there was no memory.
Status run_recording(Recording& recording, const std::vector<Pid>& pids, NewFile& output) {
  try {
    if (Status attached = recording.attach(pids); !attached) return attached;
    output.keep();
    recording.tell();
    recording.wait();
    return {};
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kEnvironment, kNoMemory);
  } catch (const std::future_error&) {  // of a thread that had none
    return Error(ErrorCode::kEnvironment, kNoMemory);
  }
}

// Whom of those that are asked for can be recorded.
Result<std::vector<Pid>> choose(const procfs::Root& proc, const LiveRequest& request) {
  Result<std::vector<Pid>> found = find_targets(proc, request.targets);
  if (!found) return std::move(found).error();
  std::vector<Pid> pids;
  std::optional<Error> refusal;  // of one of many
  for (const Pid pid : *found) {
    Status fit = check_target(proc, pid);
    if (!fit && !request.targets.open_ended()) return fit.error();
    if (fit)
      pids.push_back(pid);
    else if (fit.error().code() != ErrorCode::kTargetGone)
      refusal = std::move(fit).error();
  }
  if (pids.empty() && refusal) return *std::move(refusal);
  return pids;
}

Result<LiveResult> record_checked(const LiveRequest& request) {
  if (Status possible = check_recording_possible(); !possible) return possible.error();
  Result<procfs::Root> proc = procfs::Root::open("/proc");
  if (!proc) return std::move(proc).error();
  if (Status ours = check_namespace(*proc); !ours) return ours.error();
  Result<StopSignals> signals = StopSignals::take();
  if (!signals) return std::move(signals).error();

  std::vector<Pid> pids;
  if (request.targets.command.empty()) {
    Result<std::vector<Pid>> chosen = choose(*proc, request);
    if (!chosen) return std::move(chosen).error();
    pids = *std::move(chosen);
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
  raise_open_files();  // behind the command, which keeps what it was given
  no_core_files();

  // Before there is anything of the kernel's that they must not have.
  Result<std::unique_ptr<files::Children>> files = files::Children::start();
  if (!files) return std::move(files).error();
  const PrivilegePlan privileges = own_privileges(request.max_part_bytes != 0);
  Result<std::unique_ptr<record::KernelSource>> kernel = open_kernel(privileges.told());
  if (!kernel) return std::move(kernel).error();
  const std::unique_ptr<Parts, EndOfParts> parts(new Parts(std::move(*proc), std::move(*writer),
                                                           output->limit(), std::move(*files),
                                                           std::move(*kernel), request, privileges));
  record::Session& session = parts->session;
  if (Status started = session.start(); !started) return started.error();
  if (Status kept = keep_only(privileges.main); !kept) warn(kept.error().message());
  Recording recording(request, parts->proc, *signals, session, parts->sink, child);
  const Status ran = run_recording(recording, pids, *output);
  LiveResult result;
  result.elapsed = std::chrono::nanoseconds(session.progress().elapsed_ns);
  result.ended = session.finish(kPatience);
  // A file that takes no more ends the recording, and so the attaching.
  std::optional<Error> failure = parts->writer->failure();
  if (!failure) failure = session.failure();
  if (!failure && !ran) failure = ran.error();
  if (!ran && !output->kept()) return *std::move(failure);
  if (recording.child_runs() && !request.quiet) {
    say(fmt::format("{} goes on, no longer recorded", recording.target()));
  }
  result.target = recording.target();
  result.failure = std::move(failure);
  const Status closed = parts->writer->finish(result.ended);
  if (!closed && !result.failure) result.failure = closed.error();
  result.totals = parts->writer->totals();
  result.file = parts->writer->release();
  return result;
}

}  // namespace

Result<LiveResult> record_live(const LiveRequest& request) {
  try {
    return record_checked(request);
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kEnvironment, kNoMemory);
  }
}

}  // namespace memwhy::app
