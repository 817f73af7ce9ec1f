// SPDX-License-Identifier: Apache-2.0
#include "record/session.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "events/order.h"
#include "record/lives.h"

namespace memwhy::record {
namespace {

std::future<Status> ready(Status status) {
  std::promise<Status> promise;
  promise.set_value(std::move(status));
  return promise.get_future();
}

}  // namespace

Session::Session(KernelSource& kernel, ProcessOpener& processes, SymbolSource& symbols,
                 events::EventSink& sink, Clock& clock, SessionOptions options)
    : Session(kernel, processes, symbols, std::vector<Sink>{{&sink, "the sink", false}}, clock,
              std::move(options)) {}

Session::Session(KernelSource& kernel, ProcessOpener& processes, SymbolSource& symbols,
                 std::vector<Sink> sinks, Clock& clock, SessionOptions options)
    : kernel_(kernel),
      processes_(processes),
      symbols_(symbols),
      sinks_(std::move(sinks)),
      clock_(clock),
      options_(std::move(options)) {}

Session::~Session() {
  guard([this] { finish(); });
  if (sampler_thread_.joinable()) sampler_thread_.join();
  if (intake_thread_.joinable()) intake_thread_.join();
}

Status Session::start() {
  {
    const std::lock_guard lock(mutex_);
    if (running_) return Error(ErrorCode::kUsage, "the recording runs already");
    if (abandoned_) return Error(ErrorCode::kConflict, "the recording before is still being ended");
    running_ = true;
    sampler_done_ = intake_done_ = sink_done_ = false;
    stopping_ = false;
    patience_ = kEndless;
    told_hooks_.reset();
    failed_ = Failed::kNo;
    intake_stop_ = false;
    stop_why_.reset();
    begun_ = clock_.now();
    attached_at_.reset();
    progress_ = {};
    table_fill_ = 0;
  }
  guard([this] { start_threads(); });
  if (std::optional<Error> failed = failure()) {
    finish();
    return *std::move(failed);
  }
  return {};
}

void Session::start_threads() {
  queue_ = std::make_unique<EventQueue>(options_.queue_bytes, events::kOrderWindow);
  queue_->push({begun_, options_.info});
  intake_ = std::make_unique<Intake>(kernel_, clock_, *queue_,
                                     [this](events::Event event) { return notify(std::move(event)); });
  sampler_ = std::make_unique<Sampler>(
      kernel_, processes_, symbols_, clock_,
      SamplerOptions{scan_period_for(options_.duration), options_.follow, options_.probes, options_.cgroup,
                     [this] { return stopping_.load(); },
                     [this] { return out_of_patience(patience_ / 4 * 3); }, [this] { return pace_.load(); },
                     options_.rests},
      [this](events::Event event) {
        if (const auto* hooks = std::get_if<events::HookReport>(&event.payload)) {
          const std::lock_guard lock(mutex_);
          told_hooks_ = *hooks;
        }
        queue_->push(std::move(event));
      });
  sink_thread_ = std::thread([this] { guard([this] { run_sink(); }); });
  sampler_thread_ = std::thread([this] { run_sampler(); });
  intake_thread_ = std::thread([this] { run_intake(); });
}

std::future<Status> Session::command(std::function<Status()> work) {
  auto done = std::make_shared<std::promise<Status>>();
  std::future<Status> result = done->get_future();
  {
    const std::lock_guard lock(mutex_);
    if (!running_ || sampler_done_ || stop_why_)
      return ready(Error(ErrorCode::kUsage, "the recording does not run"));
    commands_.push_back([this, done, work = std::move(work)](bool run) {
      try {
        done->set_value(run ? work() : Status(Error(ErrorCode::kConflict, "the recording ended meanwhile")));
      } catch (...) {
        guard([] { throw; });  // first: the caller may end the recording at once, and for another reason
        done->set_exception(std::current_exception());  // the caller must not wait for ever
        throw;
      }
    });
  }
  sampler_wake_.notify_one();
  return result;
}

Status Session::add(Pid tgid) { return begin_add(tgid).get(); }

std::future<Status> Session::begin_add(Pid tgid) {
  return command([this, tgid]() -> Status {
    const auto space = sampler_->add(tgid);
    if (!space) return space.error();
    return {};
  });
}

Status Session::remove(Pid tgid) { return begin_remove(tgid).get(); }

std::future<Status> Session::begin_remove(Pid tgid) {
  return command([this, tgid] { return sampler_->remove(tgid); });
}

std::future<Status> Session::on_sink(std::function<void()> work) {
  auto done = std::make_shared<std::promise<Status>>();
  std::future<Status> result = done->get_future();
  {
    const std::lock_guard lock(mutex_);
    if (!running_ || sink_done_) return ready(Error(ErrorCode::kUsage, "the recording does not run"));
    sink_calls_.push_back([done, work = std::move(work)](bool run) {
      try {
        if (run) work();
        done->set_value(run ? Status()
                            : Status(Error(ErrorCode::kConflict, "the recording failed before that")));
      } catch (...) {
        done->set_exception(std::current_exception());
      }
    });
    if (queue_) queue_->wake();
  }
  return result;
}

void Session::attached() {
  {
    const std::lock_guard lock(mutex_);
    if (!running_ || sampler_done_) return;
    attached_at_ = clock_.now();
  }
  post([this] {
    if (options_.on_thread) options_.on_thread(Thread::kSampler);
  });
}

void Session::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (!running_ || sampler_done_) return;
    commands_.push_back([work = std::move(work)](bool run) {
      if (run) work();
    });
  }
  sampler_wake_.notify_one();
}

