// SPDX-License-Identifier: Apache-2.0
// GoWatch: what the Go runtimes of some live processes count of their heaps, read slowly by a thread of its own. For memwhy
// top: how much of a process's RSS a heap profile shows, without a recording.
//
//   top ── the heaviest pids ──► thread   one step at a time: is it Go? open it │ read its statistics again (10 s old)
//       ◄── pid → GoCounters ──┘          and then a pause of 200 times its CPU time: about 1 % of a CPU
//
// What it is not: the ledger. The counters are the runtime's own, of virtual bytes. What comes next: memwhy explain -p PID.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "events/go_runtime.h"
#include "files/children.h"
#include "goruntime/open_program.h"
#include "procfs/root.h"

namespace memwhy::app {

class GoWatch {
 public:
  // kEnvironment: there can be no children that read files.
  static Result<std::unique_ptr<GoWatch>> start();
  ~GoWatch();  // waits for the step that runs, some seconds at worst
  GoWatch(const GoWatch&) = delete;
  GoWatch& operator=(const GoWatch&) = delete;

  // The processes that are worth it, most important first; of others nothing is known any more.
  void look_at(std::vector<Pid> pids);
  std::map<Pid, events::GoCounters> known() const;

 private:
  struct Target;
  GoWatch(std::unique_ptr<files::Children> files, procfs::Root proc);
  void run();
  void step(const std::vector<Pid>& wanted);
  void open(Pid pid);
  void read(Pid pid, Target& target);

  std::unique_ptr<files::Children> files_;
  goruntime::FilesWithoutGo without_go_;
  procfs::Root proc_;
  std::map<Pid, std::unique_ptr<Target>> targets_;  // the thread's own
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // With the lock held.
  bool stop_ = false;
  std::vector<Pid> wanted_;
  std::map<Pid, events::GoCounters> known_;
  std::thread thread_;
};

}  // namespace memwhy::app
