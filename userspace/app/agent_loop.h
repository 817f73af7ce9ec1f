// SPDX-License-Identifier: Apache-2.0
// The agent as it runs: one thread that looks at all processes each 3 s, keeps the right ones recorded by the session, and has
// rings closed. Everything that it decides by is pure and in agent/; here it is put together.
//
//   each 250 ms   rings are written, children that close rings are looked after, questions of the front are answered
//   each 3 s      pass ─► selection ─► attach, detach ─► session ─► recorder ─► rings
//                             └► growth, step ─┐             └► OOM kills, signals, cgroups ─┐
//                                              └─► gate ─► restate, 2 s ─► closers ─► recording ─► quota
//   each minute   a unit is explained from its ring, as far as a quarter of the budget allows
#pragma once

#include <array>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/memory_limit.h"
#include "agent/notify.h"
#include "app/agent_closers.h"
#include "app/agent_front.h"
#include "app/agent_processes.h"
#include "app/agent_profiles.h"
#include "app/agent_state.h"
#include "app/parts.h"
#include "procfs/root.h"

namespace memwhy::app {

// What an agent is made of; the caller puts it together (cmd_agent.cpp).
struct AgentParts {
  const procfs::Root& proc;
  agent::Store& store;
  std::shared_ptr<agent::Recorder> recorder;
  record::Session& session;
  FrontProcess* front = nullptr;  // nullptr: nothing listens
  agent::Notify& notify;
  const Fd& signals;  // a signalfd of SIGTERM, SIGINT and SIGHUP
};

class AgentLoop {
 public:
  using Reload = std::function<Result<AgentSettings>()>;
  AgentLoop(AgentParts parts, AgentSettings settings, Reload reload);

  // Until it is asked to stop. An Error: the session failed.
  Status run();

 private:
  struct Closing {
    agent::Firing firing;
    TimeNs due = 0;
  };
  struct Attached {
    std::string unit, name;
    TimeNs unwanted_since = 0;  // 0: it is wanted
    bool leaving = false;
  };

  void each_tick(TimeNs now);
  TimeNs pass_period() const;
  void each_pass(TimeNs now);
  bool take_signals();  // true: the end
  void reload();
  void close_what_fired();
  void answer_questions(TimeNs now);
  const std::string& metrics(bool open_metrics);
  uint32_t request(Pid pid, TimeNs now, std::string& text);
  void profile(const agent::Question& question, TimeNs now);

  void adopt_orphans();
  size_t recorded_now() const;
  void spend(TimeNs now);
  void tell_budget(bool gap);
  void note_kept(const char* limit, const std::string& sentence);
  void keep_to_memory(TimeNs now);
  void choose(TimeNs now);
  void attach(const std::vector<agent::Seen>& chosen, TimeNs now);
  void refuse(Pid pid, const Error& error);
  void welcome();
  void fire(TimeNs now);
  bool judge(agent::Firing firing, TimeNs now);  // true: a ring will be closed
  void watch_units(TimeNs now);
  void watch_node(TimeNs now);
  void close_due(TimeNs now);
  void look_at_units(TimeNs now);
  void closed(ClosedJob job, TimeNs now);
  Status keep(const ClosedJob& job, std::string& name);
  void tidy(TimeNs now);

  AgentParts parts_;
  Reload reload_;
  AgentState state_;
  AgentProcesses processes_;
  agent::Selection selection_;
  agent::Gate gate_;
  agent::Budget budget_;
  agent::MemoryLimit memory_;
  agent::Waits node_waits_;
  Closers closers_;
  AgentProfiles profiles_;
  std::map<Pid, Attached> attached_;
  std::map<Pid, TimeNs> refused_;  // tried again then
  std::set<Pid> told_;             // of these, in the log
  std::vector<std::pair<Pid, std::future<Status>>> joining_, leaving_;
  std::vector<Closing> closings_;
  std::map<std::string, TimeNs> deserted_;  // units without a process, since
  std::map<std::string, TimeNs> looked_at_;
  std::set<std::pair<std::string, std::string>> known_causes_;
  TimeNs next_pass_ = 0, next_look_ = 0, next_tidy_ = 0, next_watchdog_ = 0, spent_at_ = 0, lent_at_ = 0;
  std::array<std::pair<TimeNs, std::string>, 2> metrics_;  // and when they were made
  uint64_t closing_number_ = 0;
  bool stopping_ = false, over_disk_ = false;
};

}  // namespace memwhy::app
