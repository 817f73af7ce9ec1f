// SPDX-License-Identifier: Apache-2.0
#include "app/go_watch.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "app/runtimes.h"
#include "app/terminal.h"
#include "base/time.h"
#include "procfs/process.h"

namespace memwhy::app {
namespace {

constexpr std::chrono::milliseconds kIdle{200};
constexpr TimeNs kOld = 10'000'000'000;
// A pause is so many times the thread's CPU time: what its children do for it is not in that, and takes about as long. By the
// wall-clock time a machine under load would never be read.
constexpr uint64_t kPauses = 200;
constexpr uint64_t kFreeNs = 2'000'000'000;  // without a pause, so that each of the first ones is known soon
constexpr std::chrono::seconds kLongestPause{60};

// A screen does not wait for a file that hangs as long as a recording does.
files::ChildrenOptions impatient() {
  files::ChildrenOptions out;
  out.to_open = std::chrono::milliseconds(500);
  out.to_parse = out.to_look_up = std::chrono::milliseconds(2000);
  return out;
}

}  // namespace

// A process that was read before. It stays bound to that process: a later one with the same pid is not read for it.
struct GoWatch::Target {
  explicit Target(procfs::Process opened) : process(std::move(opened)) {}
  procfs::Process process;
  std::unique_ptr<record::RuntimeSource> go;  // nullptr: not a Go program
  TimeNs read_at = 0;
};

Result<std::unique_ptr<GoWatch>> GoWatch::start() {
  Result<procfs::Root> proc = procfs::Root::open("/proc");
  if (!proc) return std::move(proc).error();
  Result<std::unique_ptr<files::Children>> files = files::Children::start(impatient());
  if (!files) return std::move(files).error();
  return std::unique_ptr<GoWatch>(new GoWatch(*std::move(files), *std::move(proc)));
}

GoWatch::GoWatch(std::unique_ptr<files::Children> files, procfs::Root proc)
    : files_(std::move(files)), proc_(std::move(proc)), thread_([this] { run(); }) {}

GoWatch::~GoWatch() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void GoWatch::look_at(std::vector<Pid> pids) {
  const std::lock_guard lock(mutex_);
  wanted_ = std::move(pids);
  std::erase_if(known_, [&](const auto& each) {
    return std::find(wanted_.begin(), wanted_.end(), each.first) == wanted_.end();
  });
}

std::map<Pid, events::GoCounters> GoWatch::known() const {
  const std::lock_guard lock(mutex_);
  return known_;
}

void GoWatch::run() {
  try {
    const uint64_t begun = clock_ns(CLOCK_MONOTONIC);
    for (std::unique_lock lock(mutex_); !stop_;) {
      const std::vector<Pid> wanted = wanted_;
      lock.unlock();
      step(wanted);
      const uint64_t allowed = kFreeNs + (clock_ns(CLOCK_MONOTONIC) - begun) / kPauses;
      const uint64_t spent = clock_ns(CLOCK_THREAD_CPUTIME_ID);
      const std::chrono::nanoseconds pause(spent > allowed ? (spent - allowed) * kPauses : 0);
      lock.lock();
      wake_.wait_for(lock, std::clamp<std::chrono::nanoseconds>(pause, kIdle, kLongestPause),
                     [this] { return stop_; });
    }
  } catch (const std::exception& failure) {
    warn(std::string("Go programs are looked at no more: ") + failure.what());
  }
}

// The first that was never read, else the one that was read longest ago.
void GoWatch::step(const std::vector<Pid>& wanted) {
  std::erase_if(targets_, [&](const auto& each) {
    return std::find(wanted.begin(), wanted.end(), each.first) == wanted.end() ||
           (each.second && !each.second->process.alive());
  });
  Target* oldest = nullptr;
  for (const Pid pid : wanted) {
    const auto found = targets_.find(pid);
    if (found == targets_.end()) return open(pid);
    Target* const target = found->second.get();
    if (target == nullptr || !target->go) continue;
    if (oldest == nullptr || target->read_at < oldest->read_at) oldest = target;
  }
  if (oldest != nullptr && clock_ns(CLOCK_MONOTONIC) >= oldest->read_at + kOld)
    read(oldest->process.pid(), *oldest);
}

// One that can't be opened is not tried each second: it is a target without Go until it leaves the list.
void GoWatch::open(Pid pid) {
  std::unique_ptr<Target>& known = targets_[pid];  // nullptr: not to be opened
  Result<procfs::Process> process = procfs::Process::open(proc_, pid);
  if (!process) return;
  known = std::make_unique<Target>(*std::move(process));
  Target& target = *known;
  const Result<std::vector<events::Vma>> vmas = target.process.vmas();
  if (!vmas) return;
  target.go = open_go_of({*files_, target.process, *vmas, without_go_});
  if (target.go) read(pid, target);
}

void GoWatch::read(Pid pid, Target& target) {
  std::optional<events::GoCounters> counters;
  target.go->counters([&](const events::Payload& told) {
    if (const auto* statistics = std::get_if<events::GoStatistics>(&told)) counters = statistics->counters;
  });
  target.read_at = clock_ns(CLOCK_MONOTONIC);
  if (!counters) target.go.reset();  // its tables are not to be found, or it is another program since
  const std::lock_guard lock(mutex_);
  if (!counters)
    known_.erase(pid);
  else if (std::find(wanted_.begin(), wanted_.end(), pid) != wanted_.end())
    known_[pid] = *counters;
}

}  // namespace memwhy::app
