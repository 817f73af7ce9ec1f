// SPDX-License-Identifier: Apache-2.0
#include "files/spawn.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "files/child.h"

namespace memwhy::files {
namespace {

// Enough for children that hang in the kernel; a target that makes more of them is not worth its names.
constexpr size_t kMostDying = 64;
constexpr int kFree = 10;  // above the numbers that a child has its descriptors at

// posix_spawn's two lists, which have to be freed.
class Actions {
 public:
  Actions() {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
  }
  ~Actions() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }
  // Ctrl-C is for memwhy, which still needs the child then. And no signal is blocked or ignored there.
  void start_apart() {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes,
                               POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
};

}  // namespace

Result<SocketPair> socket_pair() {
  std::array<int, 2> both{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both.data()) != 0)
    return errno_error(ErrorCode::kEnvironment, "making a socket", errno);
  const Fd low[2] = {Fd(both[0]), Fd(both[1])};
  SocketPair made{Fd(::fcntl(low[0].get(), F_DUPFD_CLOEXEC, kFree)),
                  Fd(::fcntl(low[1].get(), F_DUPFD_CLOEXEC, kFree))};
  if (!made.ours || !made.theirs) return errno_error(ErrorCode::kEnvironment, "making a socket", errno);
  return made;
}

Result<Child> spawn(const std::string& program, const char* word, const Fd& second) {
  Result<SocketPair> socket = socket_pair();
  if (!socket) return std::move(socket).error();
  const Fd other(::fcntl(second.get(), F_DUPFD_CLOEXEC, kFree));
  if (!other) return errno_error(ErrorCode::kEnvironment, "starting a process that reads for memwhy", errno);
  Actions to;
  for (int fd = 0; fd <= 2; ++fd) ::posix_spawn_file_actions_addopen(&to.files, fd, "/dev/null", O_RDWR, 0);
  ::posix_spawn_file_actions_adddup2(&to.files, socket->theirs.get(), kRequests);
  ::posix_spawn_file_actions_adddup2(&to.files, other.get(), kHandover);
  ::posix_spawn_file_actions_addclosefrom_np(&to.files, kHandover + 1);
  to.start_apart();
  std::string name = "memwhy", role = word;
  std::array<char*, 3> arguments = {name.data(), role.data(), nullptr};
  Child child;
  const int error =
      ::posix_spawn(&child.pid, program.c_str(), &to.files, &to.attributes, arguments.data(), environ);
  if (error != 0)
    return errno_error(ErrorCode::kEnvironment, "starting a process that reads for memwhy", error);
  child.socket = std::move(socket->ours);
  return child;
}

Result<pid_t> spawn_program(std::vector<std::string> words, std::vector<std::string> environment,
                            const Fd& input, const Fd& output) {
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (std::string& each : texts) out.push_back(each.data());
    out.push_back(nullptr);
    return out;
  };
  Actions to;
  ::posix_spawn_file_actions_adddup2(&to.files, input.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&to.files, output.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&to.files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addclosefrom_np(&to.files, STDERR_FILENO + 1);
  to.start_apart();
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, words.front().c_str(), &to.files, &to.attributes,
                                   pointers(words).data(), pointers(environment).data());
  if (error != 0) return errno_error(ErrorCode::kEnvironment, "starting " + words.front(), error);
  return pid;
}

void Dying::kill(Child& child) {
  if (child.pid > 0) {
    ::kill(child.pid, SIGKILL);
    pids_.push_back(child.pid);
  }
  child = {};
  reap();
}

void Dying::reap() {
  std::erase_if(pids_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
}

bool Dying::full() const { return pids_.size() >= kMostDying; }

}  // namespace memwhy::files
