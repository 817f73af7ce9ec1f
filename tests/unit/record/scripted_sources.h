// SPDX-License-Identifier: Apache-2.0
// The world of a Session as a script: a clock that stands until it is moved, a kernel side and processes that
// say what the test has put into them. Thread-safe, so that whole sessions can run on it too.
// Longer than 250 lines because the three sources of one world share its clock.
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "record/clock.h"
#include "record/sources.h"

namespace memwhy::record {

constexpr TimeNs kSecond = 1'000'000'000;
constexpr TimeNs kMs = 1'000'000;

class ManualClock : public Clock {
 public:
  TimeNs now() override { return now_; }
  uint64_t thread_cpu_ns() override { return cpu_; }
  void wait(std::unique_lock<std::mutex>&, std::condition_variable&, TimeNs deadline) override {
    now_ = std::max<TimeNs>(now_, deadline);
  }

  void set(TimeNs now) { now_ = now; }
  void advance(TimeNs by) { now_ += by; }
  void burn(uint64_t cpu) { cpu_ += cpu; }

 private:
  std::atomic<TimeNs> now_{1000 * kSecond};
  std::atomic<uint64_t> cpu_{0};
};

// What a process is in the script. Two address spaces of one pid (before and after an exec) are two of these.
struct ScriptedProcess {
  bool alive = true;   // the process
  bool mapped = true;  // this address space
  std::string comm = "target", cgroup;
  uint64_t rss_bytes = 100 << 20;
  std::vector<events::Vma> vmas;
  std::vector<events::ScanRun> runs = {{0x1000, 25600, 0}};
  // Runs at the begin of each call: "identity", "counters", "vmas", "scan".
  std::function<void(const std::string& call)> on_call;
};

class ScriptedProcesses : public ProcessOpener {
 public:
  ScriptedProcess& operator[](Pid pid) {
    auto& process = processes_[pid];
    if (!process) replace(pid);
    return *processes_[pid];
  }
  // From now on the pid is another address space; who has the old one open keeps it.
  ScriptedProcess& replace(Pid pid) {
    processes_[pid] = std::make_shared<ScriptedProcess>();
    processes_[pid]->vmas.push_back({});
    processes_[pid]->vmas[0].range = {0x1000000, 0x9000000};
    return *processes_[pid];
  }
  Result<std::unique_ptr<ProcessSource>> open(Pid tgid) override;

  std::vector<events::CgroupMemory> cgroups(const std::string& path) override {
    return {events::CgroupMemory{path}};
  }

  std::atomic<int> open_now{0};
  int opened = 0;

 private:
  std::map<Pid, std::shared_ptr<ScriptedProcess>> processes_;
};

class ScriptedSource : public ProcessSource {
 public:
  ScriptedSource(ScriptedProcesses& all, std::shared_ptr<ScriptedProcess> process, Pid pid)
      : all_(all), process_(std::move(process)), pid_(pid) {
    ++all_.open_now;
  }
  ~ScriptedSource() override { --all_.open_now; }
  bool alive() const override { return process_->alive; }
  Result<events::SpaceStart> identity() override {
    call("identity");
    if (!process_->alive) return gone();
    events::SpaceStart start;
    start.tgid = pid_;
    start.comm = process_->comm;
    start.cgroup = process_->cgroup;
    return start;
  }
  Result<events::Counters> counters() override {
    call("counters");
    if (!process_->alive) return gone();
    events::Counters counters;
    counters.rss_anon_bytes = process_->rss_bytes;
    return counters;
  }
  std::optional<uint64_t> resident_pages() override { return process_->rss_bytes / kPageBytes; }
  std::string cgroup_path() override { return process_->cgroup; }
  Result<std::vector<events::Vma>> vmas() override {
    call("vmas");
    if (!process_->alive || !process_->mapped) return gone();
    return process_->vmas;
  }
  Result<events::PageScan> scan(const std::vector<events::Vma>&) override {
    call("scan");
    if (!process_->alive || !process_->mapped) return gone();
    events::PageScan scan;
    scan.runs = process_->runs;
    scan.after = events::Counters{};
    scan.after->rss_anon_bytes = process_->rss_bytes;
    return scan;
  }
  std::vector<RuntimeSource*> runtimes(const std::vector<events::Vma>&) override { return {}; }

