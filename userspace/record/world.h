// SPDX-License-Identifier: Apache-2.0
// What the parts of the sampler share: the sources that it reads through, the clock, the options, and where events go.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "record/clock.h"
#include "record/lumps.h"
#include "record/sources.h"

namespace memwhy::record {

struct SamplerOptions {
  TimeNs scan_period = 10'000'000'000;
  bool follow = false;
  ProbeWishes probes = {};
  std::string cgroup = {};  // requested: read with its processes; "" none
  std::function<bool()> stop_requested =
      {};                                  // the recording is to end: nothing more is begun before finish()
  std::function<bool()> out_of_time = {};  // nor in finish()
  std::function<uint64_t()> pace = {};     // how many times as far apart as usual scans are; at least 1
  bool rests = false;                      // what rests is read less often
};

struct World {
  KernelSource& kernel;
  ProcessOpener& processes;
  SymbolSource& symbols;
  Clock& clock;
  const SamplerOptions options;
  std::function<void(events::Event)> emit;
  std::unique_ptr<Lumps> lumps = std::make_unique<Lumps>();

  void tell(TimeNs time, events::Payload payload) const { emit({time, std::move(payload)}); }
  void tell(events::Payload payload) const { tell(clock.now(), std::move(payload)); }
  Lumps::Scope lump() const { return {*lumps, clock}; }
  uint64_t pace() const { return options.pace ? options.pace() : 1; }
};

}  // namespace memwhy::record
