// SPDX-License-Identifier: Apache-2.0
#include "record/runtime_reader.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace memwhy::record {
namespace {

RuntimeState& state_of(Target& target, const RuntimeSource& source) {
  for (RuntimeState& known : target.runtimes)
    if (known.name == source.name()) return known;
  RuntimeState& state = target.runtimes.emplace_back();
  state.name = source.name();
  state.title = source.title();
  return state;
}

void set_space(events::Payload& payload, SpaceId space) {
  std::visit(
      [space](auto& event) {
        if constexpr (requires { event.space; }) event.space = space;
      },
      payload);
}

}  // namespace

TimeNs RuntimeReader::paid_at(const RuntimeState& runtime) const {
  if (runtime.since == kNever || runtime.cpu_ns <= kRuntimeFreeNs) return 0;
  return runtime.since + world_.pace() * kRuntimeShare * (runtime.cpu_ns - kRuntimeFreeNs);
}

void RuntimeReader::allow_details(Target& target) {
  for (RuntimeState& runtime : target.runtimes) runtime.details_allowed_at = 0;
}

void RuntimeReader::tell(Target& target, events::Payload payload) {
  set_space(payload, target.space);
  names_.name_code(target, payload);
  world_.tell(std::move(payload));
}

bool RuntimeReader::read(Target& target, const events::PageScan& pass, Look look) {
  const std::vector<RuntimeSource*> sources = target.source->runtimes(target.vmas);
  // They went with their process, after the pass had found its pages.
  if (sources.empty() && !target.runtimes.empty() && !target.source->alive()) return false;
  const bool puts_off =
      look == Look::kFirst && std::ranges::any_of(sources, &RuntimeSource::has_long_details);
  target.schedule.details_at = puts_off ? world_.clock.now() : kNever;
  Heard heard;
  for (RuntimeSource* source : sources) {
    RuntimeState& state = state_of(target, *source);
    const CpuMeter meter(world_.clock, state.cpu_ns);
    source->stop_when(world_.options.out_of_time);
    const bool there = read(target, *source, state, pass, look, heard);
    take_notices(target, *source);
    if (!there) return false;
  }
  return true;
}

bool RuntimeReader::read(Target& target, RuntimeSource& source, RuntimeState& state,
                         const events::PageScan& pass, Look look, Heard& heard) {
  using Details = RuntimeSource::Details;
  const bool last = look == Look::kLast;
  const RuntimeSource::Tell tell = [&](events::Payload payload) { this->tell(target, std::move(payload)); };
  state.since = std::min(state.since, world_.clock.now());
  ++state.reads;
  const bool details = world_.clock.now() >= state.details_allowed_at;
  uint64_t paid_ns = 0;
  if (details && !last) {
    const CpuMeter of_details(world_.clock, paid_ns);
    source.details(Details::kLearned, tell);
  }
  events::RuntimePages pages = source.pages(pass, tell);
  const bool read = pages.trust == events::Trust::kVerified;
  if (!read && !(target.source->alive() && target.source->vmas())) return false;
  pages.scan = pass.scan;
  tell_pages(target, state, std::move(pages), heard);
  if (details && (look != Look::kFirst || !source.has_long_details()))
    read_own(source, state, look, paid_ns, tell);
  return true;
}

void RuntimeReader::read_own(RuntimeSource& source, RuntimeState& state, Look look, uint64_t paid_ns,
                             const RuntimeSource::Tell& tell) {
  using Details = RuntimeSource::Details;
  const bool last = look == Look::kLast;
  {
    const CpuMeter of_details(world_.clock, paid_ns);
    if (last) source.details(Details::kLearned, tell);
    source.details(last ? Details::kLast : Details::kOwn, tell);
  }
  state.details_allowed_at = world_.clock.now() + std::min<TimeNs>(kDetailsBudget * paid_ns, kDetailsPeriod);
}

