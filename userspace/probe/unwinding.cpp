// SPDX-License-Identifier: Apache-2.0
#include "probe/unwinding.h"

#include <ctime>
#include <utility>

#include "base/time.h"
#include "probe/hub.h"

namespace memwhy::probe {

Unwinding::Unwinding(std::shared_ptr<Hub> hub) : hub_(std::move(hub)), rules_(hub_->object->rules()) {
  hub_->object->allow_snapshots(true);
}
Unwinding::~Unwinding() { hub_->object->allow_snapshots(false); }

void Unwinding::complete(uint32_t slot, std::vector<uint64_t> frames, events::Unwind how) {
  auto again = hub_->stacks.complete(slot, std::move(frames), how);
  if (again.empty()) return;
  const std::lock_guard lock(hub_->draining);
  for (auto& [listener, stack] : again) {
    const auto port = hub_->ports.find(listener.port);
    if (port != hub_->ports.end())
      port->second->inbox.push_back({clock_ns(CLOCK_MONOTONIC), std::move(stack)});
  }
}

TrailCounts Unwinding::trails() const {
  return {hub_->fault_count(MW_TRAILS_USED), hub_->fault_count(MW_TRAILS_MADE),
          hub_->fault_count(MW_TRAILS_WRONG)};
}

SnapshotCounts Unwinding::snapshots() const {
  return {hub_->fault_count(MW_SNAPSHOTS_SENT), hub_->fault_count(MW_SNAPSHOTS_LIMITED),
          hub_->fault_count(MW_SNAPSHOTS_LOST)};
}

std::unique_ptr<Unwinding> KernelProbe::unwinding() {
  return hub_->object->uses_rules() ? std::make_unique<Unwinding>(hub_) : nullptr;
}

}  // namespace memwhy::probe
