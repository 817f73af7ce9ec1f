// SPDX-License-Identifier: Apache-2.0
// cgroup-kernel-memory: what the kernel itself holds for a container: slab (dentries, inodes, pipes), page tables, kernel
// stacks, BPF maps, socket buffers. It counts against the limit and is in no process's RSS. Reported for a process that
// has its container to itself, judging by memory, and for a requested container: otherwise its owner is not counted.
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kLeastKernelBytes = uint64_t{16} << 20;
constexpr uint64_t kLeastKernelShare = 5;  // a fifth of what is held
constexpr double kNearlyAll = 3.0 / 4;     // of the anonymous memory in it: the process is the container

struct Part {
  const char* words;
  uint64_t bytes;
};

// Those that are known, largest first.
std::vector<Part> parts_of(const events::CgroupMemory& memory) {
  std::vector<Part> parts = {{"slab", memory.slab_bytes.value_or(0)},
                             {"page tables", memory.page_table_bytes.value_or(0)},
                             {"kernel stacks", memory.kernel_stack_bytes.value_or(0)},
                             {"per-CPU memory", memory.percpu_bytes.value_or(0)},
                             {"vmalloc (BPF maps and rings, kernel stacks, tables of the firewall)",
                              memory.vmalloc_bytes.value_or(0)},
                             {"socket buffers", memory.sock_bytes.value_or(0)}};
  std::erase_if(parts, [](const Part& part) { return part.bytes == 0; });
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.bytes > b.bytes; });
  return parts;
}

// Of a machine's or a user's container, in which much else lives, the kernel's part is not this process's doing.
bool has_it_to_itself(const Case& c) {
  const std::optional<uint64_t>& all = c.cgroup->memory.anon_bytes;
  if (c.cgroup->asked_for || !all || !c.process.counters) return true;
  return static_cast<double>(c.process.counters->rss_anon_bytes) >= static_cast<double>(*all) * kNearlyAll;
}

class CgroupKernelMemory : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (c.cgroup == nullptr || c.cgroup->is_root() || !has_it_to_itself(c)) return std::nullopt;
    const events::CgroupMemory& memory = c.cgroup->memory;
    const uint64_t kernel = memory.kernel_bytes.value_or(0) + memory.sock_bytes.value_or(0);
    if (kernel < kLeastKernelBytes || kernel * kLeastKernelShare < memory.held_bytes()) return std::nullopt;
    // Read a moment apart, a part may be more than the whole.
    const uint64_t held = std::max(kernel, memory.held_bytes());
    const double share = static_cast<double>(kernel) / static_cast<double>(held);
    Finding finding;
    finding.id = "cgroup-kernel-memory";
    finding.of_other_owners = true;
    finding.headline =
        fmt::format("{} of its container are held by the kernel, in no process's RSS", human_bytes(kernel));
    finding.claim = fmt::format(
        "The kernel holds {} for {}, {} of what can't be reclaimed there as page cache: it counts "
        "against the limit and is in no process's RSS.",
        human_bytes(kernel), memory.path, human_share(share));
    add_parts(c, memory, finding);
    finding.bytes_figure("kernel_bytes", kernel);
    if (memory.slab_reclaimable_bytes.value_or(0) > 0)
      finding.against.push_back(
          fmt::format("{} of the slab are caches (dentries, inodes) that the kernel takes back",
                      human_bytes(*memory.slab_reclaimable_bytes)));
    finding.remedy =
        "Close what is open: descriptors, pipes, sockets, and BPF maps stand for this memory. Many small "
        "files that are "
        "looked up once leave dentries, which go by themselves at the limit.";
    finding.confidence = Confidence::kHigh;
    return finding;
  }

 private:
  static void add_parts(const Case& c, const events::CgroupMemory& memory, Finding& finding) {
    std::string text;
    for (const Part& part : parts_of(memory))
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", part.words, human_bytes(part.bytes));
    if (!memory.unified)
      text += (text.empty() ? "" : "; ") +
              std::string("cgroup version 1 does not tell what of it is slab or page tables");
    finding.evidence.push_back(text);
    if (c.process.counters && c.process.counters->page_table_bytes > 0)
      finding.evidence.push_back(fmt::format("page tables of {}: {}", c.process.comm,
                                             human_bytes(c.process.counters->page_table_bytes)));
  }
};

}  // namespace

const Rule& cgroup_kernel_memory_rule() {
  static const CgroupKernelMemory kRule;
  return kRule;
}

}  // namespace memwhy::explain
