// SPDX-License-Identifier: Apache-2.0
#include "child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <utility>

namespace memwhy::bench {

namespace {

constexpr int kAnswerMs = 60'000;

[[noreturn]] void become(const std::vector<std::string>& command, const ChildOptions& options, int in,
                         int out) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!options.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : options.cpus) CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  if (options.fifo) {
    const sched_param lowest{.sched_priority = 1};
    sched_setscheduler(0, SCHED_FIFO, &lowest);  // not allowed: the run goes on, with more noise
  }
  dup2(in, STDIN_FILENO);
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  dup2(options.quiet ? nowhere : out, STDOUT_FILENO);
  if (options.quiet) dup2(nowhere, STDERR_FILENO);
  if (options.before_exec && !options.before_exec()) _exit(126);
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace

Result<Child> Child::start(const std::vector<std::string>& command, const ChildOptions& options) {
  std::array<int, 2> to{}, from{};
  if (pipe2(to.data(), O_CLOEXEC) != 0) return errno_error(ErrorCode::kEnvironment, "pipe", errno);
  const Fd to_read(to[0]);
  Fd to_write(to[1]);
  if (pipe2(from.data(), O_CLOEXEC) != 0) return errno_error(ErrorCode::kEnvironment, "pipe", errno);
  Fd from_read(from[0]);
  const Fd from_write(from[1]);
  const pid_t pid = fork();
  if (pid < 0) return errno_error(ErrorCode::kEnvironment, "fork", errno);
  if (pid == 0) become(command, options, to_read.get(), from_write.get());
  Child child;
  child.pid_ = pid;
  child.in_ = std::move(to_write);
  child.out_ = std::move(from_read);
  return child;
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      in_(std::move(other.in_)),
      out_(std::move(other.out_)),
      pending_(std::move(other.pending_)) {}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool Child::running() {
  siginfo_t info{};
  return pid_ > 0 && waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

Status Child::stop(int signal, int patience_ms) {
  kill(pid_, signal);
  for (int waited = 0; running(); waited += 10) {
    if (waited >= patience_ms) {
      kill(pid_, SIGKILL);
      waitpid(std::exchange(pid_, -1), nullptr, 0);
      return Error(ErrorCode::kEnvironment, "did not end when asked to");
    }
    poll(nullptr, 0, 10);
  }
  waitpid(std::exchange(pid_, -1), nullptr, 0);
  return {};
}

Status Child::wait(int& status) {
  if (waitpid(pid_, &status, 0) != pid_) return errno_error(ErrorCode::kTargetGone, "waitpid", errno);
  pid_ = -1;
  return {};
}

Result<std::string> Child::ask(const std::string& line) {
  const std::string request = line + '\n';
  if (write(in_.get(), request.data(), request.size()) != static_cast<ssize_t>(request.size()))
    return errno_error(ErrorCode::kTargetGone, "asking the child", errno);
  size_t end = 0;
  while ((end = pending_.find('\n')) == std::string::npos) {
    pollfd waiting{.fd = out_.get(), .events = POLLIN, .revents = 0};
    std::array<char, 4096> chunk{};
    const ssize_t got = poll(&waiting, 1, kAnswerMs) == 1 ? read(out_.get(), chunk.data(), chunk.size()) : -1;
    if (got <= 0) return Error(ErrorCode::kTargetGone, "the child does not answer");
    pending_.append(chunk.data(), static_cast<size_t>(got));
  }
  std::string answer = pending_.substr(0, end);
  pending_.erase(0, end + 1);
  return answer;
}

Result<Target> Target::start(const std::string& program, int cpu) {
  Result<Child> child =
      Child::start({program}, {.cpus = {cpu}, .fifo = true, .before_exec = {}, .quiet = false});
  if (!child) return std::move(child).error().with(program);
  return Target(std::move(*child));
}

Result<std::vector<double>> Target::touch(const std::string& scenario, const std::string& access,
                                          int passes) {
  Result<std::string> answer = child_.ask(fmt::format("{} {} {}", scenario, access, passes));
  if (!answer) return std::move(answer).error();
  std::vector<double> values;
  const char* at = answer->data();
  const char* last = at + answer->size();
  while (at < last) {
    double value = 0;
    const auto [next, failure] = std::from_chars(at, last, value);
    if (failure != std::errc{}) break;
    values.push_back(value);
    at = next;
    while (at < last && *at == ' ') ++at;
  }
  if (values.size() != static_cast<size_t>(passes))
    return Error(ErrorCode::kTargetGone, "the target's answer is cut");
  return values;
}

}  // namespace memwhy::bench
