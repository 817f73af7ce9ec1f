// SPDX-License-Identifier: Apache-2.0
#include "record/roster.h"

#include <algorithm>
#include <utility>

#include "base/machine.h"
#include "fmt/format.h"
#include "record/young.h"

namespace memwhy::record {

Result<SpaceId> Roster::add(Pid tgid) {
  if (const Target* known = targets_.find_owner(tgid)) return known->space;
  const Lumps::Scope lump = world_.lump();
  // A process that execs while it is being attached has another address space a moment later.
  for (int attempt = 0; attempt < 3; ++attempt) {
    const TimeNs begun = world_.clock.now();
    auto source = world_.processes.open(tgid);
    if (!source) return std::move(source).error();
    const auto space = world_.kernel.trace(tgid, world_.options.follow);
    if (!space) return space.error();
    notices_.hooks();
    if (on_first) std::exchange(on_first, nullptr)();
    if (targets_.find(*space) != nullptr) return *space;  // shared with a target: a vfork child, CLONE_VM

    Target& target = targets_.make(*space, tgid);
    target.source = *std::move(source);
    auto identity = target.source->identity();
    if (identity) {
      target.pending = Pending{*identity, {}, begun};
      target.pending->identity.how = events::StartHow::kAttached;
      confirm(target);
      if (target.foreign) return refuse(target, identity->comm);
      if (readings_.counters(target) && readings_.scan(target, true, Look::kFirst)) {
        names_.resolve_waiting(target);
        had_targets_ = true;
        return *space;
      }
    }
    const bool alive = target.source->alive();
    end(*space, alive ? events::EndWhy::kExeced : events::EndWhy::kExited);
    if (!identity && identity.error().code() != ErrorCode::kTargetGone) return std::move(identity).error();
    if (!alive) break;
  }
  return Error(ErrorCode::kTargetGone, fmt::format("pid {} went away while it was being attached", tgid));
}

Status Roster::remove(Pid tgid) {
  const Target* target = targets_.find_owner(tgid);
  if (target == nullptr) return Error(ErrorCode::kTargetGone, fmt::format("pid {} is not recorded", tgid));
  end(target->space, events::EndWhy::kDetached);
  return {};
}

void Roster::on_start(TimeNs time, const events::SpaceStart& start) {
  in_exec_.erase(start.tgid);
  if (start.space == SpaceId::kNone || start.how == events::StartHow::kAttached ||
      targets_.find(start.space) != nullptr)
    return;
  const TimeNs now = world_.clock.now();
  Target& target = targets_.make(start.space, start.tgid);
  target.start = start;
  if (start.how == events::StartHow::kForked) {
    // Most children exec at once, and are never read.
    target.schedule.open_at = std::max(now, time + kOpenForkAfter);
    return;
  }
  // A vfork child execs out of its parent's space, which goes on.
  Target* old = targets_.find(start.parent);
  if (old != nullptr && old->tgid == start.tgid) leave(time, *old);
  target.schedule.open_at = now;
  meet(target);
}

// For up to a tenth of a CPU, all of them together. Processes that still exist when it is allowed again are read then.
void Roster::meet(Target& target) {
  if (meeting_.allows(world_.clock.now())) return open(target);
  target.schedule.open_at = meeting_.due();
  target.unmet = true;
}

void Roster::on_end(TimeNs time, const events::SpaceEnd& end) {
  Target* target = targets_.find(end.space);
  // Its start was never emitted (Young), or it has ended before: the kernel side's entries of it are given back.
  if (target == nullptr) return world_.kernel.reclaim(end.space, std::nullopt);
  if (end.why == events::EndWhy::kExeced) in_exec_.insert(target->tgid);
  leave(time, *target);
}

void Roster::on_exit(const events::ProcessExit& exit) {
  in_exec_.erase(exit.tgid);
  Target* target = targets_.find(exit.space);
  // Its address space ends with it, unless another process shares it.
  if (target != nullptr && target->tgid == exit.tgid) target->schedule.check_at = world_.clock.now() + kGrace;
}

void Roster::leave(TimeNs time, Target& target) {
  if (target.pending && target.pending->read_at >= time) target.pending.reset();  // read beyond an exec
  end(target.space, std::nullopt);
}

void Roster::on_loss(const events::Loss& loss) {
  if (loss.what == kShortChild) notices_.add_unmet(loss.count);
  on_share_loss(loss);
  // It may be the exit of one of them; or its new space found no room.
  if (loss.what == "exit" || (loss.what == "exec" && loss.space != SpaceId::kNone)) in_exec_.clear();
  const TimeNs now = world_.clock.now();
  for (auto& [space, target] : targets_) {
    if (loss.space != SpaceId::kNone && loss.space != space) continue;
    if (loss.what == "removal") target->schedule.rescan = true;
    if (loss.what == "exec" || loss.what == "exit" || loss.what == "fork") target->schedule.check_at = now;
  }
}

// A target that took what it could of the tables of the kernel side, while others are recorded.
void Roster::on_share_loss(const events::Loss& loss) {
  if (loss.what != "stack_share" && loss.what != "page_share") return;
  Target* target = targets_.find(loss.space);
  if (target == nullptr || std::exchange(target->share_cut, true)) return;
  notices_.add(fmt::format(
      "pid {} has more different stacks, or touches memory in more places, than its share of what is kept "
      "while others are recorded: some of its pages have no stack.",
      target->tgid));
}

// Opens the files of a space that the kernel reported, and holds their content until it is certain to be this
// space's.
void Roster::open(Target& target) {
  const bool waited = std::exchange(target.schedule.open_at, kNever) != kNever &&
                      target.start.how == events::StartHow::kForked;
  // A child that stays: what its parent had at the fork is in the parent's table, until the parent writes there
  // again.
  if (Target* parent = waited ? targets_.find(target.start.parent) : nullptr) readings_.table(*parent, false);
  // Too late: the kernel reports its end, unless that was lost.
  target.schedule.check_at = world_.clock.now() + kGrace;
  auto source = world_.processes.open(target.tgid);
  if (!source) return;
  auto identity = (*source)->identity();
  auto vmas = (*source)->vmas();
  if (!identity || !vmas) return;
  target.schedule.check_at = kNever;
  target.source = *std::move(source);
  identity->how = target.start.how;
  identity->parent = target.start.parent;
  target.pending = Pending{*std::move(identity), *std::move(vmas), world_.clock.now()};
  target.schedule.confirm_at = world_.clock.now() + kConfirmAfter;
}

void Roster::confirm(Target& target) {
  Pending pending = *std::exchange(target.pending, std::nullopt);
  target.schedule.confirm_at = kNever;
  pending.identity.space = target.space;
  Executable executable = world_.symbols.executable(target.tgid, world_.emit);
  pending.identity.exe_binary = executable.binary;
  pending.identity.elf_class = executable.machine;
  target.machine = std::move(executable.machine);
  target.foreign = !target.machine.empty() && target.machine != machine::kName;
  if (target.foreign && pending.identity.how != events::StartHow::kAttached) {
    notices_.add(fmt::format("pid {} became a program for {}: only programs for {} can be recorded.",
                             target.tgid, target.machine, machine::kName));
  }
  target.told = pending.identity;
  world_.tell(pending.read_at, std::move(pending.identity));
  if (!pending.vmas.empty()) {
    target.vmas = std::move(pending.vmas);
    target.vmas_at = pending.read_at;
    world_.tell(pending.read_at, events::VmaList{target.space, target.vmas});
  }
  target.schedule.begin(world_.clock.now());
}

void Roster::check(Target& target) {
  target.schedule.check_at = kNever;
  const TimeNs now = world_.clock.now();
  if (!target.source) {
    const auto source = world_.processes.open(target.tgid);
    if (source || source.error().code() != ErrorCode::kTargetGone) return;
  }
  const bool alive = target.source && target.source->alive();
  TimeNs& missing_since = target.schedule.missing_since;
  if (alive && target.source->vmas()) {
    missing_since = kNever;
    return;
  }
  // The kernel's own word of it is on its way, unless it was lost.
  if (missing_since == kNever) missing_since = now;
  if (now < missing_since + kGrace) {
    target.schedule.check_at = missing_since + kGrace;
    return;
  }
  const SpaceId old = target.space;
  const Pid tgid = target.tgid;
  if (!alive) return end(old, events::EndWhy::kExited);
  const auto space = world_.kernel.trace(tgid, world_.options.follow);
  if (!space) return end(old, events::EndWhy::kExited);
  events::SpaceStart start;
  start.space = *space;
  start.tgid = tgid;
  start.how = events::StartHow::kExeced;
  start.parent = old;
  end(old, events::EndWhy::kExeced);
  world_.tell(start);
  on_start(world_.clock.now(), start);
}

void Roster::end(SpaceId space, std::optional<events::EndWhy> say) {
  Target& target = *targets_.find(space);
  if (target.pending) confirm(target);
  target.schedule.open_at = kNever;
  readings_.table(target, false);
  names_.resolve_waiting(target);
  if (!target.vmas.empty()) names_.give_up(target);
  if (target.unmet && !target.source) notices_.add_unmet(1);
  if (say) {
    world_.tell(events::SpaceEnd{space, *say});
    static_cast<void>(world_.kernel.untrace(space));
  }
  world_.kernel.reclaim(space, std::nullopt);
  world_.symbols.forget(space);
  targets_.erase(space);
  if (targets_.empty()) deserted_since_ = world_.clock.now();
}

Error Roster::refuse(const Target& target, const std::string& comm) {
  Error why(ErrorCode::kEnvironment,
            fmt::format("pid {} ({}) is a program for {}: this memwhy can record programs for {} only",
                        target.tgid, comm, target.machine, machine::kName));
  end(target.space, events::EndWhy::kDetached);
  return why;
}

TimeNs Roster::deserted_at() const {
  if (!had_targets_ || !targets_.empty()) return kNever;
  return deserted_since_ + (in_exec_.empty() ? kGrace : kExecTakes);
}

}  // namespace memwhy::record
