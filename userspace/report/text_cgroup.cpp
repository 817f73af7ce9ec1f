// SPDX-License-Identifier: Apache-2.0
// A memory cgroup as a sum: its usage by what it is. Numbers of the column are rounded together, so that what is printed adds
// up to what is printed below the line.
//
//   Container /pod1 (cgroup version 2): limit 512.0 MiB - usage 480.0 MiB = 32.0 MiB of room
//          MiB
//        280.0  anonymous memory of web (pid 812)
//         20.0  other anonymous memory
//        138.0  page cache that can be reclaimed
//        ...
//        480.0  usage: 503,316,480 bytes
#include <fmt/format.h>

#include <vector>

#include "base/text.h"
#include "report/layout.h"
#include "report/text_parts.h"

namespace memwhy::report {
namespace {

using explain::CgroupSummary;
using explain::ContainerProcess;
using explain::ContainerSummary;

constexpr size_t kProcessesShown = 12;
constexpr uint64_t kLeastDirty = uint64_t{1} << 20;

struct Row {
  int64_t bytes = 0;
  std::string what;
};

int64_t whole(uint64_t bytes) { return static_cast<int64_t>(bytes); }
int64_t whole(const std::optional<uint64_t>& bytes) { return whole(bytes.value_or(0)); }

void add(std::vector<Row>& rows, int64_t bytes, std::string what) {
  if (bytes != 0) rows.push_back({bytes, std::move(what)});
}

// Each sign is rounded by itself; the total is the sum of what is printed.
void print_rows(Page& page, const std::vector<Row>& rows, uint64_t total, std::string_view name) {
  const Unit unit = unit_for(total);
  std::vector<uint64_t> up, down;
  for (const Row& row : rows)
    (row.bytes < 0 ? down : up).push_back(static_cast<uint64_t>(std::abs(row.bytes)));
  const std::vector<uint64_t> ups = tenths(up, unit.bytes), downs = tenths(down, unit.bytes);
  page.line(fmt::format("  {:>10}", unit.name), Ink::kDim);
  size_t i = 0, k = 0;
  int64_t sum = 0;
  for (const Row& row : rows) {
    const uint64_t value = row.bytes < 0 ? downs[k++] : ups[i++];
    if (value == 0) continue;
    sum += row.bytes < 0 ? -whole(value) : whole(value);
    page.paragraph(fmt::format("  {:>10}  ", (row.bytes < 0 ? "-" : "") + tenths_text(value)), row.what);
  }
  page.line(fmt::format("  {:>10}  {}: {} bytes",
                        tenths_text(static_cast<uint64_t>(std::max<int64_t>(sum, 0))), name, grouped(total)),
            Ink::kBold);
  page.blank();
}

// What is not anonymous memory of processes.
void add_rest(const events::CgroupMemory& memory, std::vector<Row>& rows) {
  add(rows, whole(memory.reclaimable_bytes), "page cache that can be reclaimed");
  add(rows, whole(memory.shmem_bytes), "shared memory and tmpfs (shmem)");
  const int64_t cache =
      whole(memory.file_bytes) - whole(memory.reclaimable_bytes) - whole(memory.shmem_bytes);
  add(rows, cache,
      cache < 0 ? "of that page cache counted twice" : "other page cache: locked, or on its way");
  std::string parts;
  for (const auto& [bytes, what] :
       {std::pair{memory.slab_bytes, "slab"}, std::pair{memory.page_table_bytes, "page tables"},
        std::pair{memory.kernel_stack_bytes, "kernel stacks"}, std::pair{memory.percpu_bytes, "per-CPU"},
        std::pair{memory.vmalloc_bytes, "vmalloc"}})
    if (bytes.value_or(0) > 0)
      parts += fmt::format("{}{} {}", parts.empty() ? ": " : ", ", what, human_bytes(*bytes));
  add(rows, whole(memory.kernel_bytes), "kernel" + parts);
  add(rows, whole(memory.sock_bytes), "socket buffers");
  add(rows, memory.untold_bytes(), "not told by the kernel: what CPUs hold in advance, counters that lag");
}

std::string head(const CgroupSummary& own, const std::optional<CgroupSummary>& limits) {
  std::string out =
      fmt::format("Container {} (cgroup version {}): ", escape(own.memory.path), own.memory.unified ? 2 : 1);
  const CgroupSummary& at = limits ? *limits : own;
  if (!at.memory.limit_bytes)
    return out + fmt::format("usage {}, no limit", human_bytes(own.memory.usage_bytes));
  if (limits)
    out +=
        fmt::format("usage {}; {} limits it: ", human_bytes(own.memory.usage_bytes), escape(at.memory.path));
  // In one unit, and as printed it adds up.
  const Unit unit = unit_for(*at.memory.limit_bytes);
  const std::vector<uint64_t> parts = tenths({at.memory.usage_bytes, *at.room_bytes()}, unit.bytes);
  return out + fmt::format("limit {} {} - usage {} = {} {} of room", tenths_text(parts[0] + parts[1]),
                           unit.name, tenths_text(parts[0]), tenths_text(parts[1]), unit.name);
}

std::string beside(const CgroupSummary& cgroup) {
  std::string out;
  const auto say = [&](const std::optional<uint64_t>& value, const std::string& text) {
    if (value.value_or(0) > 0) out += (out.empty() ? "" : "; ") + text;
  };
  const events::CgroupMemory& memory = cgroup.memory;
  say(memory.swap_bytes, human_bytes(memory.swap_bytes.value_or(0)) + " more are in swap");
  if (memory.dirty_bytes.value_or(0) >= kLeastDirty)
    say(memory.dirty_bytes,
        human_bytes(memory.dirty_bytes.value_or(0)) + " of the page cache are to be written first");
  say(cgroup.max_events_seen,
      fmt::format("the limit was hit {} times during the recording", cgroup.max_events_seen.value_or(0)));
  say(cgroup.high_events_seen,
      fmt::format("slowed down {} times by memory.high", cgroup.high_events_seen.value_or(0)));
  if (const double waited = static_cast<double>(cgroup.waited_some_seen_us.value_or(0)) / 1e6; waited >= 0.1)
    say(cgroup.waited_some_seen_us, fmt::format("some of its tasks waited {:.1f} s for memory", waited));
  say(cgroup.oom_kills_seen,
      fmt::format("{} killed for want of memory during the recording", cgroup.oom_kills_seen.value_or(0)));
  return out;
}

}  // namespace

void print_cgroup(Page& page, const explain::ProcessExplanation& process, bool full) {
  if (!process.cgroup_memory || (!full && !process.cgroup_memory->memory.limit_bytes)) return;
  const CgroupSummary& cgroup = *process.cgroup_memory;
  page.paragraph("", head(cgroup, std::nullopt), Ink::kBold);
  if (const std::string text = beside(cgroup); !text.empty()) page.paragraph("  ", text);
  std::vector<Row> rows;
  const int64_t own = process.scan_time ? whole(process.anon_share_bytes) : 0,
                others = whole(cgroup.memory.anon_bytes) - own;
  add(rows, own,
      fmt::format("anonymous memory of {} (pid {}){}", escape(process.comm), process.pid,
                  process.anon_share_bytes < process.rss.anon ? ": its share" : ""));
  add(rows, others, others < 0 ? "of it counted in another cgroup, or come since" : "other anonymous memory");
  add_rest(cgroup.memory, rows);
  print_rows(page, rows, cgroup.memory.usage_bytes, "usage");
}

void print_container(Page& page, const ContainerSummary& container) {
  page.paragraph("", head(container.own, container.limits), Ink::kBold);
  if (const std::string text = beside(container.own); !text.empty()) page.paragraph("  ", text);
  std::vector<Row> rows;
  int64_t smaller = 0, others = whole(container.own.memory.anon_bytes);
  for (size_t i = 0; i < container.processes.size(); ++i) {
    const ContainerProcess& each = container.processes[i];
    if (i < kProcessesShown || container.processes.size() == kProcessesShown + 1)
      add(rows, whole(each.anon_share_bytes),
          fmt::format("anonymous memory of {} (pid {}){}", escape(each.comm), each.pid,
                      each.anon_share_bytes < each.anon_bytes ? ": its share" : ""));
    else
      smaller += whole(each.anon_share_bytes);
    others -= whole(each.anon_share_bytes);
  }
  if (smaller > 0)
    add(rows, smaller,
        fmt::format("anonymous memory of {} smaller ones", container.processes.size() - kProcessesShown));
  if (container.other_anon_bytes && others != 0)
    add(rows, others,
        others < 0 ? "of it shared by several (fork): counted once in the container"
                   : "anonymous memory of processes that are not recorded");
  add_rest(container.own.memory, rows);
  print_rows(page, rows, container.own.memory.usage_bytes, "usage");
}

}  // namespace memwhy::report
