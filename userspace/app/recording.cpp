// SPDX-License-Identifier: Apache-2.0
#include "app/recording.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace memwhy::app {
namespace {

// A target may block its reader for as long as it likes: once the recording is to end, an attach in progress is waited for so
// long.
constexpr std::chrono::milliseconds kAttachPatience{500};
constexpr size_t kNamed = 3;            // of those that cannot be recorded
constexpr size_t kJoiningAtMost = 256;  // that are being attached while others are recorded

}  // namespace

bool is_ready(const std::future<Status>& future) {
  return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

Result<std::vector<Pid>> Recording::choose(const procfs::Root& proc, const procfs::Wanted& wanted) {
  Result<std::vector<Pid>> found = procfs::find_processes(proc, wanted);
  if (!found) return std::move(found).error();
  std::vector<Pid> pids;
  std::optional<Error> refusal;  // of one of many
  for (const Pid pid : *found) {
    Status fit = procfs::check_process(proc, pid);
    if (!fit && !wanted.open_ended()) return fit.error();
    if (fit)
      pids.push_back(pid);
    else if (fit.error().code() != ErrorCode::kTargetGone)
      refusal = std::move(fit).error();
  }
  if (pids.empty() && refusal) return *std::move(refusal);
  return pids;
}

Status Recording::attach(const std::vector<Pid>& pids) {
  for (const Pid pid : pids) {
    // Checked between any two, so that the first signal ends a long attach.
    if (audience_.stopped() && !known_.empty()) break;
    const std::string name = procfs::name_of(proc_, pid);
    const std::optional<Status> added = add(pid);
    if (added && !*added) {
      if (!wanted_.open_ended()) return *added;
      refuse(pid, name, added->error());
      continue;
    }
    known_.insert(pid);
    if (first_.empty()) first_ = name;
    if (!added) break;  // it holds us up, and the recording is to end: what is known of it until now is kept
  }
  if (known_.empty() && refusal_) return *refusal_;
  if (known_.empty()) {
    return Error(ErrorCode::kTargetGone, fmt::format("every process of {} exited while memwhy attached",
                                                     fmt::join(wanted_.described(), ", ")));
  }
  if (Status released = audience_.before_start(); !released) return released;
  session_.attached();
  if (audience_.stopped()) session_.request_stop("stopped");
  say_refused();
  return {};
}

// Waits for it, and for the audience. nullopt: that wants the end, and the attaching does not come to one.
std::optional<Status> Recording::add(Pid pid) {
  std::future<Status> added = session_.begin_add(pid);
  while (!is_ready(added)) {
    if (!audience_.stopped()) {
      if (added.wait_for(std::chrono::milliseconds(200)) == std::future_status::ready) break;
      continue;
    }
    session_.request_stop("stopped");
    if (added.wait_for(kAttachPatience) != std::future_status::ready) return std::nullopt;
  }
  return added.get();
}

// Of many processes by name some are always just leaving; anything else is reported, and tried again.
void Recording::refuse(Pid pid, const std::string& name, const Error& error) {
  if (error.code() == ErrorCode::kTargetGone || !refused_.insert(pid).second) return;
  if (unsaid_.size() < kNamed) unsaid_.push_back(name);
  ++unsaid_count_;
  refusal_ = error;
}

void Recording::say_refused() {
  if (unsaid_count_ == 0) return;
  const std::string more =
      unsaid_count_ > unsaid_.size() ? fmt::format(" and {} more", unsaid_count_ - unsaid_.size()) : "";
  const std::string sentence =
      fmt::format("not recorded: {}{}: {}", fmt::join(unsaid_, ", "), more, refusal_->message());
  audience_.refused(sentence + "; tried again each second");
  session_.notice("N" + sentence.substr(1) + "; those that could be recorded later have no beginning.");
  unsaid_.clear();
  unsaid_count_ = 0;
}

void Recording::wait() {
  std::chrono::nanoseconds next_search{std::chrono::seconds(1)};
  while (!session_.wait(0)) {
    if (audience_.glance()) session_.request_stop("stopped");
    const record::Progress now = session_.progress();
    const std::chrono::nanoseconds elapsed(now.elapsed_ns);
    if (wanted_.open_ended() && elapsed >= next_search) {
      invite_newcomers();
      next_search = elapsed + std::chrono::seconds(1);
    }
    welcome_newcomers();
    audience_.progress(now);
  }
}

void Recording::invite_newcomers() {
  const Result<std::vector<Pid>> found = procfs::find_processes(proc_, wanted_);
  if (!found) return;
  const std::set<Pid> there(found->begin(), found->end());
  std::erase_if(known_, [&](Pid pid) { return !there.contains(pid); });  // their numbers may come again
  std::erase_if(refused_, [&](Pid pid) { return !there.contains(pid); });
  for (const Pid pid : there) {
    if (joining_.size() >= kJoiningAtMost) break;
    if (known_.contains(pid) || joining_.contains(pid)) continue;
    if (Status fit = procfs::check_process(proc_, pid); fit)
      joining_.emplace(pid, session_.begin_add(pid));
    else if (fit.error().code() == ErrorCode::kUsage)
      known_.insert(pid);  // never
    else
      refuse(pid, procfs::name_of(proc_, pid), fit.error());
  }
  say_refused();
}

void Recording::welcome_newcomers() {
  for (auto joining = joining_.begin(); joining != joining_.end();) {
    if (!is_ready(joining->second)) {
      ++joining;
      continue;
    }
    const Pid pid = joining->first;
    const Status added = joining->second.get();
    joining = joining_.erase(joining);
    if (!added) {
      if (!audience_.stopped()) refuse(pid, procfs::name_of(proc_, pid), added.error());
      continue;
    }
    known_.insert(pid);
    refused_.erase(pid);
    audience_.joined(procfs::name_of(proc_, pid));
  }
}

}  // namespace memwhy::app
