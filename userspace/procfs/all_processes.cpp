// SPDX-License-Identifier: Apache-2.0
#include "procfs/all_processes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace memwhy::procfs {
namespace {

constexpr uint64_t kEach = 5, kLookAnyway = 50;  // passes
constexpr uint64_t kSleeps = 60;

}  // namespace

void AllProcesses::Past::add(TimeNs now, uint64_t anon) {
  if (count > 0 && now < times[count - 1] + kStep) return;
  if (count == kSteps) {
    std::move(bytes.begin() + 1, bytes.end(), bytes.begin());
    std::move(times.begin() + 1, times.end(), times.begin());
    --count;
  }
  bytes[count] = anon;
  times[count++] = now;
}

std::optional<double> AllProcesses::Past::growth(TimeNs now, uint64_t anon) const {
  if (count == 0 || now < times[0] + kStep) return std::nullopt;
  return (static_cast<double>(anon) - static_cast<double>(bytes[0])) /
         (static_cast<double>(now - times[0]) / 1e9);
}

// The last field of loadavg is the pid that was given out last, to a process or a thread.
bool AllProcesses::may_be_new() {
  if (passes_ % kEach != 0) return false;
  const Result<std::string> text = read_file(root_.fd(), "loadavg");
  std::string last = text ? text->substr(text->rfind(' ') + 1) : "";
  const bool moved = last.empty() || last != last_pid_;
  last_pid_ = std::move(last);
  return moved || passes_ % kLookAnyway == 0;
}

void AllProcesses::look_for_new() {
  std::vector<Known> merged;
  auto before = known_.begin();
  for (const Pid pid : root_.pids()) {
    while (before != known_.end() && before->pid < pid) {
      if (before->statm) --open_;
      ++before;
    }
    if (before != known_.end() && before->pid == pid) {
      merged.push_back(std::move(*before++));
    } else {
      merged.emplace_back().pid = pid;
    }
  }
  for (; before != known_.end(); ++before)
    if (before->statm) --open_;
  known_ = std::move(merged);
  if (passes_ % kLookAnyway == 0)
    for (Known& each : known_) each.memory = true;
}

// false: it has no memory of its own, or is gone.
bool AllProcesses::read(Known& process) {
  if (!process.memory) return false;
  const uint64_t each = process.same >= kSleeps ? each_of_sleepers_ : process.same >= kEach ? kEach : 1;
  if ((static_cast<uint64_t>(process.pid) + passes_) % each != 0) return true;
  Fd once;
  if (!process.statm) {
    const std::string name = std::to_string(process.pid) + "/statm";
    Fd opened(::openat(root_.fd(), name.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat file {};
    if (!opened || ::fstat(opened.get(), &file) != 0) return false;
    if (file.st_ino != process.inode) process.past = {};
    process.inode = file.st_ino;
    const bool keep = open_ < most_files_;
    if (keep) ++open_;
    (keep ? process.statm : once) = std::move(opened);
  }
  const auto statm = read_statm(process.statm ? process.statm.get() : once.get());
  if (!statm || statm->size == 0) {
    if (process.statm) --open_;
    process.statm = Fd();
    process.memory = !statm;  // one that is gone is looked for once more: its number may be another's by now
    process.past = {};
    process.same = 0;
    return false;
  }
  ProcessMemory now;
  now.pid = process.pid;
  now.rss_bytes = statm->resident * kPageBytes;
  now.anon_bytes = statm->resident > statm->shared ? (statm->resident - statm->shared) * kPageBytes : 0;
  const bool same = now.rss_bytes == process.last.rss_bytes && now.anon_bytes == process.last.anon_bytes;
  // The passes that it was not read in count as equal.
  process.same = !same ? 0 : static_cast<uint8_t>(std::min<uint64_t>(process.same + each, kSleeps));
  process.last = now;
  return true;
}

const std::vector<ProcessMemory>& AllProcesses::pass(TimeNs now) {
  if (may_be_new()) look_for_new();
  result_.clear();
  for (Known& process : known_) {
    if (!read(process)) continue;
    ProcessMemory& memory = result_.emplace_back(process.last);
    memory.growth_bytes_per_s = process.past.growth(now, memory.anon_bytes);
    process.past.add(now, memory.anon_bytes);
  }
  ++passes_;
  return result_;
}

std::string AllProcesses::comm(Pid pid) const {
  Result<std::string> text = read_file(root_.fd(), std::to_string(pid) + "/comm", 64);
  if (!text) return "";
  if (text->ends_with('\n')) text->pop_back();
  return *std::move(text);
}

}  // namespace memwhy::procfs
