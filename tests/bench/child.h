// SPDX-License-Identifier: Apache-2.0
// Child: a process that the benchmark starts, kept on given CPUs, spoken to through pipes, and killed with
// its owner. Target: a child that touches pages on request (target.cpp, go_target/main.go).
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace memwhy::bench {

struct ChildOptions {
  std::vector<int> cpus;              // empty: anywhere
  bool fifo = false;                  // SCHED_FIFO, where that is allowed
  std::function<bool()> before_exec;  // in the child; false: give up
  bool quiet = false;                 // stdout and stderr to nowhere
};

class Child {
 public:
  static Result<Child> start(const std::vector<std::string>& command, const ChildOptions& options);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();  // SIGKILL, unless it was waited for

  pid_t pid() const { return pid_; }
  int in() const { return in_.get(); }    // the child's stdin
  int out() const { return out_.get(); }  // the child's stdout; nothing comes when quiet
  // Writes a line, and waits for the line that the child answers.
  Result<std::string> ask(const std::string& line);
  bool running();
  // Sends `signal` and waits for the end; after `patience_ms` it is killed and that is an error.
  Status stop(int signal, int patience_ms);
  // Waits for its end; `status` is that of wait(2).
  Status wait(int& status);

 private:
  Child() = default;
  pid_t pid_ = -1;
  Fd in_, out_;
  std::string pending_;  // of its answers
};

class Target {
 public:
  static Result<Target> start(const std::string& program, int cpu);
  pid_t pid() const { return child_.pid(); }
  // ns per fault of each of `passes` passes.
  Result<std::vector<double>> touch(const std::string& scenario, const std::string& access, int passes);

 private:
  explicit Target(Child child) : child_(std::move(child)) {}
  Child child_;
};

}  // namespace memwhy::bench
