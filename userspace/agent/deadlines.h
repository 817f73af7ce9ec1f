// SPDX-License-Identifier: Apache-2.0
// Deadlines: until when each connection of the front has to be done, whatever it sends until then: a byte now and then is no silence,
// and the limit on silence never ends it.
//
//   accepted            10 s for the head of the request
//   the head is there   10 min for the answer
//   later               the socket is shut down; who serves it closes it
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

namespace memwhy::agent {

class Deadlines {
 public:
  Deadlines();
  ~Deadlines();
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  // From now on. The socket is open until it is taken out again.
  void set(int socket, std::chrono::milliseconds within);
  void remove(int socket);

 private:
  using Clock = std::chrono::steady_clock;
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, Clock::time_point> until_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace memwhy::agent
