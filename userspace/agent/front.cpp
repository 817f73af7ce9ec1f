// SPDX-License-Identifier: Apache-2.0
#include "agent/front.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <thread>

#include "agent/asking.h"
#include "agent/http.h"
#include "base/exit_status.h"

namespace memwhy::agent {
namespace {

constexpr std::chrono::seconds kAgentAnswersLine{30};
constexpr size_t kLongestLine = 100;
constexpr std::string_view kNone = "none";

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return Error(ErrorCode::kUsage,
                 "the path of a socket is at most 107 bytes long, and this is not: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* plain(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

// A socket that is left over from an agent that was killed makes room; one that somebody answers on does not.
Result<Fd> listen_at(const std::string& path) {
  const Result<sockaddr_un> address = unix_address(path);
  if (!address) return address.error();
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(listener.get(), plain(*address), sizeof *address) == 0)
    return Error(ErrorCode::kConflict, "another agent listens on " + path);
  listener = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct stat is {};
  if (::lstat(path.c_str(), &is) == 0 && S_ISSOCK(is.st_mode)) ::unlink(path.c_str());
  const mode_t before = ::umask(0117);
  const bool bound = ::bind(listener.get(), plain(*address), sizeof *address) == 0;
  const int error = errno;
  ::umask(before);
  if (!bound) return errno_error(ErrorCode::kOutput, "can't listen on " + path, error);
  if (::listen(listener.get(), 16) != 0)
    return errno_error(ErrorCode::kOutput, "can't listen on " + path, errno);
  return listener;
}

bool is_allowed(const Fd& peer) {
  ucred who{};
  socklen_t size = sizeof who;
  return ::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 &&
         (who.uid == 0 || who.uid == ::geteuid());
}

void patient_for(const Fd& peer, int seconds) {
  const timeval patience{seconds, 0};
  ::setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(peer.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

std::string read_line(const Fd& peer) {
  std::string line;
  char c = 0;
  while (line.size() < kLongestLine && ::read(peer.get(), &c, 1) == 1 && c != '\n') line += c;
  return line;
}

void write_all(const Fd& peer, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (put <= 0) return;
    text.remove_prefix(static_cast<size_t>(put));
  }
}

std::string reply_to(const std::string& line, Asking& asking) {
  const size_t space = line.find(' ');
  const std::string_view word = std::string_view(line).substr(0, space);
  int32_t number = 0;
  if (space != std::string::npos) std::from_chars(line.data() + space + 1, line.data() + line.size(), number);
  Ask what = Ask::kNothing;
  if (word == "status") what = Ask::kStatus;
  if (word == "top") what = Ask::kTop;
  if (word == "recordings") what = Ask::kRecordings;
  if (word == "trigger") what = Ask::kTrigger;
  if (word == "stop") what = Ask::kStop;
  if (what == Ask::kNothing) return "2 status, top, recordings, trigger PID or stop\n";
  const auto told = asking.ask({0, what, number, 0}, kAgentAnswersLine);
  if (!told) return "3 the agent does not answer\n";
  return std::to_string(told->first) + " " + told->second;
}

void serve_lines(const Fd& listener, Asking& asking) {
  while (true) {
    const Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer) {
      if (errno != EINTR && errno != ECONNABORTED)
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      continue;
    }
    patient_for(peer, 2);
    write_all(peer, is_allowed(peer) ? reply_to(read_line(peer), asking)
                                     : "5 this agent answers root and its own user alone\n");
  }
}

}  // namespace

Result<Address> parse_address(const std::string& text) {
  const size_t colon = text.rfind(':');
  Address address;
  if (colon != std::string::npos && colon + 1 < text.size()) {
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    address.host = text.substr(0, colon);
    if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']')
      address.host = address.host.substr(1, address.host.size() - 2);
    if (error == std::errc{} && at == end && address.port != 0 && !address.host.empty()) return address;
  }
  return Error(ErrorCode::kUsage, text + " is not an address; write 127.0.0.1:9435 or [::1]:9435, or none");
}

std::string encode(const FrontOptions& options) {
  return options.listen + '\n' + options.socket + '\n' + options.folder + '\n' + options.token + '\n';
}

FrontOptions decode(const std::string& text) {
  FrontOptions options;
  size_t from = 0;
  for (std::string* field : {&options.listen, &options.socket, &options.folder, &options.token}) {
    const size_t end = text.find('\n', from);
    if (end == std::string::npos) break;
    *field = text.substr(from, end - from);
    from = end + 1;
  }
  return options;
}

Status serve(const FrontOptions& options, const Fd& channel, const std::function<void()>& ready) {
  Asking asking(channel);
  std::unique_ptr<Http> http;
  Fd lines;
  if (options.socket != kNone) {
    Result<Fd> listener = listen_at(options.socket);
    if (!listener) return std::move(listener).error();
    lines = std::move(*listener);
  }
  if (options.listen != kNone) {
    Result<std::unique_ptr<Http>> started =
        Http::start({options.listen, options.folder, options.token}, asking);
    if (!started) return std::move(started).error();
    http = std::move(*started);
  }
  ready();
  // The thread ends with the process, which has nothing to put in order.
  if (lines) std::thread([&] { serve_lines(lines, asking); }).detach();
  asking.run();
  if (options.socket != kNone) ::unlink(options.socket.c_str());
  ::_exit(0);
}

Result<Reply> ask_agent(const std::string& socket, const std::string& line) {
  const Result<sockaddr_un> address = unix_address(socket);
  if (!address) return address.error();
  const Fd agent(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(agent.get(), plain(*address), sizeof *address) != 0) {
    if (errno == EACCES) return errno_error(ErrorCode::kEnvironment, "asking the agent on " + socket, errno);
    return Error(ErrorCode::kTargetGone,
                 "no agent listens on " + socket + "; memwhy agent starts one, --socket names another place");
  }
  patient_for(agent, 40);
  write_all(agent, line + '\n');
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0;
       (n = ::read(agent.get(), buffer.data(), buffer.size())) > 0 && text.size() < kLongestAnswer;)
    text.append(buffer.data(), static_cast<size_t>(n));
  Reply reply;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), reply.status);
  if (error != std::errc{} || at == text.data() + text.size() || *at != ' ')
    return Error(ErrorCode::kConflict, "the agent on " + socket + " ended before it answered");
  reply.text = text.substr(static_cast<size_t>(at - text.data()) + 1);
  return reply;
}

}  // namespace memwhy::agent