void Session::request_restate() {
  post([this] { sampler_->restate(); });
}

void Session::request_restate(std::vector<SpaceId> spaces) {
  post([this, spaces = std::move(spaces)] { sampler_->restate(spaces); });
}

void Session::notice(const std::string& sentence) {
  const std::lock_guard lock(mutex_);
  if (!running_ || sampler_done_) return;
  notices_.push_back(sentence);
  sampler_wake_.notify_one();
}

void Session::tell_notices() {
  std::vector<std::string> sentences;
  {
    const std::lock_guard lock(mutex_);
    sentences.swap(notices_);
  }
  for (std::string& sentence : sentences) sampler_->notice(std::move(sentence));
}

void Session::request_stop(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (running_ && !stop_why_) stop(why);
}

void Session::stop(const std::string& why) {
  stop_why_ = why;
  stopping_ = true;
  sampler_wake_.notify_all();
  ended_.notify_all();
}

TimeNs Session::ends_at() const {
  return options_.duration && attached_at_ ? *attached_at_ + *options_.duration : kEndless;
}

std::optional<std::string> Session::wait(TimeNs timeout) {
  std::unique_lock lock(mutex_);
  const TimeNs deadline = clock_.now() + timeout;
  while (running_ && !stop_why_ && clock_.now() < std::min(deadline, ends_at()))
    clock_.wait(lock, ended_, std::min(deadline, ends_at()));
  if (running_ && !stop_why_ && clock_.now() >= ends_at()) stop("duration");
  return running_ ? stop_why_ : std::optional<std::string>("stopped");
}

Progress Session::progress() const {
  const std::lock_guard lock(mutex_);
  Progress now = progress_;
  if (running_) now.elapsed_ns = clock_.now() - attached_at_.value_or(begun_);
  return now;
}

bool Session::notify(events::Event event) {
  const size_t bytes = bytes_of(event);
  const std::lock_guard lock(mutex_);
  if (inbox_bytes_ + bytes > options_.inbox_bytes) return false;
  inbox_bytes_ += bytes;
  inbox_.push_back(std::move(event));
  sampler_wake_.notify_one();
  return true;
}

void Session::run_intake() {
  guard([this] { poll_until_stopped(); });
  guard([this] {
    if (intake_) intake_->finish();
  });
  const std::lock_guard lock(mutex_);
  intake_done_ = true;
  done_.notify_all();
}

void Session::poll_until_stopped() {
  if (!intake_) return;
  if (options_.on_thread) options_.on_thread(Thread::kIntake);
  TimeNs next = clock_.now();
  while (true) {
    {
      std::unique_lock lock(mutex_);
      while (!intake_stop_ && clock_.now() < next) clock_.wait(lock, intake_wake_, next);
      if (intake_stop_) break;
    }
    intake_->poll();
    next = std::max(next + kPollPeriod, clock_.now() + kPollPeriod / 2);
    const std::lock_guard lock(mutex_);
    const auto& coverage = intake_->coverage();
    if (coverage) {
      progress_.faults = coverage->faults_seen;
      table_fill_ = coverage->chunks_limit == 0 ? 0
                                                : static_cast<double>(coverage->chunks_used) /
                                                      static_cast<double>(coverage->chunks_limit);
    }
    progress_.faults_per_s = intake_->faults_per_s();
    progress_.events_lost = intake_->lost();
  }
}

