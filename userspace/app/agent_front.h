// SPDX-License-Identifier: Apache-2.0
// The agent's front as a process (agent/front.h): started with the agent's own program, without a capability, and again when it
// ends.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/channel.h"
#include "agent/front.h"
#include "base/result.h"
#include "files/spawn.h"

namespace memwhy::app {

constexpr const char* kFrontWord = "agent-front";

class FrontProcess {
 public:
  // It listens. The error is its own.
  static Result<FrontProcess> start(agent::FrontOptions options);
  FrontProcess(FrontProcess&&) = default;
  FrontProcess& operator=(FrontProcess&&) = default;
  ~FrontProcess();

  const Fd& channel() const { return channel_; }
  // nullopt: nothing was asked. One that has ended is started again, after a while.
  std::optional<agent::Question> take(TimeNs now);
  void answer(const agent::Question& question, uint32_t status, std::string_view text) const;

 private:
  FrontProcess() = default;
  Status spawn();

  agent::FrontOptions options_;
  files::Child child_;
  Fd channel_;
  TimeNs again_at_ = 0;
};

// The child. The exit status.
int run_front();

}  // namespace memwhy::app
