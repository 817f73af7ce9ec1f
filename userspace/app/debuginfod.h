// SPDX-License-Identifier: Apache-2.0
// Debuginfod: debug files fetched from the servers that DEBUGINFOD_URLS names, by debuginfod-find(1).
//
// What it is: one process, as user nobody where memwhy is root, without capabilities, descriptors of memwhy's, or a way to gain
// any; it is started before memwhy holds anything of the kernel's, in a process group of its own, which is killed when its
// time is over. What it is not: on by default. Without DEBUGINFOD_URLS in memwhy's own environment no server is contacted, and
// no recording waits for a network.
//
//   memwhy ── "a1b2c3…\n" ──► sh, as nobody ──► debuginfod-find debuginfo a1b2c3…, max 30 s
//          ◄── "/tmp/memwhy-debug-x1/a1b2c3…/debuginfo\n", or an empty line
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"

namespace memwhy::app {

class Debuginfod {
 public:
  // Null: the environment does not enable it.
  static std::unique_ptr<Debuginfod> if_asked();
  ~Debuginfod();
  Debuginfod(const Debuginfod&) = delete;
  Debuginfod& operator=(const Debuginfod&) = delete;

  // Where the file lies until this object ends; its content is not checked. Nothing: no server has it, or not in time.
  std::optional<std::string> fetch(const std::string& build_id);

  std::vector<std::string> take_notices();

 private:
  using Clock = std::chrono::steady_clock;

  Debuginfod() = default;
  void start();
  std::optional<std::string> line(Clock::time_point deadline);
  void give_up(std::string sentence);
  void end();

  pid_t pid_ = -1;
  std::string folder_;  // of what is fetched; "": the user's own cache, which stays
  Fd to_, from_;
  Clock::duration spent_{0};
  std::vector<std::string> notices_;
};

}  // namespace memwhy::app
