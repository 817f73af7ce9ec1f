// SPDX-License-Identifier: Apache-2.0
// Session: a recording that can be started, changed while it runs, and stopped, many times in one process.
//
// What it is: three threads, each the only owner of what it touches, joined by bounded queues.
//   intake   takes what the kernel side's ring holds, every 50 ms; never waits before the end, counts what it must drop
//   sampler  everything that is opened of the targets, and when it is read (record/sampler.h)
//   sink     puts events in order of their own time (250 ms window) and hands them to each EventSink (record/sinks.h)
// What it is not: hooks, /proc or symbols (those come in through record/sources.h), nor a file or a page
// model (those are behind the EventSinks). What comes next: the overhead governor, which reads
// Progress::costs.
//
//   Session session(kernel, processes, symbols, sink, clock, options);
//   session.start();
//   if (Status added = session.add(4711); !added) …   // hooks attached, first scan taken
//   session.attached();
//   while (!session.wait(250'000'000)) {
//     print(session.progress());
//     if (interrupted) session.request_stop("stopped");
//   }
//   std::string why = session.finish();   // last scan, RecordingEnd; everything is in the sink
//
// A target can hold up the sampler for as long as it likes (a page that a user-space server fills, a mount that does not
// answer). So the waiting thread keeps the duration, and finish(patience) ends the recording without a sampler that does not
// come back; abandoned() is then true. An exception in a thread ends the recording too, and is failure().
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "events/event.h"
#include "record/clock.h"
#include "record/event_queue.h"
#include "record/intake.h"
#include "record/sampler.h"
#include "record/sinks.h"
#include "record/sources.h"

namespace memwhy::record {

enum class Thread : uint8_t { kSampler, kIntake, kSink };

struct SessionOptions {
  events::RecordingInfo info;  // the first event
  std::optional<TimeNs> duration;
  bool follow = false;      // children of targets are recorded too
  std::string cgroup;       // requested; "" none
  ProbeWishes probes = {};  // rare functions of the Go runtime, and calls of malloc
  bool end_alone = true;    // end when every target is gone; false: go on and wait for add()
  bool rests = false;       // what rests is read less often (sampler.h)
  // Called by each thread, once: the sampler's when everybody was attached, the others' at their start.
  std::function<void(Thread)> on_thread;
  size_t queue_bytes = size_t{64} << 20;
  size_t inbox_bytes = size_t{16} << 20;
};

// A snapshot for the waiting thread, and for judging the cost.
struct Progress {
  TimeNs elapsed_ns = 0;
  size_t targets = 0;
  uint64_t rss_bytes = 0;  // of all targets, as of their last counters
  uint64_t faults = 0;     // since the start
  double faults_per_s = 0;
  uint64_t events_lost = 0;
  uint64_t scans = 0;
  uint64_t lumps_ns = 0;  // CPU time of the sampler (lumps.h)
  std::vector<TargetCost> costs;
  std::vector<std::string> cut_sinks;  // a sentence for each that is given nothing more
};

class Session {
 public:
  // All of them must outlive the session.
  Session(KernelSource& kernel, ProcessOpener& processes, SymbolSource& symbols, events::EventSink& sink,
          Clock& clock, SessionOptions options);
  Session(KernelSource& kernel, ProcessOpener& processes, SymbolSource& symbols, std::vector<Sink> sinks,
          Clock& clock, SessionOptions options);
  ~Session();  // finishes
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Begins a recording: the threads run, RecordingInfo is the first event. kUsage: it runs already.
  Status start();

  // Returns when the target is traced and was scanned once. A child that was stopped before its exec may be
  // added, and released afterwards: nothing of its program is missed. kTargetGone: no such process, or it
  // exited meanwhile.
  Status add(Pid tgid);
  // The same for a caller that has other work in the meantime.
  std::future<Status> begin_add(Pid tgid);
  Status remove(Pid tgid);
  std::future<Status> begin_remove(Pid tgid);
  // All requested processes were added, which may take long: from now on the duration counts, and a recording whose
  // targets are all gone ends.
  void attached();

  // Soon repeats everything that a further part of the recording needs of these spaces, or of all: mappings, pages, tables.
  void request_restate();
  void request_restate(std::vector<SpaceId> spaces);

  // From now on scans and readings of runtimes are so many times as far apart as usual; 1: as usual.
  void set_pace(uint64_t times) { pace_ = times; }

