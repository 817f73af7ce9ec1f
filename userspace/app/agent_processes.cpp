// SPDX-License-Identifier: Apache-2.0
#include "app/agent_processes.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "app/cpu_time.h"
#include "base/time.h"
#include "procfs/text.h"

namespace memwhy::app {
namespace {

constexpr size_t kFilesForRecording = 512;  // recording takes several of each process
constexpr uint64_t kNamesEach = 30;         // passes
constexpr uint64_t kEachOfSleepers = 15;
constexpr uint64_t kReadEach = 10, kReadAnyway = 600;
constexpr uint64_t kWorthALook = 8u << 20;

size_t files_for_passes() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 2 * kFilesForRecording) return 0;
  return limit.rlim_cur - kFilesForRecording;
}

}  // namespace

AgentProcesses::AgentProcesses(const procfs::Root& root)
    : root_(root), all_(root, files_for_passes(), kEachOfSleepers), own_pid_(::getpid()) {}

void AgentProcesses::read(Pid pid, Known& known) {
  const std::string directory = std::to_string(pid) + "/";
  known.comm = all_.comm(pid);
  if (const auto text = procfs::read_file(root_.fd(), directory + "cgroup"))
    if (const auto cgroup = procfs::parse_cgroup(*text)) known.cgroup = cgroup->path;
  if (const auto text = procfs::read_file(root_.fd(), directory + "stat", 4096))
    if (const auto stat = procfs::parse_stat(*text)) known.ours = pid == own_pid_ || stat->parent == own_pid_;
  known.unit = agent::unit_of(known.cgroup, known.comm, names_);
}

// exec gives it other pages: one whose pages are as many as before did not.
const AgentProcesses::Known& AgentProcesses::meet(Pid pid, uint64_t rss_bytes, TimeNs now) {
  const auto [at, added] = known_.try_emplace(pid);
  Known& known = at->second;
  if (added && passes_ != 1) known.since = now;
  const uint64_t turn = passes_ + static_cast<uint64_t>(pid);
  const bool moved = turn % kReadEach == 0 && rss_bytes >= kWorthALook && rss_bytes != known.read_at_rss;
  if (added || moved || turn % kReadAnyway == 0) {
    read(pid, known);
    known.read_at_rss = rss_bytes;
  }
  known.pass = passes_;
  return known;
}

std::vector<agent::Seen> AgentProcesses::pass(TimeNs now) {
  if (passes_ % kNamesEach == 0) names_ = agent::read_container_names();
  ++passes_;
  children_.clear();
  std::vector<agent::Seen> seen;
  seen.reserve(known_.size());
  for (const procfs::ProcessMemory& each : all_.pass(now)) {
    const Known& known = meet(each.pid, each.rss_bytes, now);
    if (each.pid == own_pid_) own_rss_bytes_ = each.rss_bytes;
    if (known.ours && each.pid != own_pid_) children_.push_back(each.pid);
    if (!known.ours)
      seen.push_back(
          {each.pid, known.unit, known.comm, known.cgroup, each.rss_bytes, each.anon_bytes, known.since});
  }
  std::erase_if(known_, [this](const auto& each) { return each.second.pass != passes_; });
  return seen;
}

uint64_t AgentProcesses::own_cpu_ns(Pid without) const {
  uint64_t sum = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  rusage ended{};
  if (::getrusage(RUSAGE_CHILDREN, &ended) == 0) sum += cpu_ns(ended);
  for (const Pid pid : children_) {
    clockid_t clock{};
    if (pid != without && ::clock_getcpuclockid(pid, &clock) == 0) sum += clock_ns(clock);
  }
  return sum;
}

}  // namespace memwhy::app
