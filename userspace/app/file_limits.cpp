// SPDX-License-Identifier: Apache-2.0
#include "app/file_limits.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <ctime>
#include <fstream>
#include <limits>
#include <mutex>
#include <new>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "app/command.h"
#include "app/units.h"
#include "base/exit_status.h"
#include "base/text.h"
#include "base/time.h"

namespace memwhy::app {
namespace {

constexpr uint64_t kLeastMemory = uint64_t{256} << 20;
constexpr std::chrono::seconds kUsualTime{60};

// "Name:   123 kB" of a file of /proc, in bytes.
std::optional<uint64_t> kilobytes_of(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    std::istringstream rest(line.substr(name.size()));
    uint64_t kilobytes = 0;
    if (rest >> kilobytes) return kilobytes * 1024;
  }
  return std::nullopt;
}

std::chrono::nanoseconds cpu_time() { return std::chrono::nanoseconds(clock_ns(CLOCK_PROCESS_CPUTIME_ID)); }

// Lets the kernel refuse private memory beyond what the process has now and `more`.
class MemoryLimit {
 public:
  explicit MemoryLimit(uint64_t more) {
    const std::optional<uint64_t> held = kilobytes_of("/proc/self/status", "VmData:");
    if (!held || ::getrlimit(RLIMIT_DATA, &before_) != 0) return;
    rlimit limit = before_;
    const uint64_t most = std::numeric_limits<rlim_t>::max() - *held > more ? *held + more : more;
    limit.rlim_cur = std::min<rlim_t>(before_.rlim_cur, most);
    set_ = ::setrlimit(RLIMIT_DATA, &limit) == 0;
  }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  ~MemoryLimit() {
    if (set_) ::setrlimit(RLIMIT_DATA, &before_);
  }

 private:
  rlimit before_{};
  bool set_ = false;
};

// Ends the process when it has used so much CPU time, however deep it is in a loop.
class TimeLimit {
 public:
  TimeLimit(std::chrono::nanoseconds more, std::string sentence, std::string unfinished)
      : end_(cpu_time() + more),
        sentence_(std::move(sentence)),
        unfinished_(std::move(unfinished)),
        thread_([this] { watch(); }) {}
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;
  ~TimeLimit() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    ended_.notify_one();
    thread_.join();
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    // CPU time passes no faster than real time while one thread works.
    for (auto now = cpu_time(); now < end_; now = cpu_time()) {
      if (ended_.wait_for(lock, end_ - now, [this] { return done_; })) return;
    }
    if (!unfinished_.empty()) static_cast<void>(::unlink(unfinished_.c_str()));
    static_cast<void>(!::write(STDERR_FILENO, sentence_.data(), sentence_.size()));
    ::_exit(exit_status(ErrorCode::kBadInput));
  }

  std::chrono::nanoseconds end_;
  std::string sentence_, unfinished_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace

void add_file_limits(CLI::App& command, FileLimits& limits, const std::string& doing) {
  add_size(command, "--max-memory", limits.memory_bytes,
           "memory limit for " + doing + "; default a quarter of what is available, at least 256M");
  add_duration(command, "--max-time", limits.cpu_time, "CPU time limit for " + doing + "; default 60 s");
}

uint64_t default_memory_limit() {
  const std::optional<uint64_t> available = kilobytes_of("/proc/meminfo", "MemAvailable:");
  return available ? std::max(kLeastMemory, *available / 4) : kLeastMemory;
}

Status within(const FileLimits& limits, const std::string& name, const std::function<Status()>& work,
              const std::string& unfinished) {
  const uint64_t memory = limits.memory_bytes != 0 ? limits.memory_bytes : default_memory_limit();
  const std::chrono::nanoseconds time = limits.cpu_time.count() != 0 ? limits.cpu_time : kUsualTime;
  const TimeLimit time_limit(
      time,
      fmt::format(
          "memwhy: {}: it takes more than {} of CPU time to read; raise that with --max-time, or record "
          "for a shorter time\n",
          escape(name), duration_text(time)),
      unfinished);
  const Error too_large(
      ErrorCode::kBadInput,
      fmt::format("{}: it takes more than {} of memory to read; raise that with --max-memory, or "
                  "record fewer processes or for a shorter time",
                  name, human_bytes(memory)));
  try {
    const MemoryLimit memory_limit(memory);
    return work();
  } catch (const std::bad_alloc&) {
    return too_large;
  } catch (const std::length_error&) {
    return too_large;
  }
}

}  // namespace memwhy::app
