// SPDX-License-Identifier: Apache-2.0
// The agent's state as text: metrics, and what its commands print. Pure.
#pragma once

#include <string>
#include <string_view>

#include "app/agent_state.h"

namespace memwhy::app {

std::string metrics_text(const AgentState& state, bool open_metrics);
std::string status_text(const AgentState& state);
std::string top_text(const AgentState& state);
std::string recordings_text(const AgentState& state);

// "nothing given up", "scans are farther apart" …
std::string_view text_of(agent::Level level);

}  // namespace memwhy::app
