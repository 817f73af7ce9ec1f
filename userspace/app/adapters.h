// SPDX-License-Identifier: Apache-2.0
// What a Session needs of the world (record/sources.h), over procfs/ and symbols/. Each call is one call
// there. The kernel side needs no adapter but probe_source(): that room speaks the same interface.
#pragma once

#include <memory>

#include "procfs/process.h"
#include "procfs/root.h"
#include "record/sources.h"
#include "symbols/symbolizer.h"

namespace memwhy::app {

// The BPF programs, loaded; attached when the first process is traced. kEnvironment, with what the kernel
// refused. `beside` stands beside the hooks in the recording: what is kept to work with them.
Result<std::unique_ptr<record::KernelSource>> open_kernel(std::vector<events::Hook> beside = {});

class ProcfsOpener : public record::ProcessOpener {
 public:
  // `root` must outlive it and every process opened by it.
  explicit ProcfsOpener(const procfs::Root& root) : root_(root) {}
  Result<std::unique_ptr<record::ProcessSource>> open(Pid tgid) override;

 private:
  const procfs::Root& root_;
};

class Symbols : public record::SymbolSource {
 public:
  explicit Symbols(Fd proc_root) : symbolizer_(std::move(proc_root)) {}
  void resolve(Pid tgid, SpaceId space, const std::vector<events::Vma>& vmas, const events::Stack& stack,
               const std::function<void(events::Event)>& emit) override {
    symbolizer_.resolve(tgid, space, vmas, stack, emit);
  }
  void forget(SpaceId space) override { symbolizer_.forget(space); }
  BinaryId executable(Pid tgid, SpaceId space, const std::function<void(events::Event)>& emit) override {
    return symbolizer_.executable(tgid, space, emit);
  }

 private:
  symbols::Symbolizer symbolizer_;
};

}  // namespace memwhy::app