void RuntimeReader::read_put_off(Target& target) {
  const Lumps::Scope lump = world_.lump();
  target.schedule.details_at = kNever;
  for (RuntimeSource* source : target.source->runtimes(target.vmas)) {
    if (!source->has_long_details()) continue;
    RuntimeState& state = state_of(target, *source);
    const CpuMeter meter(world_.clock, state.cpu_ns);
    read_own(*source, state, Look::kUsual, 0,
             [&](events::Payload payload) { tell(target, std::move(payload)); });
    take_notices(target, *source);
  }
  stretch(target);
}

void RuntimeReader::take_notices(const Target& target, RuntimeSource& source) {
  for (std::string& sentence : source.take_notices())
    notices_.add(fmt::format("pid {}: {}", target.tgid, sentence));
}

void RuntimeReader::tell_pages(Target& target, RuntimeState& state, events::RuntimePages pages,
                               Heard& heard) {
  if (pages.trust == events::Trust::kVerified && pages.uses.empty()) return;  // the process does not have it
  if (pages.holds() && ++heard.holders > events::kMostRuntimes) {
    // Its reading stays, without pages: the report names what it does not know.
    pages.trust = events::Trust::kUnreadable;
    pages.problem =
        fmt::format("memwhy reads the pages of {} runtimes of one process", events::kMostRuntimes);
    pages.runs.clear();
    if (!std::exchange(state.crowded_out, true))
      notices_.add(fmt::format("pid {}: Its pages of {} are not reported: {} other runtimes hold pages.",
                               target.tgid, state.title, events::kMostRuntimes));
  }
  tell(target, std::move(pages));
}

void RuntimeReader::read_counters(Target& target) {
  if (!target.source || target.vmas.empty()) return;
  for (RuntimeSource* source : target.source->runtimes(target.vmas)) {
    const CpuMeter meter(world_.clock, state_of(target, *source).cpu_ns);
    source->counters([&](events::Payload payload) { tell(target, std::move(payload)); });
  }
}

void RuntimeReader::probe(Target& target) {
  if (!target.source) return;
  for (RuntimeSource* source : target.source->runtimes(target.vmas)) {
    std::optional<events::RuntimeProbes> plan = source->probe_plan(world_.options.probes);
    if (!plan) continue;
    world_.kernel.probe_runtime(target.space, *std::move(plan));
    notices_.hooks();
  }
}

// A scan without the tables of its moment would call the heap unclassified: so both come later.
void RuntimeReader::stretch(Target& target) {
  for (RuntimeState& runtime : target.runtimes) {
    const TimeNs paid = paid_at(runtime);
    const bool later = paid > target.schedule.next_scan;
    target.schedule.delay_scans(paid);
    if (!later || std::exchange(runtime.stretched, true)) continue;
    notices_.add(fmt::format(
        "The pages of pid {} are scanned less often than every {} s: reading its {} heap so often would "
        "take more than 1 % of a CPU.",
        target.tgid, static_cast<double>(world_.options.scan_period) / 1e9, runtime.title));
  }
}

void RuntimeReader::tell_shares(const Target& target) {
  for (const RuntimeState& runtime : target.runtimes) {
    if (runtime.since == kNever || runtime.cpu_ns <= kRuntimeUntoldNs) continue;
    const TimeNs elapsed = std::max<TimeNs>(world_.clock.now() - runtime.since, 1);
    if (runtime.cpu_ns <= elapsed / kRuntimeShare) continue;
    const double cpu = static_cast<double>(runtime.cpu_ns) / 1e9, all = static_cast<double>(elapsed) / 1e9;
    notices_.add(fmt::format(
        "Reading the {} runtime of pid {} took {:.1f} s of CPU in {:.1f} s ({:.0f} % of a CPU, and "
        "not at most 1 %): the first reading and the last are made whatever they take.",
        runtime.title, target.tgid, cpu, all, 100 * cpu / all));
  }
}

}  // namespace memwhy::record
