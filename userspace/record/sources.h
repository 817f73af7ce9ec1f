// SPDX-License-Identifier: Apache-2.0
// What a Session needs of the world, as small interfaces. record/ declares them, app/ implements them
// over probe/, procfs/ and symbols/, tests implement them as scripts.
//
// Threads: KernelSource::drain, ::lost_stack and ::coverage belong to `intake`; everything else belongs to
// `sampler`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "events/event.h"
#include "events/runtime_probes.h"

namespace memwhy::record {

// The hooks in the kernel, as one session sees them: others of the same program may share the programs behind them, with
// threads of their own. Nothing is attached while no space is traced.
class KernelSource {
 public:
  virtual ~KernelSource() = default;

  // Starts to trace the address space of `tgid` (any live thread's mm). The first call attaches the hooks.
  // One that is traced already keeps its number. kTargetGone: no such process. kUsage: a kernel thread.
  virtual Result<SpaceId> trace(Pid tgid, bool follow) = 0;
  // Forgets it: its table can't be read any more.
  virtual Status untrace(SpaceId space) = 0;

  // Takes what the ring holds, without waiting: VMA and process events, each with its own time.
  // Stacks that they name are given first, once for each space that names them; a Loss for what the ring had no room for
  // since the last call.
  // Returns the number of ring records taken.
  virtual size_t drain(const std::function<void(events::Event)>& emit) = 0;
  // A stack that drain gave for this space did not arrive. What names it may never come again.
  virtual void lost_stack(StackId stack, SpaceId space) = 0;
  virtual events::Coverage coverage() = 0;

  virtual events::HookReport hooks() const = 0;
  virtual Result<events::ClockAnchor> clock() = 0;
  // Entries that changed since the last call for this space (all when `restate`), new stacks first. false:
  // nothing changed.
  virtual bool read_table(SpaceId space, bool restate, const std::function<void(events::Event)>& emit) = 0;
  // The stacks that were lost since the last call, once more, with their ids.
  virtual void resend_stacks(const std::function<void(events::Event)>& emit) = 0;
  virtual Result<events::ThreadList> threads(SpaceId space) = 0;
  // Gives back table chunks outside `mapped` (nullopt: the space ended, all of them with the next settle())
  // and stacks that nothing names any more.
  virtual void reclaim(SpaceId space, const std::optional<std::vector<AddressRange>>& mapped) = 0;
  // Gives back the chunks of all spaces that ended. Takes tens of milliseconds when some did, however many.
  virtual void settle() = 0;

  // Probes rare functions of a runtime in this space until it ends or is forgotten; hooks() has the outcome.
  virtual void probe_runtime(SpaceId space, events::RuntimeProbes probes) = 0;
  // Gives up probes that are hit too often. true: hooks() has changed.
  virtual bool govern() = 0;
};

// What of a process may be probed, and is to be.
struct ProbeWishes {
  bool allowed = true;
  bool who_allocates = false;  // calls of malloc, which are no rare functions: a few of them
};

// A runtime or allocator of one traced process, read out of its memory. There may be several in one process: Go and glibc.
// Each has a budget of its own. What it emits has no `space` yet.
class RuntimeSource {
 public:
  using Tell = std::function<void(events::Payload)>;

  virtual ~RuntimeSource() = default;
  virtual std::string_view name() const = 0;   // as in RuntimePages: "go"
  virtual std::string_view title() const = 0;  // in sentences: "Go"

  // Its use of the pages of this pass, joined with their residency; what else belongs to that, by `tell`.
  virtual events::RuntimePages pages(const events::PageScan& scan, const Tell& tell) = 0;
  // What it counts, at 1 Hz.
  virtual void counters(const Tell& tell) = 0;
  // What takes long and is due less often. kLearned: what pages() learns from; before it, but when the recording ends and
  // time may run out: the last ledger is nothing without the pages. kOwn: what is independent of them, after them. kLast: in
  // its place when the recording ends, with what is worth being read once.
  enum class Details : uint8_t { kLearned, kOwn, kLast };
  virtual void details(Details which, const Tell& tell) = 0;
  // kOwn may take seconds: attaching does not wait for it.
  virtual bool has_long_details() const { return false; }
  // Its probes: once; nothing afterwards. Not `allowed`: none, and the plan has a sentence about that.
  virtual std::optional<events::RuntimeProbes> probe_plan(ProbeWishes wishes) = 0;

