// SPDX-License-Identifier: Apache-2.0
#include "app/apart.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "app/command.h"
#include "app/terminal.h"
#include "base/content.h"
#include "base/exit_status.h"
#include "base/fd.h"

namespace memwhy::app {
namespace {

constexpr size_t kMostErrorBytes = 1024;
constexpr size_t kMostAnswerBytes = size_t{16} << 20;

// It lives for one answer and never returns into the server's code. Its messages go to `errors`; stdout is the server's.
[[noreturn]] void answer_in_child(pid_t server, const Fd& answer, const Fd& errors, const FileLimits& limits,
                                  const std::string& name, const std::function<Result<std::string>()>& work) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != server) ::_exit(exit_status(ErrorCode::kInternal));
  ::dup2(errors.get(), STDOUT_FILENO);
  ::dup2(errors.get(), STDERR_FILENO);
  const Status done = within(limits, name, [&]() -> Status {
    const Result<std::string> text = work();
    return text ? write_result(answer.get(), *text, "the answer") : Status(text.error());
  });
  if (!done) say_error(done.error());
  ::_exit(done ? 0 : exit_status(done.error().code()));
}

// The last line, without "memwhy: ".
std::string last_sentence(const std::string& said) {
  std::string text = said.substr(0, said.find_last_not_of('\n') + 1);
  text = text.substr(text.rfind('\n') + 1);
  constexpr std::string_view kOurs = "memwhy: ";
  return text.starts_with(kOurs) ? text.substr(kOurs.size()) : text;
}

}  // namespace

Result<std::string> apart(const FileLimits& limits, const std::string& name,
                          const std::function<Result<std::string>()>& work) {
  const Fd answer(::memfd_create("answer", MFD_CLOEXEC)), errors(::memfd_create("errors", MFD_CLOEXEC));
  if (!answer || !errors) return errno_error(ErrorCode::kEnvironment, "room for the answer", errno);
  const pid_t server = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return errno_error(ErrorCode::kEnvironment, "starting a process for the answer", errno);
  if (child == 0) answer_in_child(server, answer, errors, limits, name, work);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return content_of(answer, kMostAnswerBytes);
  const std::string sentence = last_sentence(content_of(errors, kMostErrorBytes));
  return Error(ErrorCode::kBadInput,
               sentence.empty() ? fmt::format("{}: reading it failed", name) : sentence);
}

}  // namespace memwhy::app
