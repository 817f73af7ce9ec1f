// SPDX-License-Identifier: Apache-2.0
#include "app/reading_budget.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string_view>

#include "app/command.h"
#include "app/units.h"

namespace memwhy::app {
namespace {

constexpr uint64_t kLeastBytes = uint64_t{256} << 20, kShareOfAvailable = 4;
constexpr uint64_t kLeastSeconds = 30, kSecondsPerMiB = 2;

// What the two handlers say. Nothing can be handed to a new_handler, so these are the program's; they are written before
// the handlers are set, and there is no memory to make a sentence when they are needed.
struct Sentences {
  char memory[256], time[256];
};
Sentences& sentences() {
  static Sentences all;
  return all;
}

[[noreturn]] void end_with(const char* sentence) {
  const ssize_t ignored = ::write(STDERR_FILENO, sentence, std::strlen(sentence));
  static_cast<void>(ignored);
  ::_exit(exit_code(ErrorCode::kBadInput));
}
void out_of_memory() { end_with(sentences().memory); }
void out_of_time(int) { end_with(sentences().time); }

// The number behind `name` in a file of "name: number kB" lines, in bytes.
std::optional<uint64_t> kilobytes(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size(), nullptr, 10) << 10;
  }
  return std::nullopt;
}

std::optional<uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;  // "max", or no such file
}

// By the machine, and by the limits of our own cgroup and those above it.
uint64_t available_bytes() {
  uint64_t available = kilobytes("/proc/meminfo", "MemAvailable:").value_or(0);
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("0::/")) continue;
    for (std::string group = line.substr(3); !group.empty(); group.resize(group.rfind('/'))) {
      const std::string folder = "/sys/fs/cgroup" + group;
      const auto most = number_in(folder + "/memory.max"), now = number_in(folder + "/memory.current");
      if (most && now) available = std::min(available, *most > *now ? *most - *now : 0);
    }
  }
  return available;
}

uint64_t bytes_of(const ReadingLimits& limits) {
  return limits.bytes != 0 ? limits.bytes : std::max(kLeastBytes, available_bytes() / kShareOfAvailable);
}

std::chrono::nanoseconds cpu_of(const ReadingLimits& limits, uint64_t file_bytes) {
  if (limits.cpu.count() != 0) return limits.cpu;
  return std::chrono::seconds(kLeastSeconds + (file_bytes >> 20) * kSecondsPerMiB);
}

std::string memory_sentence(uint64_t bytes) {
  return fmt::format("the recording takes more than {} of memory to read; allow more with --max-memory SIZE",
                     size_text(bytes));
}

void put(char (&into)[256], const std::string& sentence) {
  const std::string line = "memwhy: " + sentence + "\n";
  const size_t size = std::min(line.size(), sizeof into - 1);
  std::memcpy(into, line.data(), size);
  into[size] = '\0';
}

void set_timer(std::chrono::nanoseconds cpu) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(cpu).count();
  itimerval timer{};
  timer.it_value = {static_cast<time_t>(us / 1'000'000), static_cast<suseconds_t>(us % 1'000'000)};
  ::setitimer(ITIMER_PROF, &timer, nullptr);
}

}  // namespace

void add_reading_limits(CLI::App& command, ReadingLimits& limits) {
  add_size(
      command, "--max-memory", limits.bytes,
      "memory that reading may take (512M, 4G); a quarter of what is available, 256M at least, unless given");
  add_duration(command, "--max-cpu", limits.cpu,
               "CPU time that reading may take; 30 s and 2 s for each MiB of the file unless given");
}

ReadingBudget::ReadingBudget(const ReadingLimits& limits, uint64_t file_bytes)
    : handler_before_(std::get_new_handler()) {
  const uint64_t bytes = bytes_of(limits);
  const std::chrono::nanoseconds cpu = cpu_of(limits, file_bytes);
  put(sentences().memory, memory_sentence(bytes));
  put(sentences().time,
      fmt::format("the recording takes more than {} of CPU time to read; allow more with --max-cpu TIME",
                  duration_text(cpu)));
  rlimit data{};
  ::getrlimit(RLIMIT_DATA, &data);
  data_limit_before_ = data.rlim_cur;
  // What is there already is not the recording's.
  data.rlim_cur =
      std::min<rlim_t>(data.rlim_cur, kilobytes("/proc/self/status", "VmData:").value_or(0) + bytes);
  ::setrlimit(RLIMIT_DATA, &data);
  std::set_new_handler(out_of_memory);
  struct sigaction action {};
  action.sa_handler = out_of_time;
  ::sigaction(SIGPROF, &action, nullptr);
  set_timer(cpu);
}

ReadingBudget::~ReadingBudget() {
  set_timer(std::chrono::nanoseconds(0));
  std::set_new_handler(handler_before_);
  rlimit data{};
  ::getrlimit(RLIMIT_DATA, &data);
  data.rlim_cur = data_limit_before_;
  ::setrlimit(RLIMIT_DATA, &data);
}

Error ReadingBudget::too_large() {
  return {ErrorCode::kBadInput, "the recording says that it holds more than any memory; it is damaged"};
}

}  // namespace memwhy::app
