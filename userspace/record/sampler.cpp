// SPDX-License-Identifier: Apache-2.0
// Who is recorded, and when what is due. What is read of a target is in sampler_read.cpp.
#include "record/sampler.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "record/target.h"
#include "record/young.h"

namespace memwhy::record {

TimeNs scan_period_for(std::optional<TimeNs> duration) {
  constexpr TimeNs kUsual = 10'000'000'000;
  if (!duration || *duration >= 4 * kUsual) return kUsual;
  return std::max<TimeNs>(*duration / 4, 100'000'000);
}

Sampler::Sampler(KernelSource& kernel, ProcessOpener& processes, SymbolSource& symbols, Clock& clock,
                 SamplerOptions options, Emit emit)
    : kernel_(kernel),
      processes_(processes),
      symbols_(symbols),
      clock_(clock),
      options_(options),
      emit_(std::move(emit)),
      meeting_(kMeetFreeNs, kMeetShare) {}

Sampler::~Sampler() = default;

Sampler::Target* Sampler::find(SpaceId space) {
  const auto found = targets_.find(space);
  return found == targets_.end() ? nullptr : found->second.get();
}

Sampler::Target* Sampler::find_owner(Pid tgid) {
  for (auto& [space, target] : targets_) {
    if (target->tgid == tgid) return target.get();
  }
  return nullptr;
}

Sampler::Target& Sampler::make(SpaceId space, Pid tgid) {
  auto target = std::make_unique<Target>();
  target->space = space;
  target->tgid = tgid;
  target->cost.space = space;
  target->cost.tgid = tgid;
  return *(targets_[space] = std::move(target));
}

void Sampler::emit(TimeNs time, events::Payload payload) { emit_({time, std::move(payload)}); }

void Sampler::anchor() {
  if (auto anchor = kernel_.clock()) emit(clock_.now(), *std::move(anchor));
  if (unmet_ != 0) hooks();
  next_anchor_ = clock_.now() + kRestatePeriod;
}

Result<SpaceId> Sampler::add(Pid tgid) {
  if (const Target* known = find_owner(tgid)) return known->space;
  // A process that execs while it is being attached has another address space a moment later.
  for (int attempt = 0; attempt < 3; ++attempt) {
    const TimeNs begun = clock_.now();
    auto source = processes_.open(tgid);
    if (!source) return std::move(source).error();
    const auto space = kernel_.trace(tgid, options_.follow);
    if (!space) return space.error();
    hooks();
    if (next_anchor_ == 0) anchor();
    if (find(*space) != nullptr) return *space;  // shared with a target: a vfork child, CLONE_VM

    Target& target = make(*space, tgid);
    target.source = *std::move(source);
    auto identity = target.source->identity();
    if (identity) {
      target.pending = Pending{*identity, {}, begun};
      target.pending->identity.how = events::StartHow::kAttached;
      confirm(target);
      if (target.foreign) return refuse(target, identity->comm);
      if (read_counters(target) && scan(target, true)) {
        resolve_waiting(target);
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

Status Sampler::remove(Pid tgid) {
  const Target* target = find_owner(tgid);
  if (target == nullptr) return Error(ErrorCode::kTargetGone, fmt::format("pid {} is not recorded", tgid));
  end(target->space, events::EndWhy::kDetached);
  return {};
}

void Sampler::handle(const events::Event& event) {
  if (const auto* start = std::get_if<events::SpaceStart>(&event.payload))
    return on_start(event.time, *start);
  if (const auto* end = std::get_if<events::SpaceEnd>(&event.payload)) return on_end(event.time, *end);
  if (const auto* loss = std::get_if<events::Loss>(&event.payload)) return on_loss(*loss);
  if (const auto* exit = std::get_if<events::ProcessExit>(&event.payload)) {
    in_exec_.erase(exit->tgid);
    Target* target = find(exit->space);
    // Its address space ends with it, unless another process shares it.
    if (target != nullptr && target->tgid == exit->tgid) target->check_at = clock_.now() + kGrace;
    return;
  }
  if (const auto* stack = std::get_if<events::Stack>(&event.payload)) {
    Target* target = find(stack->space);
    if (target != nullptr) resolve(*target, std::span(stack, 1));
  }
}

void Sampler::on_start(TimeNs time, const events::SpaceStart& start) {
  in_exec_.erase(start.tgid);
  if (start.space == SpaceId::kNone || start.how == events::StartHow::kAttached ||
      find(start.space) != nullptr)
    return;
  const TimeNs now = clock_.now();
  Target& target = make(start.space, start.tgid);
  target.start = start;
  if (start.how == events::StartHow::kForked) {
    // Most children exec at once, and are never looked at.
    target.open_at = std::max(now, time + kOpenForkAfter);
    return;
  }
  // A vfork child execs out of its parent's space, which goes on.
  Target* old = find(start.parent);
  if (old != nullptr && old->tgid == start.tgid) leave(time, *old);
  target.open_at = now;
  meet(target);
}

// Looks at a child for the first time: at most for a tenth of a CPU, all of them together. Who is still there when it is
// allowed again, is looked at then.
void Sampler::meet(Target& target) {
  if (meeting_.allows(clock_.now())) return open(target);
  target.open_at = meeting_.due();
  target.unmet = true;
}

void Sampler::on_end(TimeNs time, const events::SpaceEnd& end) {
  Target* target = find(end.space);
  // Nobody was told of its start (Young), or it has ended before: what the kernel side keeps of it is given back.
  if (target == nullptr) return kernel_.reclaim(end.space, std::nullopt);
  if (end.why == events::EndWhy::kExeced) in_exec_.insert(target->tgid);
  leave(time, *target);
}

void Sampler::leave(TimeNs time, Target& target) {
  if (target.pending && target.pending->read_at >= time) target.pending.reset();  // read beyond an exec
  end(target.space, std::nullopt);
}

void Sampler::on_loss(const events::Loss& loss) {
  if (loss.what == "stack") return resend_stacks();
  if (loss.what == kShortChild) unmet_ += loss.count;
  on_share_loss(loss);
  // It may be the exit of one of them; or its new space found no room.
  if (loss.what == "exit" || (loss.what == "exec" && loss.space != SpaceId::kNone)) in_exec_.clear();
  const TimeNs now = clock_.now();
  for (auto& [space, target] : targets_) {
    if (loss.space != SpaceId::kNone && loss.space != space) continue;
    if (loss.what == "removal") target->rescan = true;
    if (loss.what == "exec" || loss.what == "exit" || loss.what == "fork") target->check_at = now;
  }
}

// Opens the files of a space that the kernel told of, and holds what they say until it is certain to be this
// space's.
void Sampler::open(Target& target) {
  const bool waited =
      std::exchange(target.open_at, kNever) != kNever && target.start.how == events::StartHow::kForked;
  // A child that stays: what its parent had at the fork is in the parent's table, until the parent writes there
  // again.
  if (Target* parent = waited ? find(target.start.parent) : nullptr) read_table(*parent, false);
  target.check_at = clock_.now() + kGrace;  // too late: its end is told by the kernel, unless that was lost
  auto source = processes_.open(target.tgid);
  if (!source) return;
  auto identity = (*source)->identity();
  auto vmas = (*source)->vmas();
  if (!identity || !vmas) return;
  target.check_at = kNever;
  target.source = *std::move(source);
  identity->how = target.start.how;
  identity->parent = target.start.parent;
  target.pending = Pending{*std::move(identity), *std::move(vmas), clock_.now()};
  target.confirm_at = clock_.now() + kConfirmAfter;
}

void Sampler::confirm(Target& target) {
  Pending pending = *std::exchange(target.pending, std::nullopt);
  target.confirm_at = kNever;
  pending.identity.space = target.space;
  Executable executable =
      symbols_.executable(target.tgid, [this](events::Event event) { emit_(std::move(event)); });
  pending.identity.exe_binary = executable.binary;
  pending.identity.elf_class = executable.machine;
  target.machine = std::move(executable.machine);
  target.foreign = !target.machine.empty() && target.machine != kMachine;
  if (target.foreign && pending.identity.how != events::StartHow::kAttached) {
    notice(fmt::format("pid {} became a program for {}: only programs for {} can be recorded.", target.tgid,
                       target.machine, kMachine));
  }
  emit(pending.read_at, std::move(pending.identity));
  if (!pending.vmas.empty()) {
    target.vmas = std::move(pending.vmas);
    target.vmas_at = pending.read_at;
    emit(pending.read_at, events::VmaList{target.space, target.vmas});
  }
  const TimeNs now = clock_.now();
  target.next_tick = now + kTickPeriod;
  target.next_restate = now + kRestatePeriod;
  target.next_scan = now;
}

// A target that could not be read, or about which an event was lost.
void Sampler::check(Target& target) {
  target.check_at = kNever;
  const TimeNs now = clock_.now();
  if (!target.source) {
    const auto source = processes_.open(target.tgid);
    if (source || source.error().code() != ErrorCode::kTargetGone) return;
  }
  const bool alive = target.source && target.source->alive();
  if (alive && target.source->vmas()) {
    target.missing_since = kNever;
    return;
  }
  // The kernel's own word of it is on its way, unless it was lost.
  if (target.missing_since == kNever) target.missing_since = now;
  if (now < target.missing_since + kGrace) {
    target.check_at = target.missing_since + kGrace;
    return;
  }
  const SpaceId old = target.space;
  const Pid tgid = target.tgid;
  if (!alive) return end(old, events::EndWhy::kExited);
  const auto space = kernel_.trace(tgid, options_.follow);
  if (!space) return end(old, events::EndWhy::kExited);
  events::SpaceStart start;
  start.space = *space;
  start.tgid = tgid;
  start.how = events::StartHow::kExeced;
  start.parent = old;
  end(old, events::EndWhy::kExeced);
  emit(clock_.now(), start);
  on_start(clock_.now(), start);
}

// The last of a target: its table, which outlives it, and the names of its stacks. `say`: nobody else tells
// of the end.
void Sampler::end(SpaceId space, std::optional<events::EndWhy> say) {
  Target& target = *find(space);
  if (target.pending) confirm(target);
  target.open_at = kNever;
  read_table(target, false);
  resolve_waiting(target);
  give_up_names(target, target.vmas.empty() ? 0 : target.waiting.size());
  if (target.unmet && !target.source) ++unmet_;
  if (say) {
    emit(clock_.now(), events::SpaceEnd{space, *say});
    static_cast<void>(kernel_.untrace(space));
  }
  kernel_.reclaim(space, std::nullopt);
  symbols_.forget(space);
  targets_.erase(space);
  if (targets_.empty()) deserted_since_ = clock_.now();
}

TimeNs Sampler::next_due() const {
  TimeNs due = next_anchor_ == 0 ? kNever : next_anchor_;
  for (const auto& [space, target] : targets_) due = std::min(due, target->due());
  if (had_targets_ && targets_.empty() && deserted_at() > clock_.now()) due = std::min(due, deserted_at());
  return due;
}

void Sampler::run_due() {
  if (next_anchor_ != 0 && clock_.now() >= next_anchor_) anchor();
  std::vector<SpaceId> due;
  for (const auto& [space, target] : targets_) {
    if (target->due() <= clock_.now()) due.push_back(space);
  }
  if (!due.empty() && (kernel_.govern() || symbols_.has_notices())) hooks();
  for (const SpaceId space : due) {
    if (options_.stop_requested && options_.stop_requested()) return;  // finish() looks at each once more
    Target* target = find(space);
    if (target == nullptr) continue;
    const TimeNs now = clock_.now();
    const uint64_t cpu_before = clock_.thread_cpu_ns();
    const bool meets = target->open_at <= now || target->confirm_at <= now;
    if (target->open_at <= now) meet(*target);
    if (target->confirm_at <= now) confirm(*target);
    if (target->foreign) {
      end(space, events::EndWhy::kDetached);
      continue;
    }
    const bool tick = target->next_tick <= now;
    if (tick) {
      while (target->next_tick <= now) target->next_tick += kTickPeriod;
      if (read_counters(*target))
        read_go_statistics(*target);
      else
        target->check_at = now;
    }
    const bool restate = target->next_restate <= now;
    const bool scanned = target->scan_due() <= now && scan(*target, restate);
    if (tick || scanned) {
      if (restate) target->next_restate = now + kRestatePeriod;
      if (!scanned) read_table(*target, restate);
      resolve_waiting(*target);
      if (restate || (scanned && table_fill_ > 0.75)) reclaim(*target);
    }
    if (meets) meeting_.spend(now, clock_.thread_cpu_ns() - cpu_before);
    if (target->check_at <= now) check(*target);
  }
  kernel_.settle();
}

void Sampler::restate() {
  const TimeNs now = clock_.now();
  for (auto& [space, target] : targets_) {
    if (!target->source || target->pending) continue;
    target->next_restate = now;
    target->next_scan = now;
  }
}

void Sampler::finish() {
  finishing_ = true;
  std::vector<SpaceId> all;
  all.reserve(targets_.size());
  for (const auto& [space, target] : targets_) all.push_back(space);
  size_t left = all.size();
  for (const SpaceId space : all) {
    if (options_.out_of_time && options_.out_of_time()) {
      notice(
          fmt::format("The last look at {} of {} processes was left out, because the recording had to end: "
                      "what they had at the end is as of the look before.",
                      left, all.size()));
      break;
    }
    --left;
    Target& target = *find(space);
    if (!target.source) open(target);
    if (target.pending) confirm(target);
    if (!target.source || target.foreign) continue;
    target.go_allowed_at = 0;  // how it ended is read whole
    if (!read_counters(target) || !scan(target, false)) read_table(target, false);
    tell_go_share(target);
    resolve_waiting(target);
    give_up_names(target, target.waiting.size());
  }
  if (symbols_.has_notices()) hooks();
  if (had_targets_) anchor();
}

void Sampler::release() {
  resend_stacks();  // the inbox may have had no room for the Loss
  for (const auto& [space, target] : targets_) {
    static_cast<void>(kernel_.untrace(space));
    symbols_.forget(space);
  }
  kernel_.settle();
  if (unmet_ != 0) hooks();
  targets_.clear();
}

size_t Sampler::targets() const { return targets_.size(); }

TimeNs Sampler::deserted_at() const { return deserted_since_ + (in_exec_.empty() ? kGrace : kExecTakes); }

bool Sampler::deserted() const { return had_targets_ && targets_.empty() && clock_.now() >= deserted_at(); }

uint64_t Sampler::rss_bytes() const {
  uint64_t sum = 0;
  for (const auto& [space, target] : targets_) sum += target->rss_bytes;
  return sum;
}

std::vector<TargetCost> Sampler::costs() const {
  std::vector<TargetCost> costs;
  costs.reserve(targets_.size());
  for (const auto& [space, target] : targets_) costs.push_back(target->cost);
  return costs;
}

}  // namespace memwhy::record
