// SPDX-License-Identifier: Apache-2.0
// Teaching: the thread that learns unwind rules while something is recorded (unwind/teacher.h), over the hooks of this
// program, all of its recordings together. It has children of its own for the files of targets: one that hangs holds up rules,
// and nothing else.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "base/result.h"
#include "files/children.h"
#include "probe/kernel_probe.h"
#include "procfs/root.h"
#include "unwind/teacher.h"

namespace memwhy::app {

class Teaching {
 public:
  // `capabilities`: what the thread keeps (privilege.h).
  Teaching(std::unique_ptr<probe::Unwinding> unwinding, std::unique_ptr<files::Children> files, procfs::Root proc,
           uint64_t capabilities);
  ~Teaching();  // waits for the look that runs; a child that hangs is waited for as long as it may take
  Teaching(const Teaching&) = delete;
  Teaching& operator=(const Teaching&) = delete;

 private:
  class Port;
  void run(uint64_t capabilities);

  std::unique_ptr<probe::Unwinding> unwinding_;
  std::unique_ptr<files::Children> files_;
  procfs::Root proc_;
  std::unique_ptr<Port> port_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace memwhy::app
