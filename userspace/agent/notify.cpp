// SPDX-License-Identifier: Apache-2.0
#include "agent/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace memwhy::agent {
namespace {

// "" where it is not set; and no longer set for whatever is started.
std::string taken(const char* name) {
  const char* const value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

}  // namespace

Notify::Notify() : address_(taken("NOTIFY_SOCKET")) {
  const std::string every = taken("WATCHDOG_USEC"), whose = taken("WATCHDOG_PID");
  if (address_.empty() || address_.size() >= sizeof(sockaddr_un::sun_path)) return;
  if (address_.front() == '@') address_.front() = '\0';  // the abstract name space
  socket_ = Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  uint64_t us = 0;
  std::from_chars(every.data(), every.data() + every.size(), us);
  // Half of it, as its manual page recommends.
  if (whose.empty() || whose == std::to_string(::getpid())) watchdog_ = std::chrono::microseconds(us / 2);
}

void Notify::send(std::string_view state) const {
  if (!socket_) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  static_cast<void>(::sendto(socket_.get(), state.data(), state.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&to), length));
}

}  // namespace memwhy::agent
