// SPDX-License-Identifier: Apache-2.0
#include "peer.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace memwhy::bench {

namespace {

namespace fs = std::filesystem;

constexpr int kAttachMs = 30'000;
constexpr int kDetachMs = 20'000;
constexpr int kControlFd = 200, kAckFd = 201;  // in perf

// bpftrace looks tracepoints up in tracefs. Where none is mounted it gets one of its own, which nobody else
// sees.
bool own_tracefs() {
  std::error_code ignored;
  if (fs::exists("/sys/kernel/tracing/events", ignored)) return true;
  return unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("none", "/sys/kernel/tracing", "tracefs", 0, nullptr) == 0;
}

// Does this process hold a perf event through which a BPF program listens to `tracepoint`? The kernel's own
// answer.
bool listens_to(pid_t pid, std::string_view tracepoint) {
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", pid), failure)) {
    if (fs::read_symlink(entry.path(), failure) != "anon_inode:[perf_event]") continue;
    const std::string name = entry.path().filename();
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    std::array<char, 128> found{};
    uint32_t length = found.size(), program = 0, type = 0;
    __u64 offset = 0, address = 0;
    if (bpf_task_fd_query(pid, fd, 0, found.data(), &length, &program, &type, &offset, &address) == 0 &&
        type == BPF_FD_TYPE_TRACEPOINT && tracepoint == found.data()) {
      return true;
    }
  }
  return false;
}

Result<Child> attach_bpftrace(pid_t target, const std::vector<int>& cpus) {
  const std::string program =
      fmt::format("tracepoint:exceptions:page_fault_user /pid == {}/ {{ @[ustack] = count(); }}", target);
  Result<Child> child = Child::start(
      {"bpftrace", "-e", program}, {.cpus = cpus, .fifo = false, .before_exec = own_tracefs, .quiet = true});
  if (!child) return child;
  for (int waited = 0; !listens_to(child->pid(), "page_fault_user"); waited += 10) {
    if (waited >= kAttachMs || !child->running())
      return Error(ErrorCode::kEnvironment, "bpftrace did not attach");
    poll(nullptr, 0, 10);
  }
  return child;
}

Result<Child> attach_perf(pid_t target, const std::vector<int>& cpus, const std::string& data) {
  std::array<int, 2> control{}, ack{};
  if (pipe2(control.data(), O_CLOEXEC) != 0) return errno_error(ErrorCode::kEnvironment, "pipe", errno);
  const Fd control_read(control[0]), control_write(control[1]);
  if (pipe2(ack.data(), O_CLOEXEC) != 0) return errno_error(ErrorCode::kEnvironment, "pipe", errno);
  const Fd ack_read(ack[0]), ack_write(ack[1]);
  const auto pass_pipes = [&] {
    return dup2(control_read.get(), kControlFd) >= 0 && dup2(ack_write.get(), kAckFd) >= 0;
  };
  // Started disabled (-D -1) and enabled through the pipe, so that "attached" is its own word; -B only spares
  // the search for build ids after the block.
  Result<Child> child = Child::start(
      {"perf", "record", "-q", "-B", "-e", "page-faults", "-c", "1", "-g", "-p", std::to_string(target), "-o",
       data, "-D", "-1", "--control", fmt::format("fd:{},{}", kControlFd, kAckFd)},
      {.cpus = cpus, .fifo = false, .before_exec = pass_pipes, .quiet = true});
  if (!child) return child;
  constexpr std::string_view kEnable = "enable\n";
  if (write(control_write.get(), kEnable.data(), kEnable.size()) < 0) {
    return errno_error(ErrorCode::kEnvironment, "asking perf", errno);
  }
  std::array<char, 16> answer{};
  pollfd waiting{.fd = ack_read.get(), .events = POLLIN, .revents = 0};
  if (poll(&waiting, 1, kAttachMs) != 1 || read(ack_read.get(), answer.data(), answer.size() - 1) < 3 ||
      std::strncmp(answer.data(), "ack", 3) != 0) {
    return Error(ErrorCode::kEnvironment, "perf did not attach");
  }
  return child;
}

}  // namespace

Result<Peer> Peer::attach(PeerKind kind, pid_t target, const std::vector<int>& cpus,
                          const std::string& scratch) {
  const std::string data = kind == PeerKind::kPerf ? scratch + "/perf.data" : "";
  Result<Child> child =
      kind == PeerKind::kBpftrace ? attach_bpftrace(target, cpus) : attach_perf(target, cpus, data);
  if (!child) return std::move(child).error();
  return Peer(std::move(*child), data);
}

void Peer::detach() {
  // Killed when it takes its time (perf and bpftrace both work through what they collected): the block is
  // measured.
  if (Status stopped = child_.stop(SIGINT, kDetachMs); !stopped)
    fmt::print(stderr, "\na peer was killed: it did not end\n");
  if (!data_.empty()) {
    std::error_code ignored;
    fs::remove(data_, ignored);
  }
}

std::string command_of(PeerKind kind) {
  return kind == PeerKind::kBpftrace
             ? "bpftrace -e 'tracepoint:exceptions:page_fault_user /pid == P/ { @[ustack] = count(); }'"
             : "perf record -e page-faults -c 1 -g -p P";
}

}  // namespace memwhy::bench
