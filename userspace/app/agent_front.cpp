// SPDX-License-Identifier: Apache-2.0
#include "app/agent_front.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>

#include "app/privilege.h"
#include "app/signals.h"
#include "app/terminal.h"
#include "base/exit_status.h"
#include "base/time.h"
#include "files/child.h"

namespace memwhy::app {
namespace {

constexpr int kStartsWithin = 10'000;  // ms
constexpr TimeNs kAgainAfter = 5 * kNsPerSecond;
constexpr std::string_view kReady = "ready\n";

// Up to the end of a line.
std::string line_from(const Fd& socket) {
  std::string line;
  std::array<char, 4096> buffer{};
  while (!line.ends_with('\n')) {
    pollfd ready{socket.get(), POLLIN, 0};
    if (::poll(&ready, 1, kStartsWithin) <= 0) break;
    const ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (n <= 0) break;
    line.append(buffer.data(), static_cast<size_t>(n));
  }
  return line;
}

void send_text(const Fd& socket, std::string_view text) {
  static_cast<void>(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL));
}

// "8 can't listen on …": as the front says what failed.
Error error_of(const std::string& line) {
  int status = 0;
  const auto [at, error] = std::from_chars(line.data(), line.data() + line.size(), status);
  if (error != std::errc{} || line.empty())
    return {ErrorCode::kInternal, "the process that listens for the agent ended at once"};
  const std::string text(at + 1, line.size() - static_cast<size_t>(at + 1 - line.data()) - 1);
  for (const ErrorCode code : {ErrorCode::kConflict, ErrorCode::kUsage, ErrorCode::kOutput})
    if (exit_status(code) == status) return {code, text};
  return {ErrorCode::kEnvironment, text};
}

}  // namespace

Result<FrontProcess> FrontProcess::start(agent::FrontOptions options) {
  FrontProcess front;
  front.options_ = std::move(options);
  if (Status spawned = front.spawn(); !spawned) return spawned.error();
  return front;
}

FrontProcess::~FrontProcess() {
  if (child_.pid < 0 || !channel_) return;
  channel_.reset();  // it ends
  child_.socket.reset();
  ::waitpid(child_.pid, nullptr, 0);
}

Status FrontProcess::spawn() {
  Result<agent::ChannelPair> channel = agent::make_channel();
  if (!channel) return std::move(channel).error();
  Result<files::Child> child = files::spawn("/proc/self/exe", kFrontWord, channel->front);
  if (!child) return std::move(child).error();
  send_text(child->socket, agent::encode(options_));
  const std::string line = line_from(child->socket);
  child_ = std::move(*child);
  if (line != kReady) {
    ::kill(child_.pid, SIGKILL);
    ::waitpid(child_.pid, nullptr, 0);
    child_ = {};
    return error_of(line);
  }
  channel_ = std::move(channel->agent);
  return {};
}

std::optional<agent::Question> FrontProcess::take(TimeNs now) {
  if (channel_) {
    bool closed = false;
    std::optional<agent::Question> question = agent::take_question(channel_, closed);
    if (!closed) return question;
    ::kill(child_.pid, SIGKILL);
    ::waitpid(child_.pid, nullptr, 0);
    child_ = {};
    channel_.reset();
    again_at_ = now + kAgainAfter;
    warn("the process that listens for the agent has ended; it is started again in 5 s");
  }
  if (now < again_at_) return std::nullopt;
  again_at_ = now + kAgainAfter;
  if (Status spawned = spawn(); !spawned) warn(spawned.error().message());
  return std::nullopt;
}

void FrontProcess::answer(const agent::Question& question, uint32_t status, std::string_view text) const {
  if (channel_) agent::send_answer(channel_, {question.id, status, 0}, text);
}

int run_front() {
  const Fd socket(files::kRequests), channel(files::kHandover);
  // Ports from 1024 on and sockets in folders of its own take none.
  if (Status kept = keep_only(0); !kept) return 1;
  ignore_write_signals();
  std::string text;
  std::array<char, 8192> buffer{};
  const ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
  if (n > 0) text.assign(buffer.data(), static_cast<size_t>(n));
  const Status served = agent::serve(agent::decode(text), channel, [&] { send_text(socket, kReady); });
  if (!served)
    send_text(socket,
              std::to_string(exit_status(served.error().code())) + " " + served.error().message() + "\n");
  return served ? 0 : 1;
}

}  // namespace memwhy::app
