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
const Rule& goroutine_leak_rule();
const Rule& live_heap_growth_rule();
const Rule& gc_headroom_rule();
const Rule& idle_heap_rule();
const Rule& lazy_free_rule();
const Rule& fragmentation_rule();
const Rule& goroutine_stacks_rule();
const Rule& profiler_buckets_rule();
const Rule& metadata_after_peak_rule();
const Rule& race_detector_leak_rule();
const Rule& untouched_large_allocation_rule();

}  // namespace memwhy::explain
