// SPDX-License-Identifier: Apache-2.0
// Helpers of these tests: programs that are built and run by a test, and their mappings.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "events/event.h"

namespace memwhy::symbols::testing {

// Runs a shell command; its exit status, and what it wrote.
struct CommandResult {
  int status = -1;
  std::string output;
};
CommandResult run(const std::string& command);

// A program whose standard input stays open until the end of the test, and whose output is read up to a line
// "done".
class Target {
 public:
  explicit Target(const std::string& path);
  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  Pid pid() const { return pid_; }
  const std::vector<std::string>& lines() const { return lines_; }  // without "done"; empty when it failed
  std::vector<events::Vma> vmas() const { return read_vmas(pid_); }
  static std::vector<events::Vma> read_vmas(Pid pid);

 private:
  Pid pid_ = -1;
  Fd stdin_;
  std::vector<std::string> lines_;
};

Fd open_proc();
std::vector<std::byte> file_bytes(const std::string& path);
std::vector<std::string> split(const std::string& text, char separator);
// A folder of the current test below the build directory: tests run side by side. It stays, so that what was
// built is not built again.
std::string scratch_directory(const std::string& name);

}  // namespace memwhy::symbols::testing