void Session::run_sampler() {
  sampler_id_ = clock_.this_thread();
  guard([this] {
    while (sampler_ && sampler_step()) {
    }
    if (sampler_) tell_notices();
    if (sampler_) sampler_->finish();
    if (sampler_) snapshot();
  });
  std::deque<Command> late;
  {
    const std::lock_guard lock(mutex_);
    sampler_done_ = true;
    late.swap(commands_);
    done_.notify_all();
  }
  guard([&] {
    for (Command& command : late) command(false);
  });
}

// Waits for something to do and does it; false: the recording is to end.
bool Session::sampler_step() {
  bool attached = false;
  TimeNs end = kEndless;
  {
    const std::lock_guard lock(mutex_);
    attached = attached_at_.has_value();
    end = ends_at();
  }
  if (options_.end_alone && attached && sampler_->deserted()) request_stop("target_exited");
  std::deque<events::Event> inbox;
  std::deque<Command> commands;
  {
    const TimeNs due = std::min(sampler_->next_due(), end);
    std::unique_lock lock(mutex_);
    // A call of attached() changes what it waits for.
    while (!stop_why_ && inbox_.empty() && commands_.empty() && notices_.empty() && clock_.now() < due &&
           attached == attached_at_.has_value()) {
      clock_.wait(lock, sampler_wake_, std::min(due, clock_.now() + kIdleWait));
    }
    inbox.swap(inbox_);
    inbox_bytes_ = 0;
    commands.swap(commands_);
    sampler_->set_table_fill(table_fill_);
  }
  for (const events::Event& event : inbox) sampler_->handle(event);
  for (Command& command : commands) command(true);
  tell_notices();
  if (clock_.now() >= end) request_stop("duration");
  {
    const std::lock_guard lock(mutex_);
    if (stop_why_) return false;
  }
  sampler_->run_due();
  snapshot();
  return true;
}

void Session::snapshot() {
  const std::lock_guard lock(mutex_);
  progress_.targets = sampler_->targets();
  progress_.rss_bytes = sampler_->rss_bytes();
  progress_.scans = sampler_->scans();
  progress_.lumps_ns = sampler_->lumps_ns();
  progress_.costs = sampler_->costs();
}

void Session::run_sink() {
  try {
    pass_events();
  } catch (...) {
    queue_->close();  // nothing is taken any more, and no thread may wait for room
    refuse_sink_calls();
    throw;
  }
}

void Session::pass_events() {
  if (options_.on_thread) options_.on_thread(Thread::kSink);
  Sinks sinks(sinks_, clock_, [this, &sinks](const std::exception_ptr& thrown) {
    if (!sinks.any()) std::rethrow_exception(thrown);
    guard([&thrown] { std::rethrow_exception(thrown); });  // the others are given the rest
  });
  Lives lives(sinks);
  std::vector<events::Event> batch;
  while (queue_->wait_and_take(clock_, batch)) {
    for (events::Event& event : batch) lives.pass(std::move(event));
    queue_->done();
    if (queue_->bytes() * 2 > options_.queue_bytes) sinks.shed();
    if (std::vector<std::string> cut = sinks.take_cut(); !cut.empty()) {
      const std::lock_guard lock(mutex_);
      progress_.cut_sinks.insert(progress_.cut_sinks.end(), cut.begin(), cut.end());
    }
    run_sink_calls(false);
  }
  run_sink_calls(true);
}

// last: none is accepted after these, not even from one of them.
void Session::run_sink_calls(bool last) {
  std::deque<Command> calls;
  {
    const std::lock_guard lock(mutex_);
    calls.swap(sink_calls_);
    sink_done_ |= last;
  }
  for (Command& call : calls) call(true);
}

void Session::refuse_sink_calls() {
  std::deque<Command> calls;
  {
    const std::lock_guard lock(mutex_);
    sink_done_ = true;
    calls.swap(sink_calls_);
  }
  for (Command& call : calls) call(false);
}

}  // namespace memwhy::record
