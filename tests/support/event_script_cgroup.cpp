// SPDX-License-Identifier: Apache-2.0
#include "support/event_script_cgroup.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace memwhy::testing {
namespace {

using events::CgroupMemory;

constexpr std::pair<const char*, std::optional<uint64_t> CgroupMemory::*> kNumbers[] = {
    {"limit", &CgroupMemory::limit_bytes},
    {"high", &CgroupMemory::high_bytes},
    {"peak", &CgroupMemory::peak_bytes},
    {"anon", &CgroupMemory::anon_bytes},
    {"file", &CgroupMemory::file_bytes},
    {"kernel", &CgroupMemory::kernel_bytes},
    {"sock", &CgroupMemory::sock_bytes},
    {"shmem", &CgroupMemory::shmem_bytes},
    {"reclaimable", &CgroupMemory::reclaimable_bytes},
    {"dirty", &CgroupMemory::dirty_bytes},
    {"mapped", &CgroupMemory::mapped_bytes},
    {"slab", &CgroupMemory::slab_bytes},
    {"slab_reclaimable", &CgroupMemory::slab_reclaimable_bytes},
    {"stacks", &CgroupMemory::kernel_stack_bytes},
    {"tables", &CgroupMemory::page_table_bytes},
    {"percpu", &CgroupMemory::percpu_bytes},
    {"vmalloc", &CgroupMemory::vmalloc_bytes},
    {"swap", &CgroupMemory::swap_bytes},
    {"swap_limit", &CgroupMemory::swap_limit_bytes},
    {"high_events", &CgroupMemory::high_events},
    {"max_events", &CgroupMemory::max_events},
    {"oom_events", &CgroupMemory::oom_events},
    {"kills", &CgroupMemory::oom_kills},
    {"some_us", &CgroupMemory::waited_some_us},
    {"full_us", &CgroupMemory::waited_full_us}};

}  // namespace

CgroupMemory parse_cgroup_memory(Words& w) {
  CgroupMemory cgroup;
  cgroup.path = w.next("path");
  cgroup.unified = w.flag("v2");
  cgroup.usage_bytes = w.number("usage");
  for (const auto& [name, member] : kNumbers) cgroup.*member = w.maybe_number(name);
  return cgroup;
}

std::string format_cgroup_memory(const CgroupMemory& e) {
  std::string text = "cgroup " + e.path;
  if (e.unified) text += " v2";
  text += fmt::format(" usage={}", e.usage_bytes);
  for (const auto& [name, member] : kNumbers)
    if (e.*member) text += fmt::format(" {}={}", name, *(e.*member));
  return text;
}

}  // namespace memwhy::testing
