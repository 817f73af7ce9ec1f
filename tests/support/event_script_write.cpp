// SPDX-License-Identifier: Apache-2.0
// The reverse direction: an event as a line of the grammar.
#include <cstdio>
#include <map>

#include "support/event_script.h"
#include "support/event_script_allocator.h"
#include "support/event_script_cgroup.h"
#include "support/event_script_go.h"

namespace memwhy::testing {
namespace {

using namespace memwhy::events;

std::string hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string seconds(TimeNs time) {
  char text[48];
  std::snprintf(text, sizeof text, "%llu.%09llu", static_cast<unsigned long long>(time / 1'000'000'000),
                static_cast<unsigned long long>(time % 1'000'000'000));
  std::string s = text;
  while (s.back() == '0') s.pop_back();
  if (s.back() == '.') s.pop_back();
  return s;
}

std::string tick_seconds(uint64_t tick) { return seconds(tick * (1'000'000'000 / kScriptTickHz)); }
std::string id(SpaceId space) { return " " + std::to_string(static_cast<uint32_t>(space)); }
std::string id(BinaryId binary) { return "b" + std::to_string(static_cast<uint32_t>(binary)); }
std::string id(StackId stack) {
  if (stack == StackId::kNone) return "-";
  return stack == StackId::kLost ? "lost" : "s" + std::to_string(static_cast<uint32_t>(stack));
}
std::string pages(PageNumber page, uint64_t count) { return hex(page) + "+" + std::to_string(count); }
std::string range(AddressRange r) {
  if (((r.start | r.end) & (kPageBytes - 1)) == 0)
    return pages(r.start >> kPageShift, r.bytes() >> kPageShift);
  return "0x" + hex(r.start) + "-0x" + hex(r.end);
}
std::string quoted(const std::string& text) {
  return text.find(' ') == std::string::npos ? text : "\"" + text + "\"";
}
std::string named(const char* key, const std::string& value) {
  return value.empty() ? "" : std::string(" ") + key + "=" + quoted(value);
}
std::string named(const char* key, uint64_t value) {
  return value == 0 ? "" : std::string(" ") + key + "=" + std::to_string(value);
}
std::string flag(const char* name, bool on) { return on ? std::string(" ") + name : ""; }

struct Line {
  std::string operator()(const RecordingInfo& e) const {
    std::string s = "info" + named("tool", e.tool_version) + named("host", e.host) +
                    named("kernel", e.kernel_release) + named("arch", e.architecture) +
                    named("cpus", e.cpus) + named("part", e.part);
    for (const std::string& what : e.what) s += named("what", what);
    return s;
  }
  std::string operator()(const ClockAnchor&) const { return "anchor"; }
  std::string operator()(const HookReport& e) const {
    std::string s = "hooks" + named("read", e.stack_read);
    for (const Hook& hook : e.hooks) s += " " + hook.name + ":" + hook.attach;
    for (const Privilege& kept : e.privileges) s += " " + kept.name + ":capability";
    for (const std::string& not_seen : e.not_seen) s += named("not_seen", not_seen);
    for (const std::string& notice : e.notices) s += named("notice", notice);
    return s;
  }
  std::string operator()(const Coverage& e) const {
    std::string s = "coverage" + named("seen", e.faults_seen) + named("recorded", e.faults_recorded) +
                    named("full", e.faults_table_full) + named("stacks_new", e.stacks_new) +
                    named("stacks_lost", e.stacks_lost) + named("copied", e.snapshots_taken) +
                    named("refused", e.snapshots_refused);
    for (const KindCount& k : e.kinds) {
      s += " kind=" + k.kind + ":" + std::to_string(k.seen) + ":" + std::to_string(k.delivered) + ":" +
           std::to_string(k.lost);
    }
    for (const ProgramCost& p : e.programs) {
      s += " prog=" + p.program + ":" + std::to_string(p.runs) + ":" + std::to_string(p.run_time_ns) + ":" +
           std::to_string(p.watched_ns);
    }
    return s;
  }
  std::string operator()(const RecordingEnd& e) const { return "recording-end " + e.why; }
  std::string operator()(const BinaryInfo& e) const {
    std::string s = "binary " + id(e.id) + " " + quoted(e.path) + named("inode", e.inode) +
                    named("device", e.device) + named("build", e.build_id) + named("problem", e.problem) +
                    flag("stripped", e.stripped) + flag("unreadable", e.unreadable);
    if (e.go) {
      s += " go=" + e.go->version + flag("race", e.go->race) + flag("cgo", e.go->cgo) +
           named("godebug", e.go->default_godebug);
      for (const std::string& module : e.go->modules) s += " module=" + quoted(module);
    }
    for (const ProgramVariable& v : e.variables)
      s += " variable=" + quoted(v.name + ":" + v.section + ":" + std::to_string(v.bytes));
    for (const CodeSegment& c : e.code)
      s += " code=0x" + hex(c.file_offset) + ":0x" + hex(c.bytes) + ":0x" + hex(c.vaddr);
    return s;
  }
  std::string operator()(const SymbolInfo& e) const {
    std::string s = "symbol" + id(e.space) + " 0x" + hex(e.address) + flag("ret", e.is_return);
    if (e.binary != BinaryId::kNone) s += " binary=" + id(e.binary);
    s += named("offset", e.file_offset);
    for (const SourceFrame& f : e.frames) {
      s += " " +
           quoted(f.file.empty() ? f.function : f.function + "@" + f.file + ":" + std::to_string(f.line));
    }
    return s;
  }
  std::string operator()(const SpaceStart& e) const {
    std::string s = e.how == StartHow::kAttached ? "attach" : e.how == StartHow::kForked ? "fork" : "exec";
    s += id(e.space);
    if (e.how != StartHow::kAttached) s += " from" + id(e.parent);
    s += named("pid", static_cast<uint64_t>(e.tgid)) + named("comm", e.comm) + named("exe", e.exe);
    if (e.exe_binary != BinaryId::kNone) s += " binary=" + id(e.exe_binary);
    return s + named("started", e.started_ns) + named("cgroup", e.cgroup) + named("class", e.elf_class);
  }
  std::string operator()(const SpaceEnd& e) const {
    const char* why = e.why == EndWhy::kExited   ? " exited"
                      : e.why == EndWhy::kExeced ? " execed"
                                                 : " detached";
    return "space-end" + id(e.space) + why;
  }
  std::string operator()(const ProcessExit& e) const {
    return "exit" + id(e.space) + named("pid", static_cast<uint64_t>(e.tgid)) + named("code", e.exit_code) +
           (e.rss_bytes ? " rss=" + std::to_string(*e.rss_bytes) : "");
  }
  std::string operator()(const OomVictim& e) const {
    return "oom" + id(e.space) + named("pid", static_cast<uint64_t>(e.tgid));
  }
  std::string operator()(const ThreadList& e) const {
    std::string s = "threads" + id(e.space);
    for (const Thread& t : e.threads) {
      s += " " + std::to_string(t.tid) + ":0x" + hex(t.stack_pointer) + ":0x" + hex(t.tls);
    }
    return s;
  }
  std::string operator()(const Counters& e) const {
    return "counters" + id(e.space) + named("anon", e.rss_anon_bytes) + named("file", e.rss_file_bytes) +
           named("shmem", e.rss_shmem_bytes) + named("swap", e.swap_bytes) + named("peak", e.peak_bytes) +
           named("tables", e.page_table_bytes) + named("hugetlb", e.hugetlb_bytes) +
           named("locked", e.locked_bytes) + named("error", e.error_bytes) + named("threads", e.threads) +
           (e.cgroup_usage_bytes ? " usage=" + std::to_string(*e.cgroup_usage_bytes) : "") +
           (e.cgroup_limit_bytes ? " limit=" + std::to_string(*e.cgroup_limit_bytes) : "");
  }
  std::string operator()(const VmaList& e) const {
    std::string s = "vmas" + id(e.space);
    for (const Vma& v : e.vmas) {
      s += "\n  " + range(v.range) + " " + (v.read ? "r" : "-") + (v.write ? "w" : "-") +
           (v.exec ? "x" : "-") + (v.shared ? "s" : "p") + (v.name.empty() ? "" : " " + quoted(v.name)) +
           named("inode", v.inode) + named("device", v.device) + named("offset", v.offset) +
           flag("shmem", v.shmem) + flag("hugetlb", v.hugetlb);
    }
    return s;
  }
  std::string operator()(const PageScan& e) const {
    std::string s = "scan" + id(e.space) + " n=" + std::to_string(e.scan) + " start=" + seconds(e.start) +
                    flag("incomplete", !e.complete);
    if (e.shared)
      s += " shared=" + std::to_string(e.shared->anonymous_bytes) + named("own", e.shared->own_bytes) +
           named("by", e.shared->anonymous_mappers) + named("memory", e.shared->memory_bytes) +
           named("memory_by", e.shared->memory_mappers);
    for (const ScanRun& run : e.runs) {
      s += "\n  " + pages(run.page, run.count) + flag("huge", (run.flags & kScanHuge) != 0) +
           flag("file", (run.flags & kScanFile) != 0) + flag("swapped", (run.flags & kScanSwapped) != 0);
    }
    return s;
  }
  std::string operator()(const PageTableRuns& e) const {
    std::string s =
        "table" + id(e.space) + " asof=" + tick_seconds(e.as_of_tick) + flag("restated", e.restated);
    for (const TableRun& run : e.runs) {
      s += "\n  " + pages(run.page, run.count) + " " + id(run.stack) + " @" + tick_seconds(run.tick) +
           flag("w", (run.flags & kFaultWrite) != 0) + flag("k", (run.flags & kFaultKernel) != 0);
    }
    return s;
  }
  std::string operator()(const Stack& e) const {
    std::string s = "stack " + id(e.id) + id(e.space);
    for (const uint64_t address : e.frames) s += " 0x" + hex(address);
    return s + flag("cut", e.cut) + flag("unreadable", e.unreadable);
  }
  std::string operator()(const VmaMapped& e) const {
    return "mmap" + id(e.space) + " " + range(e.range) + " " + id(e.stack) +
           " prot=" + std::to_string(e.prot) + " flags=" + std::to_string(e.flags) +
           (e.fd >= 0 ? " fd=" + std::to_string(e.fd) : "") + named("offset", e.offset);
  }
  std::string operator()(const VmaUnmapped& e) const {
    const char* verb = e.why == UnmapWhy::kMunmap  ? "munmap"
                       : e.why == UnmapWhy::kFixed ? "fixed"
                       : e.why == UnmapWhy::kBrk   ? "brk-shrink"
                       : e.advice == 9             ? "remove"
                       : e.advice == 24            ? "dontneed-locked"
                                                   : "dontneed";
    return verb + id(e.space) + " " + range(e.range) + " " + id(e.stack);
  }
  std::string operator()(const VmaAdvised& e) const {
    static const std::map<uint32_t, std::string> names = {
        {8, "free"}, {14, "hugepage"}, {23, "populate"}, {25, "collapse"}};
    const auto name = names.find(e.advice);
    return "advise" + id(e.space) + " " + range(e.range) + " " +
           (name != names.end() ? name->second : std::to_string(e.advice)) + " " + id(e.stack);
  }
  std::string operator()(const VmaMoved& e) const {
    return "mremap" + id(e.space) + " " + range(e.from) + " to " + range(e.to) + " " + id(e.stack);
  }
  std::string operator()(const HeapGrown& e) const {
    return "brk" + id(e.space) + " " + range(e.range) + " " + id(e.stack);
  }
  std::string operator()(const Loss& e) const {
    return "loss" + id(e.space) + " " + quoted(e.what) + " " + std::to_string(e.count);
  }
  std::string operator()(const GoStatistics& e) const { return format_go(e); }
  std::string operator()(const GoReading& e) const { return format_go(e); }
  std::string operator()(const RuntimePages& e) const { return format_runtime_pages(e); }
  std::string operator()(const AllocatorHeap& e) const { return format_allocator_heap(e); }
  std::string operator()(const CgroupMemory& e) const { return format_cgroup_memory(e); }
  std::string operator()(const GoProfile& e) const { return format_go(e); }
  std::string operator()(const GoGoroutines& e) const { return format_go(e); }
  std::string operator()(const GoCall& e) const {
    return "go-call" + id(e.space) + " " + go_function_name(e.function) + " " + std::to_string(e.bytes) +
           " " + id(e.stack);
  }
  std::string operator()(const AllocationCall& e) const {
    return "allocates" + id(e.space) + " " + std::to_string(e.bytes) + " " + id(e.stack);
  }
};

}  // namespace

std::string format_event(const Event& event) {
  return "@" + seconds(event.time) + " " + std::visit(Line{}, event.payload);
}

std::string format_script(const std::vector<Event>& events) {
  std::string text;
  for (const Event& event : events) text += format_event(event) + "\n";
  return text;
}

}  // namespace memwhy::testing
