// SPDX-License-Identifier: Apache-2.0
#include "agent/deadlines.h"

#include <sys/socket.h>

#include <algorithm>

namespace memwhy::agent {

Deadlines::Deadlines() : thread_([this] { run(); }) {}

Deadlines::~Deadlines() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Deadlines::set(int socket, std::chrono::milliseconds within) {
  const std::lock_guard lock(mutex_);
  until_[socket] = Clock::now() + within;
  changed_.notify_one();
}

void Deadlines::remove(int socket) {
  const std::lock_guard lock(mutex_);
  until_.erase(socket);
}

void Deadlines::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const Clock::time_point now = Clock::now();
    Clock::time_point next = now + std::chrono::hours(1);
    std::erase_if(until_, [&](const auto& each) {
      if (each.second <= now) return ::shutdown(each.first, SHUT_RDWR), true;
      next = std::min(next, each.second);
      return false;
    });
    changed_.wait_until(lock, next);
  }
}

}  // namespace memwhy::agent
