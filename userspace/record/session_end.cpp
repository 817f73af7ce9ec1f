// SPDX-License-Identifier: Apache-2.0
// How a Session ends: on request, out of patience with a thread, or by an exception of a thread. How it runs: session.cpp.
#include <algorithm>
#include <exception>
#include <new>
#include <system_error>

#include "record/session.h"

namespace memwhy::record {
namespace {

constexpr TimeNs kIntakeTakes = 250'000'000;  // for what the ring still holds, when time is up

}  // namespace

void Session::guard(const std::function<void()>& work) noexcept {
  try {
    work();
  } catch (const std::bad_alloc&) {
    fail(Failed::kMemory, "");
  } catch (const std::system_error& error) {
    fail(Failed::kThreads, error.what());
  } catch (const std::exception& bug) {
    fail(Failed::kBug, bug.what());
  } catch (...) {
    fail(Failed::kBug, "an exception of no known kind");
  }
}

// Allocates no memory when there is none: the words are short enough to be kept in place.
void Session::fail(Failed how, const char* what) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (failed_ == Failed::kNo) failed_ = how;
    try {
      if (bug_.empty()) bug_ = what;
    } catch (const std::bad_alloc&) {
      bug_.clear();
    }
  }
  request_stop(how == Failed::kMemory ? "out_of_memory" : "failed");
}

std::optional<Error> Session::failure() const {
  const std::lock_guard lock(mutex_);
  switch (failed_) {
    case Failed::kNo:
      return std::nullopt;
    case Failed::kMemory:
      return Error(ErrorCode::kEnvironment,
                   "memwhy was given no more memory (a limit of its own, or the machine has none left); the "
                   "recording ends "
                   "where that happened");
    case Failed::kThreads:
      return Error(ErrorCode::kEnvironment, "memwhy cannot start a thread: " + bug_);
    case Failed::kBug:
      break;
  }
  return Error(ErrorCode::kInternal, "a bug in memwhy ended the recording: " + bug_ + "; please report it");
}

bool Session::wait_for(const bool& done, TimeNs until) {
  std::unique_lock lock(mutex_);
  while (!done && clock_.now() < until) clock_.wait(lock, done_, std::min(until, clock_.now() + kIdleWait));
  return done;
}

// A machine that gives the sampler no CPU is no target that holds it up: that time does not count, up to a point.
bool Session::out_of_patience(TimeNs patience) {
  constexpr TimeNs kAtMost = 8;
  if (patience_ == kEndless) return false;
  const TimeNs took = clock_.now() - finishing_at_;
  if (took < patience) return false;
  return took >= kAtMost * patience || took >= patience + clock_.starved_ns(sampler_id_) - starved_before_;
}

bool Session::wait_for_sampler() {
  if (patience_ == kEndless) return wait_for(sampler_done_, kEndless);
  while (!wait_for(sampler_done_, clock_.now() + patience_ / 8))
    if (out_of_patience(patience_)) return false;
  return true;
}

std::string Session::finish(TimeNs patience) {
  {
    const std::lock_guard lock(mutex_);
    if (!running_) return stop_why_.value_or("stopped");
  }
  request_stop("stopped");
  finishing_at_ = clock_.now();
  starved_before_ = clock_.starved_ns(sampler_id_);
  patience_ = patience;
  if (!sampler_thread_.joinable()) run_sampler();  // it could not be started
  const bool sampled = wait_for_sampler();
  {
    const std::lock_guard lock(mutex_);
    intake_stop_ = true;
    intake_wake_.notify_all();
  }
  if (!intake_thread_.joinable()) run_intake();
  const bool drained = wait_for(intake_done_, patience == kEndless ? kEndless : clock_.now() + kIntakeTakes);
  abandoned_ = !sampled || !drained;
  if (sampled && sampler_thread_.joinable()) sampler_thread_.join();  // its last scans are done
  if (drained && intake_thread_.joinable()) intake_thread_.join();    // the ring is empty up to here
  guard([&] { abandoned_ ? tell_unfinished() : take_the_rest(); });
  std::string why;
  {
    const std::lock_guard lock(mutex_);
    why = *stop_why_;
  }
  if (queue_) {
    guard([&] { queue_->close({clock_.now(), events::RecordingEnd{why}}); });
    queue_->close();
  }
  if (sink_thread_.joinable()) sink_thread_.join();
  guard([this] { refuse_sink_calls(); });  // where its thread could not be started
  if (!abandoned_) {
    sampler_.reset();
    intake_.reset();
    queue_.reset();
  }
  const std::lock_guard lock(mutex_);
  running_ = false;
  return why;
}

// No other thread touches the sampler or its inbox any more.
void Session::take_the_rest() {
  if (!sampler_) return;
  if (failed_ == Failed::kNo) {
    for (const events::Event& event : inbox_) sampler_->handle(event);
    sampler_->finish_new();
  }
  inbox_.clear();
  inbox_bytes_ = 0;
  sampler_->release();
}

void Session::tell_unfinished() {
  events::HookReport report;
  {
    const std::lock_guard lock(mutex_);
    report = told_hooks_.value_or(report);
  }
  report.notices.emplace_back(
      "The last look at the processes was not finished, because reading one of them took too long when the "
      "recording had to "
      "end: what they had at the end is as of the look before.");
  static_cast<void>(queue_->try_push({clock_.now(), std::move(report)}));
}

}  // namespace memwhy::record
