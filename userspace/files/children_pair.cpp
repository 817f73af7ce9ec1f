// SPDX-License-Identifier: Apache-2.0
// How the pair of children is started and ended.
#include <fcntl.h>
#include <fmt/format.h>
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
#include "files/children.h"

namespace memwhy::files {
namespace {

// Enough for children that hang in the kernel; a target that makes more of them is not worth its names.
constexpr size_t kMostDying = 64;
constexpr int kFree = 10;  // above the numbers that a child has its sockets at

struct SocketPair {
  Fd ours, theirs;
};

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
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
};

}  // namespace

Result<std::unique_ptr<Children>> Children::start(ChildrenOptions options) {
  std::unique_ptr<Children> children(new Children(std::move(options)));
  if (Status started = children->start_pair(); !started) return std::move(started).error();
  // Each says a word, so that a machine where they can't live is known now. Process 0 has no files.
  Request request;
  request.ask = Ask::kExecutablePath;
  const Result<Message> opener = children->ask(children->opener_, request, children->options_.to_parse, {});
  request.ask = Ask::kRead;
  const Result<Message> parser = children->ask(children->parser_, request, children->options_.to_parse, {});
  const bool opener_lives = opener || opener.error().code() == ErrorCode::kTargetGone;
  const bool parser_lives = parser || parser.error().code() == ErrorCode::kAbsent;
  if (!opener_lives || !parser_lives || children->pair_ != 1) {
    return Error(ErrorCode::kEnvironment,
                 "the process that opens files of targets, or the one that reads them, does not start here");
  }
  return children;
}

Children::~Children() { end_pair(); }

Result<Children::Child> Children::spawn(const char* word, const Fd& handover) const {
  Result<SocketPair> socket = socket_pair();
  if (!socket) return std::move(socket).error();
  Actions to;
  for (int fd = 0; fd <= 2; ++fd) ::posix_spawn_file_actions_addopen(&to.files, fd, "/dev/null", O_RDWR, 0);
  ::posix_spawn_file_actions_adddup2(&to.files, socket->theirs.get(), kRequests);
  ::posix_spawn_file_actions_adddup2(&to.files, handover.get(), kHandover);
  ::posix_spawn_file_actions_addclosefrom_np(&to.files, kHandover + 1);
  // Ctrl-C is for memwhy, which still has questions then. And nothing of ours is blocked or ignored there.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&to.attributes, &none);
  ::posix_spawnattr_setsigdefault(&to.attributes, &all);
  ::posix_spawnattr_setpgroup(&to.attributes, 0);
  ::posix_spawnattr_setflags(&to.attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::string name = "memwhy", role = word;
  std::array<char*, 3> arguments = {name.data(), role.data(), nullptr};
  Child child;
  const int error = ::posix_spawn(&child.pid, options_.program.c_str(), &to.files, &to.attributes,
                                  arguments.data(), environ);
  if (error != 0)
    return errno_error(ErrorCode::kEnvironment, "starting a process that reads files of targets", error);
  child.socket = std::move(socket->ours);
  return child;
}

Status Children::start_pair() {
  reap();
  if (dying_.size() >= kMostDying)
    return Error(ErrorCode::kEnvironment, "too many processes that read files of targets hang in the kernel");
  Result<SocketPair> handover = socket_pair();
  if (!handover) return std::move(handover).error();
  Result<Child> opener = spawn(kOpenerWord, handover->ours);
  if (!opener) return std::move(opener).error();
  opener_ = *std::move(opener);
  Result<Child> parser = spawn(kParserWord, handover->theirs);
  if (!parser) {
    end_pair();
    return std::move(parser).error();
  }
  parser_ = *std::move(parser);
  ++pair_;
  opened_.clear();
  return {};
}

// Both: what one had handed over, the other may not have taken.
void Children::end_pair() {
  for (Child* child : {&opener_, &parser_}) {
    if (child->pid > 0) {
      ::kill(child->pid, SIGKILL);
      dying_.push_back(child->pid);
    }
    *child = {};
  }
  reap();
}

// Without waiting: who opens a file of a file system that does not answer can't even be killed.
void Children::reap() {
  std::erase_if(dying_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
}

}  // namespace memwhy::files
