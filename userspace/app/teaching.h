// SPDX-License-Identifier: Apache-2.0
// Teaching: the thread that learns unwind rules while something is recorded (unwind/teacher.h), over the hooks of this
// program, all of its recordings together. It has children of its own for the files of targets: one that hangs holds up rules,
// and nothing else.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "base/result.h"
#include "files/children.h"
#include "probe/kernel_probe.h"
#include "procfs/root.h"
#include "unwind/teacher.h"

namespace memwhy::app {

// The tables in the kernel, as a Teacher wants them.
class RuleTables : public unwind::RulesPort {
 public:
  // Must outlive it.
  explicit RuleTables(probe::Unwinding& unwinding) : unwinding_(unwinding) {}

  size_t take(const std::function<void(const unwind::Taken&)>& use) override;
  void turn(uint32_t snapshots) override { unwinding_.rules().turn(snapshots); }
  std::optional<uint32_t> generation(SpaceId space) override { return unwinding_.rules().generation(space); }
  void watch(SpaceId space, std::span<const AddressRange> code, AddressRange go) override {
    unwinding_.rules().set_code(space, code, go);
  }
  bool publish(SpaceId space, uint32_t generation, std::span<const unwind::LearnedRule> rules) override;
  void complete(const unwind::Taken& taken, std::vector<uint64_t> frames, events::Unwind how) override {
    unwinding_.complete(taken.slot, std::move(frames), how);
  }

 private:
  probe::Unwinding& unwinding_;
};

class Teaching {
 public:
  // `capabilities`: what the thread keeps (privilege.h).
  Teaching(std::unique_ptr<probe::Unwinding> unwinding, std::unique_ptr<files::Children> files,
           procfs::Root proc, uint64_t capabilities);
  ~Teaching();  // waits for the look that runs
  Teaching(const Teaching&) = delete;
  Teaching& operator=(const Teaching&) = delete;

  // Ends it. false: a child that hangs still holds it up, and it may not be destroyed.
  bool stop(std::chrono::nanoseconds patience);

 private:
  void run(uint64_t capabilities);

  std::unique_ptr<probe::Unwinding> unwinding_;
  std::unique_ptr<files::Children> files_;
  procfs::Root proc_;
  RuleTables port_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false, done_ = false;  // with the lock held
  std::thread thread_;
};

}  // namespace memwhy::app
