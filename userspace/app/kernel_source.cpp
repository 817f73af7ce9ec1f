// SPDX-License-Identifier: Apache-2.0
// The hooks in the kernel as a Session wants them: record::KernelSource over probe::Port.
#include <unistd.h>

#include "app/adapters.h"
#include "app/live.h"
#include "events/visit.h"
#include "probe/kernel_probe.h"

namespace memwhy::app {
namespace {

using Emit = std::function<void(events::Event)>;

class ProbeSource : public record::KernelSource {
 public:
  ProbeSource(std::unique_ptr<probe::Port> port, std::vector<events::Privilege> kept)
      : port_(std::move(port)), kept_(std::move(kept)) {}
  Result<SpaceId> trace(Pid tgid, bool follow) override { return port_->trace(tgid, follow); }
  Status untrace(SpaceId space) override { return port_->untrace(space); }
  size_t drain(const Emit& emit) override { return port_->drain(emit); }
  void lost_stack(StackId stack, SpaceId space) override { port_->lost_stack(stack, space); }
  events::Coverage coverage() override { return port_->coverage(); }
  events::HookReport hooks() const override {
    events::HookReport report = port_->hooks();
    report.privileges = kept_;
    return report;
  }
  Result<events::ClockAnchor> clock() override { return port_->clock(); }
  bool read_table(SpaceId space, bool restate, const Emit& emit) override {
    return port_->read_table(space, restate, emit);
  }
  void resend_stacks(const Emit& emit) override { port_->resend_stacks(emit); }
  Result<events::ThreadList> threads(SpaceId space) override { return port_->threads(space); }
  void reclaim(SpaceId space, const std::optional<std::vector<AddressRange>>& mapped) override {
    port_->reclaim(space, mapped);
  }
  void settle() override { port_->settle(); }
  void probe_runtime(SpaceId space, events::RuntimeProbes probes) override {
    std::visit(events::Overloaded{[&](events::GoProbePlan plan) {
                                    port_->is_go(space);
                                    port_->probe_go(space, std::move(plan));
                                  },
                                  [&](events::AllocationProbePlan plan) {
                                    port_->probe_allocations(space, std::move(plan));
                                  }},
               std::move(probes));
  }
  bool govern() override { return port_->govern(); }

 private:
  std::unique_ptr<probe::Port> port_;
  std::vector<events::Privilege> kept_;
};

}  // namespace

Result<std::unique_ptr<probe::KernelProbe>> open_probe(bool to_a_budget, bool calls_of_malloc) {
  using Mode = probe::RunTime::Mode;
  probe::Options options;
  options.run_time =
      to_a_budget ? Mode::kClosely : Mode::kSampled;  // memwhy's own cost is part of every recording
  options.allocation_probes = calls_of_malloc;
  return probe::KernelProbe::open(options);
}

std::unique_ptr<record::KernelSource> kernel_source(probe::KernelProbe& probe,
                                                    std::vector<events::Privilege> kept) {
  return std::make_unique<ProbeSource>(probe.port(), std::move(kept));
}

Result<std::unique_ptr<record::KernelSource>> open_kernel(std::vector<events::Privilege> kept) {
  Result<std::unique_ptr<probe::KernelProbe>> probe = open_probe();
  if (!probe) return std::move(probe).error();
  return kernel_source(**probe, std::move(kept));
}

Result<events::HookReport> try_hooks() {
  Result<std::unique_ptr<record::KernelSource>> kernel = open_kernel();
  if (!kernel) return std::move(kernel).error();
  const Result<SpaceId> traced = (*kernel)->trace(::getpid(), false);
  if (!traced) return traced.error();
  return (*kernel)->hooks();
}

}  // namespace memwhy::app
