// SPDX-License-Identifier: Apache-2.0
// The agent's state as text: metrics, and what its commands print. Pure.
#pragma once

#include <string>

#include "app/agent_state.h"

namespace memwhy::app {

std::string metrics_text(const AgentState& state, bool open_metrics);
std::string status_text(const AgentState& state);
std::string top_text(const AgentState& state);
std::string recordings_text(const AgentState& state);

// What is given up for the budget: "nothing is given up", "12 of 50 processes are recorded" …
std::string given_up_text(const AgentState& state);

}  // namespace memwhy::app
