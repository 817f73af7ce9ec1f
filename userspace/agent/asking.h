// SPDX-License-Identifier: Apache-2.0
// Asking: the front's side of the channel for several threads at once: each waits for its own answer.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "agent/channel.h"

namespace memwhy::agent {

class Asking {
 public:
  explicit Asking(const Fd& channel) : channel_(channel) {}

  // nullopt: the agent did not answer in time.
  std::optional<std::pair<uint32_t, std::string>> ask(Question question, std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    question.id = ++last_;
    answers_[question.id];
    std::optional<std::pair<uint32_t, std::string>> answer;
    if (send_question(channel_, question)) {
      came_.wait_for(lock, patience, [&] { return answers_[question.id].has_value() || closed_; });
      answer = std::move(answers_[question.id]);
    }
    answers_.erase(question.id);
    return answer;
  }

  // Passes answers on until the agent is gone.
  void run() {
    while (auto taken = take_answer(channel_)) {
      const std::lock_guard lock(mutex_);
      const auto waiting = answers_.find(taken->first.id);
      if (waiting == answers_.end()) continue;  // too late
      waiting->second = std::pair(taken->first.status, std::move(taken->second));
      came_.notify_all();
    }
    const std::lock_guard lock(mutex_);
    closed_ = true;
    came_.notify_all();
  }

 private:
  const Fd& channel_;
  std::mutex mutex_;
  std::condition_variable came_;
  uint64_t last_ = 0;
  bool closed_ = false;
  std::map<uint64_t, std::optional<std::pair<uint32_t, std::string>>> answers_;
};

}  // namespace memwhy::agent