  // A sentence for the recording, about what is not seen.
  void notice(const std::string& sentence);

  // Runs `work` on the sink's thread, between two events: what a sink keeps may be read there, and nowhere else. While
  // it runs, events wait in the queue. In the order of the requests; what was requested before the end runs at
  // the latest after the last event. What `work` throws is in the future, and ends nothing. kUsage: the recording does not
  // run, or all of it was handed out. A sink may call it from its own thread, and must not wait for it there.
  std::future<Status> on_sink(std::function<void()> work);

  // The recording ends soon. The first reason counts. May be called by any thread, by the sink's own too.
  void request_stop(const std::string& why);

  // Why the recording is over ("stopped", "duration", "target_exited", "out_of_memory", "failed" …), or nothing after
  // `timeout`. The caller keeps the duration.
  std::optional<std::string> wait(TimeNs timeout);

  // Stops if it runs: last scans, RecordingEnd, all events handed to the sink, threads joined. Returns why it
  // ended. With less than endless patience the last scans that take longer are left out, which is recorded.
  std::string finish(TimeNs patience = kEndless);
  // A thread did not come back in time. It may still use everything that was given to the session, and the destructor waits
  // for it: a caller that cannot wait destroys neither, and ends the process.
  bool abandoned() const { return abandoned_; }
  // The failure that ended the recording: no memory, a bug.
  std::optional<Error> failure() const;

  Progress progress() const;

  static constexpr TimeNs kEndless = std::numeric_limits<TimeNs>::max();

 private:
  using Command = std::function<void(bool run)>;  // false: too late, report that
  static constexpr TimeNs kIdleWait = 60'000'000'000;
  enum class Failed : uint8_t { kNo, kMemory, kThreads, kBug };

  void start_threads();
  // Runs `work`; what it throws ends the recording.
  void guard(const std::function<void()>& work) noexcept;
  void fail(Failed how, const char* what) noexcept;
  bool wait_for(const bool& done, TimeNs until);
  bool wait_for_sampler();
  bool out_of_patience(TimeNs patience);
  void take_the_rest();
  void tell_unfinished();
  // With the lock held.
  TimeNs ends_at() const;  // by its duration; kEndless: by nothing that is known now
  void stop(const std::string& why);
  void run_intake();
  void run_sampler();
  void run_sink();
  void run_sink_calls(bool last);
  void refuse_sink_calls();
  void poll_until_stopped();
  void pass_events();
  bool sampler_step();
  bool notify(events::Event event);  // intake to sampler
  std::future<Status> command(std::function<Status()> work);
  void post(std::function<void()> work);
  void tell_notices();
  void snapshot();

  KernelSource& kernel_;
  ProcessOpener& processes_;
  SymbolSource& symbols_;
  const std::vector<Sink> sinks_;
  Clock& clock_;
  const SessionOptions options_;

  // One recording; made by start(), gone after finish().
  std::unique_ptr<EventQueue> queue_;
  std::unique_ptr<Intake> intake_;
  std::unique_ptr<Sampler> sampler_;
  std::thread intake_thread_, sampler_thread_, sink_thread_;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable sampler_wake_, intake_wake_, ended_, done_;
  std::deque<events::Event> inbox_;  // for the sampler
  size_t inbox_bytes_ = 0;
  std::deque<Command> commands_, sink_calls_;
  std::vector<std::string> notices_;  // reported before the last look, however late they came
  bool running_ = false;
  bool sampler_done_ = true, intake_done_ = true, sink_done_ = true;
  bool intake_stop_ = false;
  std::optional<std::string> stop_why_;
  TimeNs begun_ = 0;
  std::optional<TimeNs> attached_at_;
  std::optional<events::HookReport> told_hooks_;
  Failed failed_ = Failed::kNo;
  std::string bug_;
  double table_fill_ = 0;
  Progress progress_;
  std::atomic<bool> stopping_ = false;
  std::atomic<uint64_t> pace_ = 1;
  // Since finish(): when that was, what the sampler had been starved by then, and how long it may take.
  std::atomic<TimeNs> finishing_at_ = 0, starved_before_ = 0, patience_ = kEndless;
  std::atomic<int> sampler_id_ = 0;
  bool abandoned_ = false;  // by the finishing thread
};

}  // namespace memwhy::record
