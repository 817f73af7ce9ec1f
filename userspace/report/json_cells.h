// SPDX-License-Identifier: Apache-2.0
// The attribution table as JSON: cells, and the mappings, stacks and frames that they name by index. Large, so only
// with `--cells`.
#pragma once

#include <nlohmann/json.hpp>

#include "explain/explanation.h"

namespace memwhy::report {

// Adds "frames", "stacks", "mappings" and "cells" to the entry of a process.
void add_attribution(const explain::Attribution& all, nlohmann::ordered_json& process);

template <typename T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}
// Null for "".
nlohmann::ordered_json text_or_null(const std::string& text);
// A stack of the table as text, innermost first; [] of kNoIndex.
nlohmann::ordered_json frame_texts(const explain::Attribution& all, uint32_t stack, explain::FrameText how);

}  // namespace memwhy::report