 private:
  void call(const std::string& name) const {
    if (process_->on_call) process_->on_call(name);
  }
  static Error gone() { return {ErrorCode::kTargetGone, "gone"}; }

  ScriptedProcesses& all_;
  std::shared_ptr<ScriptedProcess> process_;
  Pid pid_;
};

inline Result<std::unique_ptr<ProcessSource>> ScriptedProcesses::open(Pid tgid) {
  ++opened;
  const auto found = processes_.find(tgid);
  if (found == processes_.end() || !found->second->alive)
    return Error(ErrorCode::kTargetGone, "no such process");
  return std::unique_ptr<ProcessSource>(std::make_unique<ScriptedSource>(*this, found->second, tgid));
}

// A runtime that holds nothing; what a test asks of it, it overrides.
class ScriptedRuntime : public RuntimeSource {
 public:
  std::string_view name() const override { return "go"; }
  std::string_view title() const override { return "Go"; }
  events::RuntimePages pages(const events::PageScan&, const Tell&) override {
    events::RuntimePages out;
    out.runtime = name();
    return out;
  }
  void counters(const Tell&) override {}
  void details(Details, const Tell&) override {}
  std::optional<events::RuntimeProbes> probe_plan(ProbeWishes) override { return std::nullopt; }
  std::vector<std::string> take_notices() override { return {}; }
  void stop_when(const std::function<bool()>&) override {}
};

class ScriptedKernel : public KernelSource {
 public:
  explicit ScriptedKernel(Clock& clock) : clock_(clock) {}

  // What the ring holds at the next look.
  void put(TimeNs time, events::Payload payload) {
    const std::lock_guard lock(mutex_);
    ring_.push_back({time, std::move(payload)});
  }
  // What the table says at the next reading of this space.
  void put_table(SpaceId space, events::Payload payload) {
    const std::lock_guard lock(mutex_);
    tables_[space].push_back(std::move(payload));
  }
  // The space that this pid has now.
  void be(Pid pid, uint32_t space) {
    const std::lock_guard lock(mutex_);
    spaces_[pid] = SpaceId{space};
  }
  void set_coverage(events::Coverage coverage) {
    const std::lock_guard lock(mutex_);
    coverage_ = std::move(coverage);
  }
  std::vector<std::string> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

  std::function<void()> on_drain;

