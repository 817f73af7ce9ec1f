// SPDX-License-Identifier: Apache-2.0
// What a Session needs of the world (record/sources.h), over procfs/ and symbols/. Each call is one call
// there. The kernel side needs no adapter but probe_source(): that room speaks the same interface.
#pragma once

#include <memory>

#include "app/file_texts.h"
#include "files/children.h"
#include "probe/kernel_probe.h"
#include "procfs/cgroup.h"
#include "procfs/process.h"
#include "procfs/root.h"
#include "record/clock.h"
#include "record/sources.h"
#include "symbols/symbolizer.h"

namespace memwhy::app {

// The BPF programs, loaded; attached when the first process is traced. kEnvironment, with what the kernel refused. One is
// enough for every recording of the program. `to_a_budget`: what they cost is looked at each second, not each five.
// `calls_of_malloc`: the program for them, too, which takes the kernel's verifier as long as any that walks stacks.
Result<std::unique_ptr<probe::KernelProbe>> open_probe(bool to_a_budget = false, bool calls_of_malloc = true);
// A recording's own view of them. `kept`: what the recorder keeps to work with the hooks, for the recording.
std::unique_ptr<record::KernelSource> kernel_source(probe::KernelProbe& probe,
                                                    std::vector<events::Privilege> kept = {});
// Both, for a program with one recording.
Result<std::unique_ptr<record::KernelSource>> open_kernel(std::vector<events::Privilege> kept = {});

class ProcfsOpener : public record::ProcessOpener {
 public:
  // Both must outlive it and every process opened by it.
  ProcfsOpener(const procfs::Root& root, files::Children& files)
      : root_(root), files_(files), texts_(files), cgroups_(root) {}
  Result<std::unique_ptr<record::ProcessSource>> open(Pid tgid) override;
  std::vector<events::CgroupMemory> cgroups(const std::string& path) override { return cgroups_.read(path); }

 private:
  const procfs::Root& root_;
  files::Children& files_;
  FileTexts texts_;
  procfs::CgroupReader cgroups_;
};

class Symbols : public record::SymbolSource {
 public:
  // `binaries` must outlive it.
  explicit Symbols(symbols::Binaries& binaries) : binaries_(binaries), symbolizer_(binaries) {}
  void resolve(Pid tgid, SpaceId space, const std::vector<events::Vma>& vmas,
               std::span<const events::Stack> stacks,
               const std::function<void(events::Event)>& emit) override {
    symbolizer_.resolve(tgid, space, vmas, stacks, emit);
  }
  void forget(SpaceId space) override { symbolizer_.forget(space); }
  record::Executable executable(Pid tgid, const std::function<void(events::Event)>& emit) override {
    const symbols::Symbolizer::Executable found = symbolizer_.executable(tgid, emit);
    return {found.binary, found.machine};
  }
  std::vector<std::string> take_notices() override { return binaries_.take_notices(); }
  bool has_notices() const override { return binaries_.has_notices(); }

 private:
  symbols::Binaries& binaries_;
  symbols::Symbolizer symbolizer_;
};

// A clock by which reading a target's memory costs what its child takes as well.
class ClockOfWork final : public record::SystemClock {
 public:
  explicit ClockOfWork(const files::Children& files) : files_(files) {}
  uint64_t own_cpu_ns() override { return SystemClock::thread_cpu_ns(); }
  uint64_t thread_cpu_ns() override { return SystemClock::thread_cpu_ns() + files_.memory_cpu_ns(); }

 private:
  const files::Children& files_;
};

}  // namespace memwhy::app