  // What readings had to leave out since the last call, as sentences about "its" heap, ...
  virtual std::vector<std::string> take_notices() = 0;
  // Polled while something is read: true when the recording has no time left, and the reading must end with what it has.
  virtual void stop_when(const std::function<bool()>& stop) = 0;
};

// One that has nothing beside its pages: no counters, no details, no probes.
class PagesOnly : public RuntimeSource {
 public:
  void counters(const Tell& /*tell*/) override {}
  void details(Details /*which*/, const Tell& /*tell*/) override {}
  std::optional<events::RuntimeProbes> probe_plan(ProbeWishes /*wishes*/) override { return std::nullopt; }
  std::vector<std::string> take_notices() override { return {}; }
  void stop_when(const std::function<bool()>& /*stop*/) override {}
};

// The files below /proc of one traced process, bound to the process as it was when opened (pidfd, dirfd,
// start time).
class ProcessSource {
 public:
  virtual ~ProcessSource() = default;
  virtual bool alive() const = 0;
  virtual Result<events::SpaceStart> identity() = 0;
  virtual Result<events::Counters> counters() = 0;
  // About the sum of what they say is resident, for next to nothing; nullopt: that is unknown.
  virtual std::optional<uint64_t> resident_pages() { return std::nullopt; }
  // The path of its memory cgroup, where it is now; "": unknown.
  virtual std::string cgroup_path() { return ""; }
  virtual Result<std::vector<events::Vma>> vmas() = 0;
  // One paced pass (<= 64 MiB of populated range a step, then a pause). Fills everything but `scan` and
  // `space`.
  virtual Result<events::PageScan> scan(const std::vector<events::Vma>& vmas) = 0;
  // Its runtimes, found with the help of these mappings, owned by this. Of a page that two of them claim the first one's
  // word counts.
  virtual std::vector<RuntimeSource*> runtimes(const std::vector<events::Vma>& vmas) = 0;
};

class ProcessOpener {
 public:
  virtual ~ProcessOpener() = default;
  virtual Result<std::unique_ptr<ProcessSource>> open(Pid tgid) = 0;
  // The memory cgroup of this path, and the one above it whose limit leaves less room. Empty: there is none, or it can't be
  // read.
  virtual std::vector<events::CgroupMemory> cgroups(const std::string& /*path*/) { return {}; }
};

struct Executable {
  BinaryId binary{};    // kNone: could not be read (a BinaryInfo with `unreadable` has the reason)
  std::string machine;  // "x86-64" | "i386" | "aarch64" …; "" unknown, or not ELF
};

// Names for addresses, and facts of binaries. One per session; remembers what it has emitted.
class SymbolSource {
 public:
  virtual ~SymbolSource() = default;
  // Emits BinaryInfo and SymbolInfo for what is new in these stacks, looked up in these mappings of this
  // process.
  virtual void resolve(Pid tgid, SpaceId space, const std::vector<events::Vma>& vmas,
                       std::span<const events::Stack> stacks,
                       const std::function<void(events::Event)>& emit) = 0;
  // The space ended: nothing of it is resolved any more.
  virtual void forget(SpaceId space) = 0;
  // Emits BinaryInfo if new.
  virtual Executable executable(Pid tgid, const std::function<void(events::Event)>& emit) = 0;
  // What was lost since the last call, as sentences.
  virtual std::vector<std::string> take_notices() = 0;
  virtual bool has_notices() const = 0;
};

}  // namespace memwhy::record
