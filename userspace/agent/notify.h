// SPDX-License-Identifier: Apache-2.0
// Notify: what a service manager is told (sd_notify(3)): that the agent is ready, lives, reloads, stops. A datagram to the socket
// that NOTIFY_SOCKET names; nothing happens where there is none.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace memwhy::agent {

class Notify {
 public:
  // From the environment, which is cleared of it: children do not speak for the agent.
  Notify();
  // "READY=1\nSTATUS=…". What cannot be sent is lost.
  void send(std::string_view state) const;
  // How often WATCHDOG=1 is to be sent; 0: never.
  std::chrono::nanoseconds watchdog() const { return watchdog_; }

 private:
  Fd socket_;
  std::string address_;
  std::chrono::nanoseconds watchdog_{0};
};

}  // namespace memwhy::agent
