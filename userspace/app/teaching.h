// SPDX-License-Identifier: Apache-2.0
// Teaching: the thread that learns unwind rules while something is recorded (unwind/teacher.h), over the hooks of this
// program, all of its recordings together. It has children of its own for the files of targets: one that hangs delays rules,
// and nothing else.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "app/rule_tables.h"
#include "base/result.h"
#include "files/children.h"
#include "probe/kernel_probe.h"
#include "procfs/root.h"
#include "unwind/teacher.h"

namespace memwhy::app {

class Teaching {
 public:
  // `capabilities`: what the thread keeps (privilege.h).
  Teaching(std::unique_ptr<probe::Unwinding> unwinding, std::unique_ptr<files::Children> files,
           procfs::Root proc, uint64_t capabilities);
  ~Teaching();  // waits for the look that runs
  Teaching(const Teaching&) = delete;
  Teaching& operator=(const Teaching&) = delete;

  // Receives what its children lost, as sentences; may be called by its thread until stop() has returned.
  void tell(std::function<void(const std::string&)> notice);
  // Ends it. false: a child that hangs still holds it up, and it may not be destroyed.
  bool stop(std::chrono::nanoseconds patience);

 private:
  void run(uint64_t capabilities);

  std::unique_ptr<probe::Unwinding> unwinding_;
  std::unique_ptr<files::Children> files_;
  procfs::Root proc_;
  RuleTables port_;
  std::mutex mutex_;
  std::condition_variable ended_;
  // With the lock held.
  bool stop_ = false, done_ = false;
  std::function<void(const std::string&)> notice_;
  std::thread thread_;
};

}  // namespace memwhy::app
