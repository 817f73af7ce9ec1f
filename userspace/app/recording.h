// SPDX-License-Identifier: Apache-2.0
// Recording: which processes are attached to a running session, now and later: the requested ones, and those of the same name
// or cgroup that appear while it runs.
//
// What it is: the rules of attaching, of newcomers, of waiting for the end. What it is not: a terminal, a signal or a file;
// those take part through an Audience. What comes next: live.cpp, which is one.
//
//   attach({4711, 4712})     4712 cannot be recorded     audience.refused("not recorded: pid 4712 (x): …")
//   wait()                   4720 has the same name      audience.joined("pid 4720 (web)")
//                            audience.glance() is true   the recording ends: "stopped"
#pragma once

#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "procfs/discovery.h"
#include "record/session.h"

namespace memwhy::app {

// Without waiting.
bool is_ready(const std::future<Status>& future);

// Observes the recording, and may end it. All are called by the thread that attaches and waits.
class Audience {
 public:
  virtual ~Audience() = default;
  // Takes about 200 ms, for what has to be done now and then; true: the recording is to stop.
  virtual bool glance() = 0;
  virtual bool stopped() const = 0;  // without waiting
  // Everyone is attached, and nothing is counted yet: a command of our own is let go here.
  virtual Status before_start() { return {}; }
  virtual void refused(const std::string& /*sentence*/) {}
  virtual void joined(const std::string& /*name*/) {}
  virtual void progress(const record::Progress& /*now*/) {}
};

class Recording {
 public:
  // All of them must outlive it.
  Recording(const procfs::Wanted& wanted, const procfs::Root& proc, record::Session& session,
            Audience& audience)
      : wanted_(wanted), proc_(proc), session_(session), audience_(audience) {}

  // Which of the wanted can be recorded. An Error: none; of processes that were named by number, the first that can't be.
  static Result<std::vector<Pid>> choose(const procfs::Root& proc, const procfs::Wanted& wanted);

  // Attaches to them. An Error: to none.
  Status attach(const std::vector<Pid>& pids);
  // Until it is over.
  void wait();

  const std::string& first() const { return first_; }  // "pid 4711 (web)"
  size_t attached() const { return known_.size(); }

 private:
  std::optional<Status> add(Pid pid);
  void refuse(Pid pid, const std::string& name, const Error& error);
  void say_refused();
  void invite_newcomers();
  void welcome_newcomers();

  const procfs::Wanted& wanted_;
  const procfs::Root& proc_;
  record::Session& session_;
  Audience& audience_;
  std::set<Pid> known_;
  std::map<Pid, std::future<Status>> joining_;
  std::set<Pid> refused_;            // each is reported once
  std::vector<std::string> unsaid_;  // the first ones of these
  size_t unsaid_count_ = 0;
  std::optional<Error> refusal_;  // the last one
  std::string first_;
};

}  // namespace memwhy::app
