// SPDX-License-Identifier: Apache-2.0
#include "procfs/cgroup_text.h"

#include <array>
#include <optional>

#include "procfs/text.h"

namespace memwhy::procfs {
namespace {

using events::CgroupMemory;
using Field = std::optional<uint64_t> CgroupMemory::*;

struct Key {
  std::string_view name;
  Field field;
};

constexpr std::string_view kTotal = "total_";

// Page cache on the lists that reclaim looks at: neither shmem, which is on those of anonymous memory, nor locked.
constexpr std::array<Key, 11> kStatOf1 = {{{"rss", &CgroupMemory::anon_bytes},
                                           {"cache", &CgroupMemory::file_bytes},
                                           {"shmem", &CgroupMemory::shmem_bytes},
                                           {"mapped_file", &CgroupMemory::mapped_bytes},
                                           {"active_file", &CgroupMemory::reclaimable_bytes},
                                           {"inactive_file", &CgroupMemory::reclaimable_bytes},
                                           {"dirty", &CgroupMemory::dirty_bytes},
                                           {"writeback", &CgroupMemory::dirty_bytes},
                                           {"swap", &CgroupMemory::swap_bytes},
                                           {"slab", &CgroupMemory::slab_bytes},
                                           {"percpu", &CgroupMemory::percpu_bytes}}};
constexpr std::array<Key, 16> kStatOf2 = {{{"anon", &CgroupMemory::anon_bytes},
                                           {"file", &CgroupMemory::file_bytes},
                                           {"kernel", &CgroupMemory::kernel_bytes},
                                           {"sock", &CgroupMemory::sock_bytes},
                                           {"shmem", &CgroupMemory::shmem_bytes},
                                           {"file_mapped", &CgroupMemory::mapped_bytes},
                                           {"active_file", &CgroupMemory::reclaimable_bytes},
                                           {"inactive_file", &CgroupMemory::reclaimable_bytes},
                                           {"file_dirty", &CgroupMemory::dirty_bytes},
                                           {"file_writeback", &CgroupMemory::dirty_bytes},
                                           {"slab", &CgroupMemory::slab_bytes},
                                           {"slab_reclaimable", &CgroupMemory::slab_reclaimable_bytes},
                                           {"kernel_stack", &CgroupMemory::kernel_stack_bytes},
                                           {"pagetables", &CgroupMemory::page_table_bytes},
                                           {"percpu", &CgroupMemory::percpu_bytes},
                                           {"vmalloc", &CgroupMemory::vmalloc_bytes}}};
constexpr std::array<Key, 4> kEvents = {{{"high", &CgroupMemory::high_events},
                                         {"max", &CgroupMemory::max_events},
                                         {"oom", &CgroupMemory::oom_events},
                                         {"oom_kill", &CgroupMemory::oom_kills}}};

// Two keys of one field add up.
template <typename Keys>
void take(const Keys& keys, std::string_view name, std::string_view value, CgroupMemory& out) {
  for (const Key& key : keys) {
    if (key.name != name) continue;
    if (const auto number = parse_number(value)) out.*key.field = (out.*key.field).value_or(0) + *number;
  }
}

// each(key, rest of the line)
template <typename F>
void for_each_entry(std::string_view text, F each) {
  for (size_t line = 0; line < kCgroupLinesAtMost && !text.empty(); ++line) {
    const size_t end = text.find('\n');
    const std::string_view whole = text.substr(0, end);
    const size_t blank = whole.find(' ');
    if (blank != std::string_view::npos) each(whole.substr(0, blank), whole.substr(blank + 1));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

void parse_memory_stat(std::string_view text, bool unified, CgroupMemory& out) {
  for_each_entry(text, [&](std::string_view name, std::string_view value) {
    if (unified) return take(kStatOf2, name, value, out);
    if (name.starts_with(kTotal)) take(kStatOf1, name.substr(kTotal.size()), value, out);
  });
  if (!unified || out.kernel_bytes) return;
  // Linux before 5.18 has only the parts.
  for (const Field part : {&CgroupMemory::slab_bytes, &CgroupMemory::kernel_stack_bytes,
                           &CgroupMemory::page_table_bytes, &CgroupMemory::percpu_bytes})
    if (out.*part) out.kernel_bytes = out.kernel_bytes.value_or(0) + *(out.*part);
}

void parse_memory_events(std::string_view text, CgroupMemory& out) {
  for_each_entry(text,
                 [&](std::string_view name, std::string_view value) { take(kEvents, name, value, out); });
}

void parse_memory_pressure(std::string_view text, CgroupMemory& out) {
  // some avg10=0.00 avg60=0.02 avg300=0.03 total=718419
  constexpr std::string_view kSum = "total=";
  for_each_entry(text, [&](std::string_view name, std::string_view value) {
    const size_t at = value.find(kSum);
    if (at == std::string_view::npos) return;
    const auto number = parse_number(value.substr(at + kSum.size()));
    if (name == "some") out.waited_some_us = number;
    if (name == "full") out.waited_full_us = number;
  });
}

}  // namespace memwhy::procfs
