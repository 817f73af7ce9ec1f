// SPDX-License-Identifier: Apache-2.0
#include "app/agent_closers.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "app/cpu_time.h"
#include "base/time.h"
#include "files/spawn.h"

namespace memwhy::app {
namespace {

constexpr size_t kLongestText = size_t{4} << 20;

ErrorCode code_of_status(int status) {
  if (!WIFEXITED(status)) return ErrorCode::kInternal;
  switch (WEXITSTATUS(status)) {
    case 5:
      return ErrorCode::kEnvironment;
    case 6:
      return ErrorCode::kBadInput;
    case 7:
      return ErrorCode::kOutput;
    default:
      return ErrorCode::kInternal;
  }
}

}  // namespace

Closers::~Closers() { kill_running(); }

void Closers::kill_running() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  if (running_ && running_->output != "-") ::unlink(running_->output.c_str());
  pid_ = -1;
  output_.reset();
  running_.reset();
}

void Closers::drop_looks() {
  std::erase_if(waiting_, [](const ClosingJob& each) { return !each.firing; });
  if (running_ && !running_->firing) kill_running();
}

void Closers::add(ClosingJob job) {
  const bool first = job.firing.has_value();
  const auto behind = std::find_if(waiting_.begin(), waiting_.end(),
                                   [&](const ClosingJob& each) { return first && !each.firing; });
  waiting_.insert(behind, std::move(job));
}

void Closers::start(TimeNs now) {
  running_ = std::move(waiting_.front());
  waiting_.pop_front();
  text_.clear();
  started_ = now;
  std::array<int, 2> pipe{};
  const Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!nothing || ::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) return;
  output_ = Fd(pipe[0]);
  const Fd theirs(pipe[1]);
  ::fcntl(theirs.get(), F_SETFL, 0);
  std::vector<std::string> words = {"/proc/self/exe", kCloserWord, running_->why,
                                    std::to_string(running_->firing ? running_->firing->pid : 0),
                                    running_->output};
  words.insert(words.end(), running_->parts.begin(), running_->parts.end());
  const Result<pid_t> pid = files::spawn_program(std::move(words), {}, nothing, theirs);
  if (pid) pid_ = *pid;
}

uint64_t Closers::running_cpu_ns() const {
  clockid_t clock{};
  return pid_ >= 0 && ::clock_getcpuclockid(pid_, &clock) == 0 ? clock_ns(clock) : 0;
}

void Closers::read_output() {
  std::array<char, 65536> buffer;
  for (ssize_t n = 0; (n = ::read(output_.get(), buffer.data(), buffer.size())) > 0;)
    if (text_.size() < kLongestText) text_.append(buffer.data(), static_cast<size_t>(n));
}

std::optional<ClosedJob> Closers::poll(TimeNs now) {
  if (!running_ && !waiting_.empty()) start(now);
  if (!running_) return std::nullopt;
  int status = 0;
  rusage used{};
  Result<UnitAnswer> answer = Error(ErrorCode::kEnvironment, "no process could be started to close a ring");
  if (pid_ >= 0) {
    read_output();
    if (now > started_ + kPatience) ::kill(pid_, SIGKILL);
    if (::wait4(pid_, &status, WNOHANG, &used) != pid_) return std::nullopt;
    read_output();
    pid_ = -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
      answer = decode_answer(text_);
    else if (WIFEXITED(status))
      answer = Error(code_of_status(status), text_);
    else
      answer = Error(ErrorCode::kInternal, "the process that closes a ring was ended by signal " +
                                               std::to_string(WTERMSIG(status)));
  }
  output_.reset();
  ClosedJob closed{std::move(*running_), std::move(answer), cpu_ns(used)};
  running_.reset();
  if (!closed.answer && closed.job.output != "-") ::unlink(closed.job.output.c_str());
  return closed;
}

}  // namespace memwhy::app