  Result<SpaceId> trace(Pid tgid, bool follow) override {
    const std::lock_guard lock(mutex_);
    calls_.push_back("trace " + std::to_string(tgid) + (follow ? " follow" : ""));
    if (!spaces_.contains(tgid)) spaces_[tgid] = SpaceId{++last_};
    return spaces_[tgid];
  }
  Status untrace(SpaceId space) override {
    const std::lock_guard lock(mutex_);
    calls_.push_back("untrace " + std::to_string(static_cast<uint32_t>(space)));
    ended_ = true;
    return {};
  }
  size_t drain(const std::function<void(events::Event)>& emit) override {
    if (on_drain) on_drain();
    std::vector<events::Event> taken;
    {
      const std::lock_guard lock(mutex_);
      taken.swap(ring_);
      ++drains_;
      for (const auto& event : taken) {
        const auto* stack = std::get_if<events::Stack>(&event.payload);
        if (stack != nullptr) told_.insert_or_assign(stack->id, *stack);
      }
    }
    for (auto& event : taken) emit(std::move(event));
    return taken.size();
  }
  void lost_stack(StackId stack, SpaceId) override {
    const std::lock_guard lock(mutex_);
    lost_.insert(stack);
  }
  void resend_stacks(const std::function<void(events::Event)>& emit) override {
    std::vector<events::Stack> again;
    {
      const std::lock_guard lock(mutex_);
      for (const StackId id : std::exchange(lost_, {})) again.push_back(told_.at(id));
    }
    for (auto& stack : again) emit({clock_.now(), std::move(stack)});
  }
  size_t lost_stacks() const {
    const std::lock_guard lock(mutex_);
    return lost_.size();
  }
  events::Coverage coverage() override {
    const std::lock_guard lock(mutex_);
    return coverage_;
  }
  events::HookReport hooks() const override {
    return {{{"page_fault_user", "tp_btf", "page faults"}}, "direct", {}};
  }
  Result<events::ClockAnchor> clock() override { return events::ClockAnchor{clock_.now(), 1, 2, 3}; }
  bool read_table(SpaceId space, bool restate, const std::function<void(events::Event)>& emit) override {
    std::vector<events::Payload> says;
    {
      const std::lock_guard lock(mutex_);
      calls_.push_back("table " + std::to_string(static_cast<uint32_t>(space)) + (restate ? " restate" : ""));
      says.swap(tables_[space]);
    }
    for (auto& payload : says) emit({clock_.now(), std::move(payload)});
    events::PageTableRuns runs;
    runs.space = space;
    runs.restated = restate;
    emit({clock_.now(), runs});
    return true;
  }
  Result<events::ThreadList> threads(SpaceId) override { return events::ThreadList{}; }
  void reclaim(SpaceId space, const std::optional<std::vector<AddressRange>>& mapped) override {
    const std::lock_guard lock(mutex_);
    calls_.push_back("reclaim " + std::to_string(static_cast<uint32_t>(space)) +
                     (mapped ? " outside" : " all"));
    ended_ |= !mapped;
  }
  void settle() override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(ended_, false)) calls_.push_back("settle");
  }
  void probe_runtime(SpaceId, events::RuntimeProbes) override {}
  bool govern() override { return false; }

 private:
  Clock& clock_;
  mutable std::mutex mutex_;
  std::vector<events::Event> ring_;
  std::map<SpaceId, std::vector<events::Payload>> tables_;
  std::map<Pid, SpaceId> spaces_;
  std::vector<std::string> calls_;
  std::map<StackId, events::Stack> told_;
  std::set<StackId> lost_;
  events::Coverage coverage_;
  uint32_t last_ = 0;
  uint64_t drains_ = 0;
  bool ended_ = false;  // spaces, since the last settle
};

// Names each stack by what it was resolved with.
class ScriptedSymbols : public SymbolSource {
 public:
  void resolve(Pid tgid, SpaceId space, const std::vector<events::Vma>& vmas,
               std::span<const events::Stack> stacks,
               const std::function<void(events::Event)>& emit) override {
    remembered.insert(space);
    for (const events::Stack& stack : stacks) {
      if (on_resolve) on_resolve(space);
      resolved.push_back({tgid, static_cast<uint32_t>(space), vmas.size(), static_cast<uint32_t>(stack.id)});
      events::SymbolInfo info;
      info.space = space;
      info.address = stack.frames.empty() ? 0 : stack.frames[0];
      emit({0, info});
    }
  }
  void forget(SpaceId space) override { remembered.erase(space); }
  Executable executable(Pid, const std::function<void(events::Event)>&) override {
    return {BinaryId{7}, machine};
  }
  std::vector<std::string> take_notices() override { return std::exchange(notices, {}); }
  bool has_notices() const override { return !notices.empty(); }

  std::string machine = "x86-64";
  std::vector<std::string> notices;

  struct Call {
    Pid tgid;
    uint32_t space;
    size_t vmas;
    uint32_t stack;
    bool operator==(const Call&) const = default;
  };
  std::vector<Call> resolved;
  std::set<SpaceId> remembered;
  std::function<void(SpaceId)> on_resolve;
};

