// SPDX-License-Identifier: Apache-2.0
#include "support/event_script.h"

#include <map>
#include <unordered_map>

#include "support/event_script_allocator.h"
#include "support/event_script_cgroup.h"
#include "support/event_script_go.h"
#include "support/event_script_words.h"

namespace memwhy::testing {
namespace {

using namespace memwhy::events;

constexpr TimeNs kTickNs = 1'000'000'000 / kScriptTickHz;

// The advices that have a name here (linux/mman.h).
const std::map<std::string, uint32_t>& advice_names() {
  static const std::map<std::string, uint32_t> names = {
      {"dontneed", 4},         {"free", 8},     {"remove", 9}, {"hugepage", 14}, {"populate", 23},
      {"dontneed-locked", 24}, {"collapse", 25}};
  return names;
}

// State of a parse: the time, and what counts by itself.
struct Parser {
  TimeNs now = 0;
  uint64_t scans = 0;
  std::vector<Event> events;

  uint64_t tick() const { return now / kTickNs; }
  void sentence(Sentence& sentence);
  Payload payload(const std::string& verb, Sentence& sentence) const;
};

RecordingInfo parse_info(Words& w) {
  RecordingInfo info;
  info.tool_version = w.text("tool");
  info.host = w.text("host");
  info.kernel_release = w.text("kernel");
  info.architecture = w.text("arch");
  info.cpus = static_cast<uint32_t>(w.number("cpus"));
  info.part = static_cast<uint32_t>(w.number("part"));
  while (auto what = w.named("what")) info.what.push_back(*what);
  return info;
}

HookReport parse_hooks(Words& w) {
  HookReport report;
  report.stack_read = w.named("read").value_or("direct");
  while (auto not_seen = w.named("not_seen")) report.not_seen.push_back(*not_seen);
  while (auto notice = w.named("notice")) report.notices.push_back(*notice);
  while (!w.empty()) {
    const auto parts = split(w.next("hook"), ':');
    if (parts.size() != 2) w.fail("a hook is NAME:ATTACH");
    if (parts[1] == "capability")
      report.privileges.push_back({parts[0], ""});
    else
      report.hooks.push_back({parts[0], parts[1], ""});
  }
  return report;
}

Coverage parse_coverage(Words& w) {
  Coverage coverage;
  coverage.faults_seen = w.number("seen");
  coverage.faults_recorded = w.number("recorded");
  coverage.faults_table_full = w.number("full");
  coverage.stacks_new = w.number("stacks_new");
  coverage.stacks_lost = w.number("stacks_lost");
  coverage.snapshots_taken = w.number("copied");
  coverage.snapshots_refused = w.number("refused");
  while (auto kind = w.named("kind")) {
    const auto parts = split(*kind, ':');
    if (parts.size() != 4) w.fail("a kind is NAME:SEEN:DELIVERED:LOST");
    coverage.kinds.push_back({parts[0], w.to_number(parts[1]), w.to_number(parts[2]), w.to_number(parts[3])});
  }
  while (auto program = w.named("prog")) {
    const auto parts = split(*program, ':');
    if (parts.size() != 4) w.fail("a program is NAME:RUNS:NS:WATCHED_NS");
    coverage.programs.push_back(
        {parts[0], w.to_number(parts[1]), w.to_number(parts[2]), w.to_number(parts[3])});
  }
  return coverage;
}

BinaryInfo parse_binary(Words& w) {
  BinaryInfo info;
  info.id = w.binary(w.next("binary"));
  info.inode = w.number("inode");
  info.device = w.number("device");
  info.build_id = w.text("build");
  info.problem = w.text("problem");
  info.stripped = w.flag("stripped");
  info.unreadable = w.flag("unreadable");
  if (const auto version = w.named("go")) {
    info.go = GoBuild{*version, w.flag("race"), w.flag("cgo"), w.text("godebug")};
    while (const auto module = w.named("module")) info.go->modules.push_back(*module);
  }
  while (const auto variable = w.named("variable")) {
    const std::vector<std::string> parts = split(*variable, ':');
    if (parts.size() != 3) w.fail("a variable is NAME:SECTION:BYTES, not " + *variable);
    info.variables.push_back({parts[0], parts[1], w.to_number(parts[2])});
  }
  while (const auto code = w.named("code")) {
    const std::vector<std::string> parts = split(*code, ':');
    if (parts.size() != 3) w.fail("code is OFFSET:BYTES:VADDR, not " + *code);
    info.code.push_back({w.to_number(parts[0]), w.to_number(parts[1]), w.to_number(parts[2])});
  }
  info.path = w.next("path");
  return info;
}

SymbolInfo parse_symbol(Words& w) {
  SymbolInfo info;
  info.space = w.space();
  info.address = w.to_number(w.next("address"));
  info.is_return = w.flag("ret");
  if (const auto binary = w.named("binary")) info.binary = w.binary(*binary);
  info.file_offset = w.number("offset");
  while (!w.empty()) {
    const std::string word = w.next("frame");
    const size_t at = word.rfind('@'), colon = word.rfind(':');
    SourceFrame frame{word.substr(0, at), "", 0};
    if (at != std::string::npos) {
      if (colon == std::string::npos || colon < at) w.fail("a frame is FUNCTION@FILE:LINE");
      frame.file = word.substr(at + 1, colon - at - 1);
      frame.line = static_cast<uint32_t>(w.to_number(word.substr(colon + 1)));
    }
    info.frames.push_back(frame);
  }
  return info;
}

Stack parse_stack(Words& w) {
  Stack stack;
  stack.id = w.stack();
  stack.space = w.space();
  stack.cut = w.flag("cut");
  stack.unreadable = w.flag("unreadable");
  while (!w.empty()) stack.frames.push_back(w.to_number(w.next("address")));
  return stack;
}

SpaceStart parse_start(StartHow how, Words& w) {
  SpaceStart start;
  start.how = how;
  start.space = w.space();
  if (w.flag("from")) {
    start.parent = w.space();
  } else if (how != StartHow::kAttached) {
    w.fail("missing 'from SPACE'");
  }
  start.tgid = static_cast<Pid>(w.number("pid"));
  start.comm = w.text("comm");
  start.exe = w.text("exe");
  if (const auto binary = w.named("binary")) start.exe_binary = w.binary(*binary);
  start.started_ns = w.number("started");
  start.cgroup = w.text("cgroup");
  start.elf_class = w.named("class").value_or("x86-64");
  return start;
}

SpaceEnd parse_space_end(Words& w) {
  const SpaceId space = w.space();
  if (w.flag("exited")) return {space, EndWhy::kExited};
  if (w.flag("execed")) return {space, EndWhy::kExeced};
  if (w.flag("detached")) return {space, EndWhy::kDetached};
  w.fail("a space ends by exited, execed or detached");
}

ThreadList parse_threads(Words& w) {
  ThreadList list{w.space(), {}};
  while (!w.empty()) {
    const auto parts = split(w.next("thread"), ':');
    if (parts.size() != 3) w.fail("a thread is TID:0xSP:0xTLS");
    list.threads.push_back(
        {static_cast<Pid>(w.to_number(parts[0])), w.to_number(parts[1]), w.to_number(parts[2])});
  }
  return list;
}

Counters parse_counters(Words& w) {
  Counters c;
  c.space = w.space();
  c.rss_anon_bytes = w.number("anon");
  c.rss_file_bytes = w.number("file");
  c.rss_shmem_bytes = w.number("shmem");
  c.swap_bytes = w.number("swap");
  c.peak_bytes = w.number("peak");
  c.page_table_bytes = w.number("tables");
  c.hugetlb_bytes = w.number("hugetlb");
  c.locked_bytes = w.number("locked");
  c.error_bytes = w.number("error");
  c.threads = static_cast<uint32_t>(w.number("threads"));
  c.cgroup_usage_bytes = w.maybe_number("usage");
  c.cgroup_limit_bytes = w.maybe_number("limit");
  return c;
}

VmaList parse_vmas(Words& w, std::vector<Words>& items) {
  VmaList list{w.space(), {}};
  for (Words& item : items) {
    Vma vma;
    vma.range = item.range();
    const std::string mode = item.next("rwxp");
    if (mode.size() != 4) item.fail("a mode is four letters: rwxp");
    vma.read = mode[0] == 'r';
    vma.write = mode[1] == 'w';
    vma.exec = mode[2] == 'x';
    vma.shared = mode[3] == 's';
    vma.inode = item.number("inode");
    vma.device = item.number("device");
    vma.offset = item.number("offset");
    vma.shmem = item.flag("shmem");
    vma.hugetlb = item.flag("hugetlb");
    if (!item.empty()) vma.name = item.next("name");
    item.done();
    list.vmas.push_back(std::move(vma));
  }
  return list;
}

PageScan parse_scan(Words& w, std::vector<Words>& items, TimeNs now, uint64_t number) {
  PageScan scan;
  scan.space = w.space();
  scan.scan = w.number("n", number);
  const auto start = w.named("start");
  scan.start = start ? w.to_time(*start) : now;
  scan.complete = !w.flag("incomplete");
  scan.method = "PAGEMAP_SCAN";
  if (const auto shared = w.maybe_number("shared")) {
    scan.shared.emplace();
    scan.shared->anonymous_bytes = *shared;
    scan.shared->own_bytes = w.number("own");
    scan.shared->anonymous_mappers = w.number("by");
    scan.shared->memory_bytes = w.number("memory");
    scan.shared->memory_mappers = w.number("memory_by");
  }
  for (Words& item : items) {
    const PageRange pages = item.pages();
    ScanRun run{pages.start, static_cast<uint32_t>(pages.pages()), 0};
    if (item.flag("huge")) run.flags |= kScanHuge;
    if (item.flag("file")) run.flags |= kScanFile;
    if (item.flag("swapped")) run.flags |= kScanSwapped;
    item.done();
    scan.runs.push_back(run);
  }
  return scan;
}

PageTableRuns parse_table(Words& w, std::vector<Words>& items, TimeNs now) {
  PageTableRuns runs;
  runs.space = w.space();
  const auto as_of = w.named("asof");
  runs.as_of_tick = (as_of ? w.to_time(*as_of) : now) / kTickNs;
  runs.restated = w.flag("restated");
  for (Words& item : items) {
    const PageRange pages = item.pages();
    TableRun run{pages.start, static_cast<uint32_t>(pages.pages()), item.stack(), 0, 0};
    const std::string time = item.next("@SECONDS");
    if (!time.starts_with("@")) item.fail("a table item is RANGE STACK @SECONDS");
    run.tick = item.to_time(time.substr(1)) / kTickNs;
    if (item.flag("w")) run.flags |= kFaultWrite;
    if (item.flag("k")) run.flags |= kFaultKernel;
    if (item.flag("wk")) run.flags |= kFaultWrite | kFaultKernel;
    item.done();
    runs.runs.push_back(run);
  }
  return runs;
}

VmaMapped parse_mmap(Words& w, uint64_t tick) {
  VmaMapped mapped;
  mapped.tick = tick;
  mapped.space = w.space();
  mapped.range = w.range();
  mapped.prot = static_cast<uint32_t>(w.number("prot", 3));
  mapped.flags = static_cast<uint32_t>(w.number("flags", 0x22));
  if (const auto fd = w.maybe_number("fd")) mapped.fd = static_cast<int32_t>(*fd);
  mapped.offset = w.number("offset");
  mapped.stack = w.stack_or_none();
  return mapped;
}

VmaUnmapped parse_unmap(UnmapWhy why, uint32_t advice, Words& w, uint64_t tick) {
  VmaUnmapped unmapped;
  unmapped.tick = tick;
  unmapped.why = why;
  unmapped.advice = advice;
  unmapped.space = w.space();
  unmapped.range = w.range();
  unmapped.stack = w.stack_or_none();
  return unmapped;
}

VmaAdvised parse_advise(Words& w, uint64_t tick) {
  VmaAdvised advised;
  advised.tick = tick;
  advised.space = w.space();
  advised.range = w.range();
  const std::string name = w.next("advice");
  const auto known = advice_names().find(name);
  advised.advice = known != advice_names().end() ? known->second : static_cast<uint32_t>(w.to_number(name));
  advised.stack = w.stack_or_none();
  return advised;
}

VmaMoved parse_mremap(Words& w, uint64_t tick) {
  VmaMoved moved;
  moved.tick = tick;
  moved.space = w.space();
  moved.from = w.range();
  if (w.next("to") != "to") w.fail("mremap SPACE RANGE to RANGE");
  moved.to = w.range();
  moved.stack = w.stack_or_none();
  return moved;
}

Payload Parser::payload(const std::string& verb, Sentence& s) const {
  Words& w = s.words;
  if (verb == "info") return parse_info(w);
  if (verb == "anchor") return ClockAnchor{now, now, now + 1'700'000'000'000'000'000, tick()};
  if (verb == "hooks") return parse_hooks(w);
  if (verb == "coverage") return parse_coverage(w);
  if (verb == "recording-end") return RecordingEnd{w.next("why")};
  if (verb == "binary") return parse_binary(w);
  if (verb == "symbol") return parse_symbol(w);
  if (verb == "stack") return parse_stack(w);
  if (verb == "attach") return parse_start(StartHow::kAttached, w);
  if (verb == "fork") return parse_start(StartHow::kForked, w);
  if (verb == "exec") return parse_start(StartHow::kExeced, w);
  if (verb == "space-end") return parse_space_end(w);
  if (verb == "exit") {
    return ProcessExit{w.space(), static_cast<Pid>(w.number("pid")), static_cast<uint32_t>(w.number("code")),
                       w.maybe_number("rss")};
  }
  if (verb == "oom") return OomVictim{w.space(), static_cast<Pid>(w.number("pid"))};
  if (verb == "threads") return parse_threads(w);
  if (verb == "counters") return parse_counters(w);
  if (verb == "vmas") return parse_vmas(w, s.items);
  if (verb == "scan") return parse_scan(w, s.items, now, scans + 1);
  if (verb == "table") return parse_table(w, s.items, now);
  if (verb == "mmap") return parse_mmap(w, tick());
  if (verb == "munmap") return parse_unmap(UnmapWhy::kMunmap, 0, w, tick());
  if (verb == "fixed") return parse_unmap(UnmapWhy::kFixed, 0, w, tick());
  if (verb == "brk-shrink") return parse_unmap(UnmapWhy::kBrk, 0, w, tick());
  if (verb == "dontneed" || verb == "remove" || verb == "dontneed-locked") {
    return parse_unmap(UnmapWhy::kMadvise, advice_names().at(verb), w, tick());
  }
  if (verb == "advise") return parse_advise(w, tick());
  if (verb == "mremap") return parse_mremap(w, tick());
  if (verb == "brk") {
    const SpaceId space = w.space();
    const AddressRange range = w.range();
    return HeapGrown{space, 0, range, w.stack_or_none(), tick()};
  }
  if (verb == "loss") {
    const SpaceId space = w.space();
    const std::string what = w.next("what");
    return Loss{space, what, w.empty() ? 1 : w.to_number(w.next("count"))};
  }
  if (verb == "go-statistics") return parse_go_statistics(w);
  if (verb == "go-reading") return parse_go_reading(w, scans + 1);
  if (verb == "cgroup") return parse_cgroup_memory(w);
  if (verb == "allocator-heap") return parse_allocator_heap(w, scans + 1);
  if (verb == "runtime-pages") return parse_runtime_pages(w, s.items, scans + 1);
  if (verb == "go-profile") return parse_go_profile(w, s.items);
  if (verb == "goroutines") return parse_goroutines(w, s.items);
  if (verb == "go-call") {
    const SpaceId space = w.space();
    const GoFunction function = parse_go_function(w);
    const uint64_t bytes = w.to_number(w.next("bytes"));
    return GoCall{space, 0, function, bytes, w.stack_or_none(), tick()};
  }
  if (verb == "allocates") {
    const SpaceId space = w.space();
    const uint64_t bytes = w.to_number(w.next("bytes"));
    return AllocationCall{space, 0, bytes, w.stack_or_none(), tick()};
  }
  w.fail("unknown verb " + verb);
}

void Parser::sentence(Sentence& sentence) {
  if (sentence.time) now = sentence.words.to_time(*sentence.time);
  if (sentence.words.empty()) return;  // "@3" alone moves the time
  const std::string verb = sentence.words.next("verb");
  if (verb == "go-heap")
    for (Payload& each : parse_go_heap(sentence.words, sentence.items, scans + 1))
      events.push_back({now, std::move(each)});
  else
    events.push_back({now, payload(verb, sentence)});
  if (const auto* scan = std::get_if<PageScan>(&events.back().payload)) scans = scan->scan;
  sentence.words.done();
}

}  // namespace

std::vector<Event> parse_script(std::string_view text) {
  Parser parser;
  for (Sentence& sentence : split_script(text)) parser.sentence(sentence);
  return std::move(parser.events);
}

void play(std::string_view text, EventSink& sink) {
  for (const Event& event : parse_script(text)) sink.on_event(event);
}

}  // namespace memwhy::testing
