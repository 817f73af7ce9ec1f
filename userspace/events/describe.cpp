// SPDX-License-Identifier: Apache-2.0
// The text form of events: one line each, in the order of the fields. Strings from outside are escaped.
#include <fmt/format.h>

#include <string_view>

#include "base/text.h"
#include "events/event.h"

namespace memwhy::events {
namespace {

constexpr double kNsPerSecond = 1e9;

// 40961 -> "40,961"
std::string bytes(uint64_t number) { return grouped(number) + " B"; }

// Printable ASCII as it is, everything else as \xNN: a comm or a path may hold what a terminal would obey.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string list(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + quoted(text);
  return "[" + out + "]";
}

std::string name(SpaceId space) { return fmt::format("space {}", static_cast<uint32_t>(space)); }
std::string name(BinaryId binary) { return fmt::format("binary {}", static_cast<uint32_t>(binary)); }
std::string name(StackId stack) {
  if (stack == StackId::kNone) return "no stack";
  if (stack == StackId::kLost) return "stack lost";
  return fmt::format("stack {}", static_cast<uint32_t>(stack));
}
std::string name(AddressRange range) {
  return fmt::format("{:#x}-{:#x} ({})", range.start, range.end, bytes(range.bytes()));
}

const char* name(StartHow how) {
  switch (how) {
    case StartHow::kAttached:
      return "attached";
    case StartHow::kForked:
      return "forked";
    case StartHow::kExeced:
      return "execed";
  }
  return "?";
}
const char* name(EndWhy why) {
  switch (why) {
    case EndWhy::kExited:
      return "exited";
    case EndWhy::kExeced:
      return "execed";
    case EndWhy::kDetached:
      return "detached";
  }
  return "?";
}
const char* name(UnmapWhy why) {
  switch (why) {
    case UnmapWhy::kMunmap:
      return "munmap";
    case UnmapWhy::kFixed:
      return "mapped over";
    case UnmapWhy::kBrk:
      return "brk";
    case UnmapWhy::kMadvise:
      return "madvise";
  }
  return "?";
}

std::string on(const RecordingInfo& e) {
  return fmt::format("recording part {} by memwhy {} on {}, Linux {} {}, {} CPUs, pages of {}, of {}", e.part,
                     quoted(e.tool_version), quoted(e.host), quoted(e.kernel_release), quoted(e.architecture),
                     e.cpus, bytes(e.page_bytes), list(e.what));
}
std::string on(const ClockAnchor& e) {
  return fmt::format("clock monotonic {} boottime {} realtime {} tick {}", e.monotonic_ns, e.boottime_ns,
                     e.realtime_ns, e.tick);
}
std::string on(const HookReport& e) {
  std::string out = fmt::format("hooks, stacks read {}:", quoted(e.stack_read));
  for (const Hook& hook : e.hooks) {
    out += fmt::format(" {}={} ({});", quoted(hook.name), quoted(hook.attach), quoted(hook.purpose));
  }
  for (const Privilege& kept : e.privileges)
    out += fmt::format(" kept {} ({});", quoted(kept.name), quoted(kept.reason));
  return out + " not seen: " + list(e.sentences());
}
std::string on(const Coverage& e) {
  std::string out = fmt::format(
      "coverage: faults {} seen, {} recorded, {} table full; stacks {} new, {} lost, {} unreadable; {} "
      "frames by helper; "
      "chunks {}/{}; stacks {}/{}; {} copied to learn from, {} refused;",
      grouped(e.faults_seen), grouped(e.faults_recorded), grouped(e.faults_table_full), grouped(e.stacks_new),
      grouped(e.stacks_lost), grouped(e.stacks_unreadable), grouped(e.frames_by_helper),
      grouped(e.chunks_used), grouped(e.chunks_limit), grouped(e.stacks_used), grouped(e.stacks_limit),
      grouped(e.snapshots_taken), grouped(e.snapshots_refused));
  for (const KindCount& kind : e.kinds) {
    out += fmt::format(" {} {} seen = {} delivered + {} lost;", quoted(kind.kind), grouped(kind.seen),
                       grouped(kind.delivered), grouped(kind.lost));
  }
  for (const ProgramCost& cost : e.programs) {
    out += fmt::format(" {} {} runs, {} ns;", quoted(cost.program), grouped(cost.runs),
                       grouped(cost.run_time_ns));
  }
  return out;
}
std::string on(const Loss& e) {
  return fmt::format("{} lost {} {}", name(e.space), grouped(e.count), quoted(e.what));
}
std::string on(const RecordingEnd& e) { return "recording ended: " + quoted(e.why); }

std::string on(const BinaryInfo& e) {
  std::string out = fmt::format("{} {} device {:#x} inode {} build id {}{}", name(e.id), quoted(e.path),
                                e.device, e.inode, quoted(e.build_id), e.stripped ? " stripped" : "");
  if (e.unreadable) out += " unreadable: " + quoted(e.problem);
  if (e.go) {
    out +=
        fmt::format(" Go {}{}{}", quoted(e.go->version), e.go->race ? " race" : "", e.go->cgo ? " cgo" : "");
    if (!e.go->default_godebug.empty()) out += " GODEBUG " + quoted(e.go->default_godebug);
  }
  return out;
}
std::string on(const SymbolInfo& e) {
  std::string out = fmt::format("{} {}{:#x} is {} at {:#x}:", name(e.space), e.is_return ? "return to " : "",
                                e.address, name(e.binary), e.file_offset);
  for (const SourceFrame& frame : e.frames) {
    out += fmt::format(" {} ({}:{})", quoted(frame.function), quoted(frame.file), frame.line);
  }
  return e.frames.empty() ? out + " no name" : out;
}
std::string on(const SpaceStart& e) {
  std::string out = fmt::format("{} pid {} {}", name(e.space), e.tgid, name(e.how));
  if (e.parent != SpaceId::kNone) out += " from " + name(e.parent);
  return out + fmt::format(" comm {} exe {} {} started {} cgroup {} {}", quoted(e.comm), quoted(e.exe),
                           name(e.exe_binary), e.started_ns, quoted(e.cgroup), quoted(e.elf_class));
}
std::string on(const SpaceEnd& e) { return fmt::format("{} {}", name(e.space), name(e.why)); }
std::string on(const ProcessExit& e) {
  return fmt::format("{} pid {} exit status {:#x} rss {}", name(e.space), e.tgid, e.exit_code,
                     e.rss_bytes ? bytes(*e.rss_bytes) : "unknown");
}
std::string on(const OomVictim& e) {
  return fmt::format("{} pid {} was chosen by the OOM killer", name(e.space), e.tgid);
}
std::string on(const ThreadList& e) {
  std::string out = fmt::format("{} {} threads:", name(e.space), grouped(e.threads.size()));
  for (const Thread& thread : e.threads) {
    out += fmt::format(" {} sp {:#x} tls {:#x};", thread.tid, thread.stack_pointer, thread.tls);
  }
  return out;
}
std::string on(const Counters& e) {
  const auto known = [](const std::optional<uint64_t>& value) { return value ? bytes(*value) : "unknown"; };
  return fmt::format(
      "{} rss {} (anon {}, file {}, shmem {}, error {}) swap {} peak {} page tables {} hugetlb {} threads {} "
      "cgroup {} of {}",
      name(e.space), bytes(e.rss_bytes()), bytes(e.rss_anon_bytes), bytes(e.rss_file_bytes),
      bytes(e.rss_shmem_bytes), bytes(e.error_bytes), bytes(e.swap_bytes), bytes(e.peak_bytes),
      bytes(e.page_table_bytes), bytes(e.hugetlb_bytes), e.threads, known(e.cgroup_usage_bytes),
      known(e.cgroup_limit_bytes));
}
std::string on(const VmaList& e) {
  uint64_t total = 0;
  for (const Vma& vma : e.vmas) total += vma.range.bytes();
  return fmt::format("{} {} VMAs, {} mapped", name(e.space), grouped(e.vmas.size()), bytes(total));
}
std::string on(const PageScan& e) {
  return fmt::format("{} scan {}: {} pages in {} runs by {}, begun at {}{}", name(e.space), e.scan,
                     grouped(e.resident_pages()), grouped(e.runs.size()), quoted(e.method), e.start,
                     e.complete ? "" : ", incomplete");
}
std::string on(const PageTableRuns& e) {
  uint64_t pages = 0;
  for (const TableRun& run : e.runs) pages += run.count;
  return fmt::format("{} table{}: {} pages in {} runs as of tick {}", name(e.space),
                     e.restated ? " restated" : "", grouped(pages), grouped(e.runs.size()), e.as_of_tick);
}
std::string on(const Stack& e) {
  std::string out = fmt::format("{} {} {} frames{}{}{}:", name(e.space), name(e.id), e.frames.size(),
                                e.cut ? ", cut" : "", e.unreadable ? ", unreadable" : "",
                                e.unwind == Unwind::kFramePointers
                                    ? ""
                                    : fmt::format(", found in way {}", static_cast<unsigned>(e.unwind)));
  for (const uint64_t frame : e.frames) out += fmt::format(" {:#x}", frame);
  return out;
}

template <typename Call>
std::string call(const char* what, const Call& e, const std::string& details) {
  return fmt::format("{} tid {} {} {} by {} at tick {}", name(e.space), e.tid, what, details, name(e.stack),
                     e.tick);
}
std::string on(const VmaMapped& e) {
  return call("mmap", e,
              fmt::format("{} prot {:#x} flags {:#x} fd {} offset {:#x}", name(e.range), e.prot, e.flags,
                          e.fd, e.offset));
}
std::string on(const VmaUnmapped& e) {
  return call("unmap", e, fmt::format("{} ({}, advice {})", name(e.range), name(e.why), e.advice));
}
std::string on(const VmaAdvised& e) {
  return call("madvise", e, fmt::format("{} advice {}", name(e.range), e.advice));
}
std::string on(const VmaMoved& e) { return call("mremap", e, name(e.from) + " to " + name(e.to)); }
std::string on(const HeapGrown& e) { return call("brk", e, name(e.range)); }

std::string name(Trust trust) {
  switch (trust) {
    case Trust::kVerified:
      return "verified";
    case Trust::kUnverified:
      return "unverified";
    case Trust::kUnreadable:
      break;
  }
  return "unreadable";
}
std::string on(const RuntimePages& e) {
  uint64_t pages = 0;
  for (const RuntimeRun& run : e.runs) pages += run.count;
  return fmt::format("{} pages of runtime {} for scan {}: {}, {} pages in {} runs of {} uses{}",
                     name(e.space), quoted(e.runtime), e.scan, name(e.trust), grouped(pages),
                     grouped(e.runs.size()), e.uses.size(),
                     e.problem.empty() ? "" : ": " + quoted(e.problem));
}

std::string on(const AllocatorHeap& e) {
  return fmt::format(
      "{} heap of {} for scan {}: {} arenas, {} used, {} trimmable, {} pinned, {} top, {} cached, {} "
      "mapped{}",
      name(e.space), quoted(e.allocator), e.scan, grouped(e.arenas), grouped(e.used_bytes),
      grouped(e.trimmable_bytes), grouped(e.pinned_bytes), grouped(e.top_bytes), grouped(e.cached_bytes),
      grouped(e.mapped_bytes), e.problem.empty() ? "" : ": " + quoted(e.problem));
}

std::string on(const CgroupMemory& e) {
  const auto known = [](const std::optional<uint64_t>& value) { return value ? bytes(*value) : "unknown"; };
  return fmt::format(
      "cgroup {}{}: {} of {}, anon {}, file {} (shmem {}, reclaimable {}), kernel {}, sock {}, not told {} "
      "B, "
      "swap {}, limit hit {} times, {} killed",
      quoted(e.path), e.unified ? " (v2)" : " (v1)", bytes(e.usage_bytes),
      e.limit_bytes ? bytes(*e.limit_bytes) : "no limit", known(e.anon_bytes), known(e.file_bytes),
      known(e.shmem_bytes), known(e.reclaimable_bytes), known(e.kernel_bytes), known(e.sock_bytes),
      e.untold_bytes(), known(e.swap_bytes), e.max_events.value_or(0), e.oom_kills.value_or(0));
}

std::string name(GoLayout layout) {
  switch (layout) {
    case GoLayout::kTable:
      return "table";
    case GoLayout::kUnverified:
      return "unverified";
    case GoLayout::kDwarf:
      return "dwarf";
    case GoLayout::kNone:
      break;
  }
  return "none";
}
std::string on(const GoStatistics& e) {
  const GoCounters& c = e.counters;
  return fmt::format(
      "{} go: heap {} in use, {} idle, {} released, {} live, goal {}, stacks {}, {} collections",
      name(e.space), bytes(c.heap_in_use_bytes), bytes(c.heap_free_bytes), bytes(c.heap_released_bytes),
      bytes(c.live_bytes), has_goal(c.goal_bytes) ? bytes(c.goal_bytes) : "none", bytes(c.stack_bytes),
      c.gc_cycles);
}
std::string on(const GoReading& e) {
  return fmt::format("{} go tables of scan {}: layout {}, {} spans, {} in motion{}", name(e.space), e.scan,
                     name(e.layout), grouped(e.spans), grouped(e.spans_in_motion), e.quiet ? ", quiet" : "");
}
std::string on(const GoProfile& e) {
  if (e.source != GoProfile::Source::kBuckets)
    return fmt::format("{} go heap profile: {}", name(e.space),
                       e.source == GoProfile::Source::kOffInBinary ? "off in the binary" : "unreadable");
  return fmt::format("{} go heap profile: {} buckets, rate {}{}", name(e.space), grouped(e.buckets.size()),
                     e.rate,
                     !e.rate_known()  ? " (not known)"
                     : e.rate_assumed ? " assumed"
                                      : "");
}
std::string on(const GoGoroutines& e) {
  return fmt::format("{} {} goroutines in {} groups{}", name(e.space), grouped(e.count),
                     grouped(e.groups.size()), e.complete ? "" : ", not all walked");
}
std::string on(const GoCall& e) {
  return fmt::format("{} tid {} go {} {} {}", name(e.space), e.tid, go_function_name(e.function),
                     bytes(e.bytes), name(e.stack));
}
std::string on(const AllocationCall& e) {
  return fmt::format("{} tid {} allocates {} {}", name(e.space), e.tid, bytes(e.bytes), name(e.stack));
}

}  // namespace

uint64_t PageScan::resident_pages() const {
  uint64_t pages = 0;
  for (const ScanRun& run : runs) {
    if ((run.flags & kScanSwapped) == 0) pages += run.count;
  }
  return pages;
}

std::string describe(const Event& event, TimeNs origin) {
  const auto since = static_cast<int64_t>(event.time - origin);
  return fmt::format("{:+.3f}s {}", static_cast<double>(since) / kNsPerSecond,
                     std::visit([](const auto& payload) { return on(payload); }, event.payload));
}

}  // namespace memwhy::events
