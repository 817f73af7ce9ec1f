// SPDX-License-Identifier: Apache-2.0
// The rules by name, one for each cause; rules.cpp lists them.
#pragma once

#include "explain/rules/rule.h"

namespace memwhy::explain {

const Rule& race_detector_rule();
const Rule& file_mapping_rule();
const Rule& shared_memory_rule();
const Rule& thread_stacks_rule();
const Rule& anon_growth_rule();

}  // namespace memwhy::explain
