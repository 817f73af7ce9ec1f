// SPDX-License-Identifier: Apache-2.0
#include "app/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace memwhy::app {
namespace {

struct Pipe {
  Fd read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return errno_error(ErrorCode::kEnvironment, "starting the command", errno);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

}  // namespace

Result<Child> Child::start(const std::vector<std::string>& command, const StopSignals& signals) {
  std::vector<char*> arguments;  // made before fork: afterwards only async-signal-safe calls
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);

  Result<Pipe> go = make_pipe();
  if (!go) return std::move(go).error();
  Result<Pipe> failed = make_pipe();
  if (!failed) return std::move(failed).error();

  const pid_t pid = ::fork();
  if (pid < 0) return errno_error(ErrorCode::kEnvironment, "starting the command", errno);
  if (pid == 0) {
    go->write.reset();
    char byte = 0;
    if (::read(go->read.get(), &byte, 1) != 1) ::_exit(127);  // memwhy gave up
    signals.restore_in_child();
    ::execvp(arguments[0], arguments.data());
    const int error = errno;
    if (::write(failed->write.get(), &error, sizeof error) < 0) ::_exit(126);
    ::_exit(127);
  }
  return Child(pid, command.front(), std::move(go->write), std::move(failed->read));
}

Status Child::release() {
  if (::write(go_.get(), "g", 1) != 1) return errno_error(ErrorCode::kTargetGone, "starting " + name_, errno);
  go_.reset();
  int error = 0;
  const ssize_t got = ::read(failed_.get(), &error, sizeof error);
  failed_.reset();
  if (got == static_cast<ssize_t>(sizeof error)) {
    return Error(ErrorCode::kTargetGone, fmt::format("cannot run {}: {}; nothing was recorded", name_,
                                                     std::generic_category().message(error)));
  }
  return {};
}

std::optional<std::string> Child::ended() {
  int status = 0;
  if (!ended_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    ended_ = WIFSIGNALED(status) ? fmt::format("was killed by SIG{}", ::sigabbrev_np(WTERMSIG(status)))
                                 : fmt::format("exited with status {}", WEXITSTATUS(status));
  }
  return ended_;
}

}  // namespace memwhy::app
