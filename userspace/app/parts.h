// SPDX-License-Identifier: Apache-2.0
// Parts: everything that the threads of one session use, put together and owned in one place.
//
// What it is: the composition of procfs, files, hooks and symbols under a Session, for anything that records: the command line
// makes one, an agent one for each recording, over ports of one KernelProbe. What it is not: where the events go (sinks come
// with their owner) or which processes are recorded (recording.h).
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/adapters.h"
#include "app/privilege.h"
#include "app/teaching.h"
#include "files/children.h"
#include "record/session.h"

namespace memwhy::app {

struct Parts {
  // `owner` keeps alive what the sinks are part of.
  Parts(procfs::Root root, std::unique_ptr<files::Children> readers,
        std::unique_ptr<record::KernelSource> hooks, std::unique_ptr<Teaching> teacher,
        std::vector<record::Sink> sinks, std::shared_ptr<void> owner, record::SessionOptions options)
      : proc(std::move(root)),
        files(std::move(readers)),
        kernel(std::move(hooks)),
        teaching(std::move(teacher)),
        sinks_owner(std::move(owner)),
        processes(proc, *files),
        symbols(*files),
        session(*kernel, processes, symbols, std::move(sinks), clock, std::move(options)) {}

  procfs::Root proc;
  std::unique_ptr<files::Children> files;
  std::unique_ptr<record::KernelSource> kernel;
  std::unique_ptr<Teaching> teaching;  // nullptr: stacks are found by frame pointers alone
  std::shared_ptr<void> sinks_owner;
  ProcfsOpener processes;
  Symbols symbols;
  ClockOfWork clock{*files};
  record::Session session;
};

// The last looks may take so long; with an attaching that is waited for, the end takes less than two seconds.
constexpr TimeNs kPatience = 1'200'000'000;

constexpr std::chrono::milliseconds kTeachingPatience{300};

// A thread that does not come back goes on using them: then they stay, and memwhy ends, when it does, without looking back.
struct EndOfParts {
  void operator()(Parts* parts) const {
    parts->session.finish(kPatience);
    const bool taught = parts->teaching == nullptr || parts->teaching->stop(kTeachingPatience);
    if (taught && !parts->session.abandoned()) {
      delete parts;
      return;
    }
    ::on_exit([](int status, void*) { ::_exit(status); }, nullptr);
  }
};
using PartsPtr = std::unique_ptr<Parts, EndOfParts>;

// Starts the children, loads the programs into the kernel, and puts a session over them, which is not started yet. Its threads
// keep what `privileges` has for each. Arguments as of Parts; `options` needs no on_thread. `to_a_budget`: as of open_probe(); what
// rests is read less often.
Result<PartsPtr> assemble(procfs::Root proc, const PrivilegePlan& privileges, std::vector<record::Sink> sinks,
                          std::shared_ptr<void> owner, record::SessionOptions options,
                          const std::vector<std::string>& debug_directories, bool to_a_budget = false);

}  // namespace memwhy::app
