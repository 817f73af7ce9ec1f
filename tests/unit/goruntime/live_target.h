// SPDX-License-Identifier: Apache-2.0
// A live Go program under test: started, spoken to by lines, and read as memwhy reads a target.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "goruntime/go_process.h"
#include "remote/memory.h"
#include "symbols/binary.h"

namespace memwhy::goruntime::test {

class LiveTarget {
 public:
  // `all_output`: its lines are those of stderr too.
  explicit LiveTarget(const std::string& path, std::vector<std::string> arguments = {},
                      bool all_output = false)
      : path_(path) {
    int to[2], from[2];
    if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0) std::abort();
    arguments.insert(arguments.begin(), path);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::dup2(to[0], 0);
      ::dup2(from[1], 1);
      if (all_output) ::dup2(from[1], 2);
      ::execv(path.c_str(), argv.data());
      ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    commands_ = ::fdopen(to[1], "w");
    answers_ = ::fdopen(from[0], "r");
  }
  ~LiveTarget() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::fclose(commands_);
    std::fclose(answers_);
  }
  LiveTarget(const LiveTarget&) = delete;
  LiveTarget& operator=(const LiveTarget&) = delete;

  pid_t pid() const { return pid_; }

  std::string line() {
    char* text = nullptr;
    size_t size = 0;
    const ssize_t n = ::getline(&text, &size, answers_);
    std::string out(text == nullptr || n <= 0 ? "" : std::string(text, static_cast<size_t>(n) - 1));
    std::free(text);
    return out;
  }
  // False: it ended before.
  bool wait_for(const std::string& wanted) {
    for (std::string got = line(); !got.empty(); got = line())
      if (got == wanted) return true;
    return false;
  }
  void tell(const std::string& command) {
    std::fputs((command + "\n").c_str(), commands_);
    std::fflush(commands_);
  }
  nlohmann::json ask(const std::string& command) {
    tell(command);
    return nlohmann::json::parse(line(), nullptr, false);
  }

  // Returns once no thread runs or is ready to: what its goroutines did is done.
  void wait_until_still() const {
    const std::filesystem::path tasks = "/proc/" + std::to_string(pid_) + "/task";
    const auto runs = [](const std::filesystem::path& task) {
      std::ifstream in(task / "stat");
      std::string text;
      std::getline(in, text);
      const size_t name_end = text.rfind(')');
      return name_end != std::string::npos && text.compare(name_end, 3, ") R") == 0;
    };
    for (int still = 0; still < 3;) {
      const std::filesystem::directory_iterator all(tasks);
      still = std::any_of(begin(all), end(all), [&](const auto& entry) { return runs(entry.path()); })
                  ? 0
                  : still + 1;
      ::sched_yield();
    }
  }

  // Stops it where every thread waits in the kernel for something to do: nothing is half done. wait_until_still() is
  // of programs that are asked something afterwards; this is of those that work a little all the time.
  void stop_between_work() const {
    const std::filesystem::path tasks = "/proc/" + std::to_string(pid_) + "/task";
    const auto waits = [](const std::filesystem::path& task) {
      constexpr std::array kWaiting = {0 /* read */, 35 /* nanosleep */, 128 /* rt_sigtimedwait */,
                                       202 /* futex */, 281 /* epoll_pwait */};
      std::ifstream in(task / "syscall");
      int number = -1;
      return in >> number && std::find(kWaiting.begin(), kWaiting.end(), number) != kWaiting.end();
    };
    while (true) {
      int status = 0;
      ::kill(pid_, SIGSTOP);
      if (::waitpid(pid_, &status, WUNTRACED) != pid_ || !WIFSTOPPED(status)) return;
      const std::filesystem::directory_iterator all(tasks);
      if (std::all_of(begin(all), end(all), [&](const auto& entry) { return waits(entry.path()); })) return;
      ::kill(pid_, SIGCONT);
      ::sched_yield();
    }
  }

  std::unique_ptr<remote::ProcessMemory> memory() const {
    const Fd process(::open(("/proc/" + std::to_string(pid_)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    Result<remote::ProcessMemory> memory = remote::ProcessMemory::open(process);
    EXPECT_TRUE(memory.ok());
    return memory ? std::make_unique<remote::ProcessMemory>(std::move(*memory)) : nullptr;
  }

  // What the program's file says, moved to where it is mapped.
  std::optional<GoProgram> program() {
    Result<std::unique_ptr<symbols::FileBytes>> bytes =
        symbols::FileBytes::open(Fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)), 1 << 30);
    if (!bytes) return std::nullopt;
    Result<std::unique_ptr<symbols::Binary>> binary = symbols::Binary::open(std::move(*bytes));
    if (!binary || !(*binary)->facts().go) return std::nullopt;
    binary_ = std::move(*binary);
    const std::optional<symbols::GoTable> table = binary_->go_table();
    if (!table || !find_bias()) return std::nullopt;
    GoProgram out;
    out.version = out.image.version = binary_->facts().go->version;
    out.image.pclntab = table->vaddr + bias_;
    out.image.names_offset = table->names_offset;
    for (const symbols::Segment& segment : binary_->elf().segments())
      if (segment.write)
        out.image.writable.push_back({segment.vaddr + bias_, segment.vaddr + bias_ + segment.memory_bytes});
    if (const auto sampler = binary_->go_functions({"runtime.profilealloc"}).front())
      out.sampler = {sampler->start + bias_, sampler->end + bias_};
    out.profiling_linked = binary_->has_go_function("runtime.memProfileInternal") ||
                           binary_->has_go_function("runtime.MemProfile");
    return out;
  }

  // The functions at an address, innermost inlined first. After program().
  std::vector<std::string> functions(uint64_t address, bool is_return) {
    std::vector<std::string> out;
    for (const events::SourceFrame& frame : binary_->lookup(address - bias_, is_return))
      out.push_back(frame.function);
    return out;
  }

  // A line of /proc/PID/FILE, in KiB.
  uint64_t kib(const char* file, const std::string& key) const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/" + file);
    for (std::string text; std::getline(in, text);)
      if (text.rfind(key + ":", 0) == 0) return std::stoull(text.substr(key.size() + 1));
    return ~uint64_t{0};
  }

 private:
  bool find_bias() {
    std::ifstream maps("/proc/" + std::to_string(pid_) + "/maps");
    for (std::string text; std::getline(maps, text);) {
      std::istringstream words(text);
      std::string range, mode, offset, device, inode, name;
      words >> range >> mode >> offset >> device >> inode >> name;
      if (name != path_) continue;
      const std::optional<uint64_t> vaddr = binary_->elf().vaddr_of(std::stoull(offset, nullptr, 16));
      if (!vaddr) continue;
      bias_ = std::stoull(range.substr(0, range.find('-')), nullptr, 16) - *vaddr;
      return true;
    }
    return false;
  }

  std::string path_;
  pid_t pid_ = -1;
  FILE *commands_ = nullptr, *answers_ = nullptr;
  std::unique_ptr<symbols::Binary> binary_;
  uint64_t bias_ = 0;
};

}  // namespace memwhy::goruntime::test
