// SPDX-License-Identifier: Apache-2.0
#include "probe/unwinding.h"

#include <bpf/libbpf.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <utility>

#include "base/time.h"
#include "probe/hub.h"

namespace memwhy::probe {

Unwinding::Unwinding(std::shared_ptr<Hub> hub)
    : hub_(std::move(hub)),
      rules_(hub_->object->rules()),
      bell_(ring_buffer__new(
          hub_->object->bell_fd(), [](void*, void*, size_t) { return 0; }, nullptr, nullptr)),
      woken_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  hub_->object->allow_snapshots(true);
}
Unwinding::~Unwinding() { hub_->object->allow_snapshots(false); }

// What rang while nobody waited is heard now: nothing is looked at too late.
bool Unwinding::wait(std::chrono::milliseconds most) {
  std::array<pollfd, 2> heard{
      {{woken_.get(), POLLIN, 0}, {bell_ ? ring_buffer__epoll_fd(bell_.get()) : -1, POLLIN, 0}}};
  if (::poll(heard.data(), heard.size(), static_cast<int>(most.count())) <= 0) return false;
  uint64_t times = 0;
  static_cast<void>(::read(woken_.get(), &times, sizeof times));
  if (bell_) ring_buffer__consume(bell_.get());
  return true;
}

void Unwinding::wake() {
  constexpr uint64_t kOnce = 1;
  static_cast<void>(::write(woken_.get(), &kOnce, sizeof kOnce));
}

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
