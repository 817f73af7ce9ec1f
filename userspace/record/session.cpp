// SPDX-License-Identifier: Apache-2.0
#include "record/session.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "record/lives.h"

namespace memwhy::record {
namespace {

// Events are put in order within it. Intake is 50 ms late, and the file holds back 750 ms of what the queue gives: a
// recorder that is killed must not cost more than a second in all.
constexpr TimeNs kWindow = 250'000'000;
constexpr TimeNs kIdleWait = 60'000'000'000;

}  // namespace

Session::Session(KernelSource& kernel, ProcessOpener& processes, SymbolSource& symbols,
                 events::EventSink& sink, Clock& clock, SessionOptions options)
    : kernel_(kernel),
      processes_(processes),
      symbols_(symbols),
      sink_(sink),
      clock_(clock),
      options_(std::move(options)) {}

Session::~Session() { finish(); }

Status Session::start() {
  {
    const std::lock_guard lock(mutex_);
    if (running_) return Error(ErrorCode::kUsage, "the recording runs already");
    running_ = true;
    sampler_done_ = false;
    intake_stop_ = false;
    stop_why_.reset();
    begun_ = clock_.now();
    attached_at_.reset();
    progress_ = {};
    table_fill_ = 0;
  }
  queue_ = std::make_unique<EventQueue>(options_.queue_bytes, kWindow);
  queue_->push({begun_, options_.info});
  intake_ = std::make_unique<Intake>(kernel_, clock_, *queue_,
                                     [this](events::Event event) { return notify(std::move(event)); });
  sampler_ = std::make_unique<Sampler>(
      kernel_, processes_, symbols_, clock_,
      SamplerOptions{scan_period_for(options_.duration), options_.follow, options_.probe_go},
      [this](events::Event event) { queue_->push(std::move(event)); });
  sink_thread_ = std::thread([this] { run_sink(); });
  sampler_thread_ = std::thread([this] { run_sampler(); });
  intake_thread_ = std::thread([this] { run_intake(); });
  return {};
}

Status Session::command(std::function<Status()> work) {
  auto done = std::make_shared<std::promise<Status>>();
  std::future<Status> result = done->get_future();
  {
    const std::lock_guard lock(mutex_);
    if (!running_ || sampler_done_ || stop_why_)
      return Error(ErrorCode::kUsage, "the recording does not run");
    commands_.push_back([done, work = std::move(work)](bool run) {
      done->set_value(run ? work() : Status(Error(ErrorCode::kConflict, "the recording ended meanwhile")));
    });
  }
  sampler_wake_.notify_one();
  return result.get();
}

Status Session::add(Pid tgid) {
  return command([this, tgid]() -> Status {
    const auto space = sampler_->add(tgid);
    if (!space) return space.error();
    return {};
  });
}

Status Session::remove(Pid tgid) {
  return command([this, tgid] { return sampler_->remove(tgid); });
}

void Session::attached() {
  {
    const std::lock_guard lock(mutex_);
    if (!running_ || sampler_done_) return;
    commands_.push_back([this](bool run) {
      if (!run) return;
      const std::lock_guard in_command(mutex_);
      attached_at_ = clock_.now();
    });
  }
  sampler_wake_.notify_one();
}

void Session::request_restate() {
  {
    const std::lock_guard lock(mutex_);
    if (!running_ || sampler_done_) return;
    commands_.push_back([this](bool run) {
      if (run) sampler_->restate();
    });
  }
  sampler_wake_.notify_one();
}

void Session::request_stop(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (!running_ || stop_why_) return;
  stop_why_ = why;
  sampler_wake_.notify_all();
  ended_.notify_all();
}

std::optional<std::string> Session::wait(TimeNs timeout) {
  std::unique_lock lock(mutex_);
  const TimeNs deadline = clock_.now() + timeout;
  while (running_ && !stop_why_ && clock_.now() < deadline) clock_.wait(lock, ended_, deadline);
  return running_ ? stop_why_ : std::optional<std::string>("stopped");
}

std::string Session::finish() {
  {
    const std::lock_guard lock(mutex_);
    if (!running_) return stop_why_.value_or("stopped");
  }
  request_stop("stopped");
  sampler_thread_.join();  // its last scans are done
  {
    const std::lock_guard lock(mutex_);
    intake_stop_ = true;
    intake_wake_.notify_all();
  }
  intake_thread_.join();  // the ring is empty up to here
  // Nobody else touches the sampler or its inbox any more.
  for (const events::Event& event : inbox_) sampler_->handle(event);
  inbox_.clear();
  inbox_bytes_ = 0;
  sampler_->release();
  std::string why = *stop_why_;
  queue_->push({clock_.now(), events::RecordingEnd{why}});
  queue_->close();
  sink_thread_.join();
  sampler_.reset();
  intake_.reset();
  queue_.reset();
  const std::lock_guard lock(mutex_);
  running_ = false;
  return why;
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
  intake_->finish();
}

void Session::run_sampler() {
  while (sampler_step()) {
  }
  sampler_->finish();
  snapshot();
  const std::lock_guard lock(mutex_);
  sampler_done_ = true;
  for (Command& command : commands_) command(false);
  commands_.clear();
}

// Waits for something to do and does it; false: the recording is to end.
bool Session::sampler_step() {
  if (options_.end_alone && attached_at_ && sampler_->deserted()) request_stop("target_exited");
  const TimeNs end = options_.duration && attached_at_ ? *attached_at_ + *options_.duration
                                                       : std::numeric_limits<TimeNs>::max();
  std::deque<events::Event> inbox;
  std::deque<Command> commands;
  {
    const TimeNs due = std::min(sampler_->next_due(), end);
    std::unique_lock lock(mutex_);
    while (!stop_why_ && inbox_.empty() && commands_.empty() && clock_.now() < due) {
      clock_.wait(lock, sampler_wake_, std::min(due, clock_.now() + kIdleWait));
    }
    inbox.swap(inbox_);
    inbox_bytes_ = 0;
    commands.swap(commands_);
    sampler_->set_table_fill(table_fill_);
  }
  for (const events::Event& event : inbox) sampler_->handle(event);
  for (Command& command : commands) command(true);
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
  progress_.costs = sampler_->costs();
}

void Session::run_sink() {
  Lives lives(sink_);
  std::vector<events::Event> batch;
  while (queue_->wait_and_take(clock_, batch)) {
    for (events::Event& event : batch) lives.pass(std::move(event));
    queue_->done();
  }
}

}  // namespace memwhy::record
