// SPDX-License-Identifier: Apache-2.0
#include "app/teaching.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "app/made_code.h"
#include "app/privilege.h"
#include "app/terminal.h"
#include "base/time.h"
#include "events/mapping_at.h"
#include "procfs/process.h"

namespace memwhy::app {
namespace {

// The executable code of this program. What it forked has it at the same place, until that becomes another program.
std::optional<events::Vma> own_code(const procfs::Root& proc) {
  Result<procfs::Process> self = procfs::Process::open(proc, ::getpid());
  const auto vmas = self ? self->vmas() : Result<std::vector<events::Vma>>(std::move(self).error());
  if (!vmas) return std::nullopt;
  const events::Vma* const own = events::mapping_at(*vmas, reinterpret_cast<uint64_t>(&own_code));
  return own != nullptr ? std::optional(*own) : std::nullopt;
}

// Before others, where that is allowed: a question is two changes of who runs, what waits meanwhile is soon more than there is room
// for, and it never has more than its share of a CPU. Children that it starts later have the same.
void hurry(const files::Children& files) {
  constexpr int kNice = -10;
  for (const pid_t one : {pid_t{0}, files.opener(), files.parser()})
    static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(one), kNice));
}

// Until the next look, by the pause before this one and what it found: new code comes in bursts, or drips as a JIT compiles it. A look
// costs more than what one more snapshot adds, and what cannot wait is heard.
std::chrono::milliseconds pause_after(std::chrono::milliseconds before, size_t learned) {
  constexpr size_t kBurst = 8;
  constexpr std::chrono::milliseconds kLeast{1}, kMost{250};
  return learned >= kBurst ? kLeast : std::min(2 * before, kMost);
}

}  // namespace

Teaching::Teaching(std::unique_ptr<probe::Unwinding> unwinding, std::unique_ptr<files::Children> files,
                   procfs::Root proc, uint64_t capabilities)
    : unwinding_(std::move(unwinding)),
      files_(std::move(files)),
      proc_(std::move(proc)),
      port_(*unwinding_),
      thread_([this, capabilities] { run(capabilities); }) {}

Teaching::~Teaching() {
  stop(std::chrono::hours(1));
  thread_.join();
}

void Teaching::tell(std::function<void(const std::string&)> notice) {
  const std::lock_guard lock(mutex_);
  notice_ = std::move(notice);
}

bool Teaching::stop(std::chrono::nanoseconds patience) {
  std::unique_lock lock(mutex_);
  stop_ = true;
  unwinding_->wake();
  return ended_.wait_for(lock, patience, [this] { return done_; });
}

// Without it stacks are found by frame pointers from the first address on that has no rule: nothing else is lost.
void Teaching::run(uint64_t capabilities) {
  try {
    hurry(*files_);
    if (Status kept = keep_only(capabilities); !kept) warn(kept.error().message());
    const std::optional<events::Vma> own = own_code(proc_);
    const auto mappings = [this, &own](Pid tgid) -> Result<std::vector<events::Vma>> {
      Result<procfs::Process> process = procfs::Process::open(proc_, tgid);
      if (!process) return std::move(process).error();
      Result<std::vector<events::Vma>> all = process->vmas();
      // The next program begins in a moment, and would begin unseen.
      if (all && own && std::ranges::find(*all, *own) != all->end()) all->clear();
      return all;
    };
    // What its children do for it is not in that, and takes about as long.
    const auto work = [] { return 2 * clock_ns(CLOCK_THREAD_CPUTIME_ID); };
    MadeCode made_code(*files_, proc_);
    unwind::Teacher teacher(
        port_, *files_, mappings, [] { return clock_ns(CLOCK_MONOTONIC); }, work, &made_code);
    std::chrono::milliseconds pause{1};
    for (std::unique_lock lock(mutex_); !stop_;) {
      lock.unlock();
      const size_t learned = teacher.look();
      pause = pause_after(pause, learned);
      if (learned < unwind::Teacher::kAtOnce) static_cast<void>(unwinding_->wait(pause));
      lock.lock();
      if (notice_ && files_->has_notices())
        for (const std::string& sentence : files_->take_notices()) notice_(sentence);
    }
  } catch (const std::exception& failure) {
    warn(std::string("unwind rules are learned no more: ") + failure.what());
  }
  const std::lock_guard lock(mutex_);
  done_ = true;
  ended_.notify_all();
}

}  // namespace memwhy::app
