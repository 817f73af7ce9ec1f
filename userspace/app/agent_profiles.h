// SPDX-License-Identifier: Apache-2.0
// Profiles of what is resident, asked for over HTTP: each is made of a unit's ring by a child (agent_answer.h), given to all who wait
// for it, and kept for as long as a part of the budget has not paid for the next one. A collector may ask as often as it likes.
//
//   api  asked by 1        a child makes it          0.4 s of CPU
//        asked by 2, 3     all three are given it    kept for 160 s, where 0.0025 s a second are for profiles
//        asked by 4        given the same
//   web  asked by 5        0.2 s                     kept for 160 s: there are two of them to pay for
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/channel.h"
#include "app/agent_closers.h"

namespace memwhy::app {

class AgentProfiles {
 public:
  std::optional<std::string> kept(const std::string& unit, TimeNs now) const;
  bool awaited(const std::string& unit) const { return awaiting_.contains(unit); }
  void await(const std::string& unit, const agent::Question& question) {
    awaiting_[unit].push_back(question);
  }
  std::vector<agent::Question> take_awaiting(const std::string& unit);

  // What a child has made, or why not; its file is gone then. `share`: of a CPU, for all profiles.
  Result<std::string> made(const ClosedJob& job, double share, TimeNs now);
  void tidy(TimeNs now);

 private:
  struct Kept {
    Fd file;  // without a name
    TimeNs until = 0;
  };
  std::map<std::string, Kept> kept_;
  std::map<std::string, std::vector<agent::Question>> awaiting_;
};

}  // namespace memwhy::app