class CollectingSink : public events::EventSink {
 public:
  void on_event(const events::Event& event) override {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
    }
    arrived_.notify_all();
    if (on_each) on_each(event);
  }
  std::vector<events::Event> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  // Waits until something of type T is there that `accept` likes.
  template <typename T>
  void wait_for(const std::function<bool(const T&)>& accept = [](const T&) { return true; }) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] {
      return std::any_of(events_.begin(), events_.end(), [&](const events::Event& event) {
        const T* payload = std::get_if<T>(&event.payload);
        return payload != nullptr && accept(*payload);
      });
    });
  }
  std::function<void(const events::Event&)> on_each;

 private:
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<events::Event> events_;
};

struct Words {
  static std::string of(const char* name, SpaceId space) {
    return name + std::string(" ") + std::to_string(static_cast<uint32_t>(space));
  }
  std::string operator()(const events::RecordingInfo&) const { return "info"; }
  std::string operator()(const events::ClockAnchor&) const { return "anchor"; }
  std::string operator()(const events::HookReport&) const { return "hooks"; }
  std::string operator()(const events::Coverage&) const { return "coverage"; }
  std::string operator()(const events::RecordingEnd& e) const { return "end of recording: " + e.why; }
  std::string operator()(const events::BinaryInfo&) const { return "binary"; }
  std::string operator()(const events::SymbolInfo& e) const { return of("symbol", e.space); }
  std::string operator()(const events::SpaceStart& e) const {
    return of(e.comm.empty() ? "start?" : "start", e.space);
  }
  std::string operator()(const events::SpaceEnd& e) const {
    return of(e.why == events::EndWhy::kExited   ? "exited"
              : e.why == events::EndWhy::kExeced ? "execed"
                                                 : "detached",
              e.space);
  }
  std::string operator()(const events::ProcessExit& e) const { return of("exit", e.space); }
  std::string operator()(const events::OomVictim& e) const { return of("oom", e.space); }
  std::string operator()(const events::ThreadList& e) const { return of("threads", e.space); }
  std::string operator()(const events::Counters& e) const { return of("counters", e.space); }
  std::string operator()(const events::VmaList& e) const { return of("vmas", e.space); }
  std::string operator()(const events::PageScan& e) const { return of("scan", e.space); }
  std::string operator()(const events::PageTableRuns& e) const {
    return of(e.restated ? "whole table" : "table", e.space);
  }
  std::string operator()(const events::Stack& e) const { return of("stack", e.space); }
  std::string operator()(const events::VmaMapped& e) const { return of("mmap", e.space); }
  std::string operator()(const events::VmaUnmapped& e) const { return of("munmap", e.space); }
  std::string operator()(const events::VmaAdvised& e) const { return of("madvise", e.space); }
  std::string operator()(const events::VmaMoved& e) const { return of("mremap", e.space); }
  std::string operator()(const events::HeapGrown& e) const { return of("brk", e.space); }
  std::string operator()(const events::Loss& e) const { return "loss of " + e.what; }
  std::string operator()(const events::GoStatistics& e) const { return of("go statistics", e.space); }
  std::string operator()(const events::GoReading& e) const { return of("go reading", e.space); }
  std::string operator()(const events::RuntimePages& e) const {
    return of("pages of", e.space) + " " + e.runtime;
  }
  std::string operator()(const events::AllocatorHeap& e) const {
    return of("heap of", e.space) + " " + e.allocator;
  }
  std::string operator()(const events::CgroupMemory& e) const { return "cgroup " + e.path; }
  std::string operator()(const events::GoProfile& e) const { return of("go profile", e.space); }
  std::string operator()(const events::GoGoroutines& e) const { return of("goroutines", e.space); }
  std::string operator()(const events::GoCall& e) const { return of("go call", e.space); }
  std::string operator()(const events::AllocationCall& e) const { return of("allocation", e.space); }
};

// "start 1", "counters 1" …: an event in a word or two, for sequences.
inline std::string word(const events::Event& event) { return std::visit(Words{}, event.payload); }

inline std::vector<std::string> words(const std::vector<events::Event>& events) {
  std::vector<std::string> all;
  all.reserve(events.size());
  for (const auto& event : events) all.push_back(word(event));
  return all;
}

}  // namespace memwhy::record
