// SPDX-License-Identifier: Apache-2.0
// The causes: one line each, which is the whole registration. A cause `x` is the file x.cpp that defines
// x_rule(). Findings with equal bytes come in this order.
#pragma once

#include "explain/rules/rule.h"

#define MEMWHY_CAUSES(CAUSE)        \
  CAUSE(race_detector)              \
  CAUSE(race_detector_leak)         \
  CAUSE(instrumented_build)         \
  CAUSE(goroutine_leak)             \
  CAUSE(goroutines)                 \
  CAUSE(live_heap_growth)           \
  CAUSE(gc_headroom)                \
  CAUSE(idle_heap)                  \
  CAUSE(lazy_free)                  \
  CAUSE(huge_heap)                  \
  CAUSE(fragmentation)              \
  CAUSE(goroutine_stacks)           \
  CAUSE(profiler_buckets)           \
  CAUSE(metadata_after_peak)        \
  CAUSE(trace_buffers)              \
  CAUSE(finalizer_queue)            \
  CAUSE(held_heap)                  \
  CAUSE(pool_retention)             \
  CAUSE(untouched_large_allocation) \
  CAUSE(program_data)               \
  CAUSE(own_mappings)               \
  CAUSE(c_own_mappings)             \
  CAUSE(huge_pages)                 \
  CAUSE(locked_memory)              \
  CAUSE(hugetlb)                    \
  CAUSE(swap)                       \
  CAUSE(oom_kill)                   \
  CAUSE(near_limit)                 \
  CAUSE(cgroup_page_cache)          \
  CAUSE(cgroup_kernel_memory)       \
  CAUSE(file_mapping)               \
  CAUSE(shared_memory)              \
  CAUSE(c_heap_free)                \
  CAUSE(c_heap_growth)              \
  CAUSE(python_arenas)              \
  CAUSE(java_heap_committed)        \
  CAUSE(java_metaspace)             \
  CAUSE(javascript_heap)            \
  CAUSE(php_heap)                   \
  CAUSE(thread_stacks)              \
  CAUSE(thread_leak)                \
  CAUSE(transient_spike)            \
  CAUSE(unshared_by_fork)           \
  CAUSE(managed_heap)               \
  CAUSE(anon_growth)

namespace memwhy::explain {

#define MEMWHY_DECLARE_CAUSE(name) const Rule& name##_rule();
MEMWHY_CAUSES(MEMWHY_DECLARE_CAUSE)
#undef MEMWHY_DECLARE_CAUSE

}  // namespace memwhy::explain
