// SPDX-License-Identifier: Apache-2.0
#include "record/names.h"

#include <algorithm>
#include <utility>

#include "events/code.h"
#include "fmt/format.h"

namespace memwhy::record {
namespace {

bool maps_all(const std::vector<events::Vma>& vmas, const std::vector<uint64_t>& frames) {
  return std::all_of(frames.begin(), frames.end(), [&](uint64_t address) {
    const auto above = std::upper_bound(vmas.begin(), vmas.end(), address,
                                        [](uint64_t a, const events::Vma& vma) { return a < vma.range.end; });
    return above != vmas.end() && above->range.contains(address);
  });
}

}  // namespace

bool read_vmas(const World& world, Target& target) {
  auto vmas = target.source->vmas();
  if (!vmas) return false;
  target.vmas = *std::move(vmas);
  target.vmas_at = world.clock.now();
  world.tell(target.vmas_at, events::VmaList{target.space, target.vmas});
  return true;
}

// Many at a time: each request about a file is one message to its reader.
void Names::resolve(Target& target, std::span<const events::Stack> stacks) {
  while (!stacks.empty() && !target.vmas.empty() && target.names.allows(world_.clock.now())) {
    const std::span<const events::Stack> some = stacks.first(std::min(stacks.size(), kStacksAtOnce));
    // A library that was loaded since the list was read.
    const bool old = world_.clock.now() >= target.vmas_at + kTickPeriod;
    const auto unmapped = [&](const events::Stack& stack) { return !maps_all(target.vmas, stack.frames); };
    if (old && target.readable() && std::any_of(some.begin(), some.end(), unmapped)) {
      static_cast<void>(read_vmas(world_, target));
      target.vmas_at = world_.clock.now();
    }
    name(target, target, some);
    stacks = stacks.subspan(some.size());
  }
  for (const events::Stack& stack : stacks) wait(target, stack);
}

void Names::name(Target& target, const Target& from, std::span<const events::Stack> stacks) {
  const Lumps::Scope lump = world_.lump();
  uint64_t cpu_ns = 0;
  {
    const CpuMeter meter(world_.clock, cpu_ns);
    world_.symbols.resolve(from.tgid, from.space, from.vmas, stacks, world_.emit);
  }
  target.names.spend(world_.clock.now(), cpu_ns);
}

void Names::wait(Target& target, const events::Stack& stack) {
  if (target.waiting.size() < kWaitingStacks) return target.waiting.push_back(stack);
  give_up(target, 1);
}

void Names::give_up(Target& target, size_t stacks) {
  if (stacks == 0) return;
  world_.tell(events::Loss{target.space, "symbols", stacks});
  if (target.vmas.empty() || std::exchange(target.names_cut, true)) return;
  notices_.add(fmt::format(
      "Not all functions of pid {} are named: to name its many stacks would take more than {} % of a CPU.",
      target.tgid, 100 / kNamesShare));
}

void Names::resolve_waiting(Target& target) {
  if (target.waiting.empty()) return;
  // A child that was gone before it was opened had its parent's mappings.
  const Target* from = target.vmas.empty() ? targets_.find(target.start.parent) : &target;
  if (target.vmas.empty() && (target.source || target.schedule.open_at != kNever)) return;
  if (from == nullptr || from->vmas.empty()) return;
  size_t named = 0;
  while (named < target.waiting.size() && target.names.allows(world_.clock.now()))
    name(target, *from, std::span(&target.waiting[named++], 1));
  target.waiting.erase(target.waiting.begin(), target.waiting.begin() + static_cast<std::ptrdiff_t>(named));
}

void Names::name_code(Target& target, const events::Payload& payload) {
  events::for_each_code(payload, [&](std::span<const uint64_t> addresses, bool first_is_exact) {
    events::Stack stack;
    stack.space = target.space;
    if (!first_is_exact) stack.frames.push_back(0);
    stack.frames.insert(stack.frames.end(), addresses.begin(), addresses.end());
    world_.symbols.resolve(target.tgid, target.space, target.vmas, std::span(&stack, 1), world_.emit);
  });
}

void Names::resend() {
  std::vector<events::Stack> stacks;
  world_.kernel.resend_stacks([&](events::Event event) {
    stacks.push_back(std::get<events::Stack>(event.payload));
    world_.emit(std::move(event));
  });
  for (const events::Stack& stack : stacks) {
    Target* target = targets_.find(stack.space);
    if (target != nullptr) resolve(*target, std::span(&stack, 1));
  }
}

}  // namespace memwhy::record
