// SPDX-License-Identifier: Apache-2.0
// The texts of a memory cgroup as values, version 1 and 2: pure functions over bytes, nothing is opened here. Where the files
// are is cgroup.h's.
//
// Lines are "key number"; others, and unknown keys, are skipped: kernels add keys. The kernel writes them, so they can be
// trusted, but their length is bounded all the same.
#pragma once

#include <string_view>

#include "events/cgroup.h"

namespace memwhy::procfs {

constexpr size_t kCgroupTextAtMost = size_t{64} << 10;  // of memory.stat: 2 KiB today
constexpr size_t kCgroupLinesAtMost = 1024;

// memory.stat. Version 1: the keys with "total_", which include the cgroups below; those without do not.
void parse_memory_stat(std::string_view text, bool unified, events::CgroupMemory& out);
// memory.events (version 2) or memory.oom_control (version 1, "oom_kill" of this cgroup alone).
void parse_memory_events(std::string_view text, events::CgroupMemory& out);
// memory.pressure.
void parse_memory_pressure(std::string_view text, events::CgroupMemory& out);

}  // namespace memwhy::procfs
