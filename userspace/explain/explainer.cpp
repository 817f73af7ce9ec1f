// SPDX-License-Identifier: Apache-2.0
#include "explain/explainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "explain/space_story.h"

namespace memwhy::explain {
namespace {

using events::Event;

RecordingCoverage coverage_of(const timeline::RecordingState& recording, std::vector<std::string> damage) {
  RecordingCoverage out;
  if (recording.hooks) out.report = *recording.hooks;
  if (recording.coverage) {
    const events::Coverage& coverage = *recording.coverage;
    for (const events::KindCount& kind : coverage.kinds) {
      out.events_seen += kind.seen;
      out.events_lost += kind.lost;
    }
    out.faults_seen = coverage.faults_seen;
    out.faults_lost = coverage.faults_table_full;
    out.stacks_lost = coverage.stacks_lost;
    out.snapshots_taken = coverage.snapshots_taken;
    out.snapshots_refused = coverage.snapshots_refused;
    const auto elapsed_ns = static_cast<double>(recording.last_event - recording.first_event);
    double share = 0;
    for (const events::ProgramCost& program : coverage.programs) {
      const auto runs = static_cast<double>(program.runs), run_ns = static_cast<double>(program.run_time_ns);
      const double watched_ns = program.watched_ns > 0 ? static_cast<double>(program.watched_ns) : elapsed_ns;
      if (watched_ns > 0) share += run_ns / watched_ns;
      if (program.program.starts_with("go_") && program.runs > 0)
        out.probes.push_back(
            {program.program, program.runs, watched_ns > 0 ? runs * 1e9 / watched_ns : 0, run_ns / runs});
    }
    // No program was watched while it ran: nothing is known.
    if (share > 0) out.bpf_cpu_share = share;
  }
  std::map<std::string, uint64_t> losses;
  for (const events::Loss& loss : recording.losses) losses[loss.what] += loss.count;
  out.losses.assign(losses.begin(), losses.end());
  out.complete = recording.end.has_value() && damage.empty();
  out.ended = recording.end ? recording.end->why : "killed";
  out.damage = std::move(damage);
  return out;
}

// Whether there is anything to report of a process that was never scanned. There is nothing for a child that lived between two
// scans; a requested process is reported as having none.
bool worth_telling(const timeline::AddressSpace& space, bool first) {
  const events::SpaceStart& identity = space.identity();
  if (identity.how == events::StartHow::kForked) return false;
  if (identity.tgid == 0 && identity.comm.empty()) return first || space.counters().has_value();
  const bool replaced = space.end() && space.end()->why == events::EndWhy::kExeced;
  const bool child = identity.how == events::StartHow::kExeced && !first;
  return !child || !space.ended() || replaced || space.counters().has_value();
}

// What others map too is told with a process's scan; the container's list is by the kernel's counters.
void share(const ProcessExplanation& process, ContainerSummary& container) {
  for (ContainerProcess& each : container.processes) {
    if (each.pid != process.pid || process.rss.anon < process.anon_share_bytes) continue;
    const uint64_t of_others = process.rss.anon - process.anon_share_bytes;
    each.anon_share_bytes = each.anon_bytes - std::min(each.anon_bytes, of_others);
  }
}

constexpr size_t kSpareStories =
    4096;  // of spaces that the timeline has forgotten, before they are looked for

}  // namespace

struct Explainer::State {
  explicit State(OwnerTable owners) : table(std::make_shared<const OwnerTable>(std::move(owners))) {}

  std::shared_ptr<const OwnerTable> table;
  std::map<SpaceId, SpaceStory> stories;
  std::optional<TimeNs> begun;
  std::set<SpaceId> started;
  timeline::Timeline timeline{[this](const timeline::AddressSpace& space, const timeline::ScanResult& scan) {
    story(space.id()).on_scan(timeline, space, scan);
  }};

  void note(const Event& event);
  SpaceStory& story(SpaceId space) { return stories.try_emplace(space, table).first->second; }
  // Stories of spaces that the timeline has forgotten.
  void forget() {
    if (stories.size() < timeline.spaces_kept() + kSpareStories) return;
    std::erase_if(stories, [this](const auto& story) { return timeline.space(story.first) == nullptr; });
  }
};

// What happens to processes, for the list of events; each once, though a start is restated when more is
// known.
void Explainer::State::note(const Event& event) {
  if (const auto* start = std::get_if<events::SpaceStart>(&event.payload)) {
    if (!started.insert(start->space).second) return;
    if (start->how == events::StartHow::kForked && start->parent != SpaceId::kNone) {
      story(start->parent).log().add(event.time, EventWhat::kFork, fmt::format("forked pid {}", start->tgid));
    } else if (start->how == events::StartHow::kExeced) {
      story(start->space)
          .log()
          .add(event.time, EventWhat::kExec, fmt::format("became {} by exec", start->comm));
    }
  } else if (const auto* end = std::get_if<events::SpaceEnd>(&event.payload)) {
    if (end->why == events::EndWhy::kExeced) {
      story(end->space).log().add(event.time, EventWhat::kExec, "replaced by another program (exec)");
    }
  } else if (const auto* oom = std::get_if<events::OomVictim>(&event.payload)) {
    story(oom->space)
        .log()
        .add(event.time, EventWhat::kOom, "chosen by the kernel to be killed: out of memory");
  }
}

Explainer::Explainer(OwnerTable owners) : state_(std::make_unique<State>(std::move(owners))) {}
Explainer::~Explainer() = default;

void Explainer::on_event(const Event& event) {
  state_->note(event);
  state_->timeline.on_event(event);
  state_->forget();
}

void Explainer::begin(TimeNs time) {
  state_->begun = time;
  state_->timeline.restart_series();
  for (auto& [space, story] : state_->stories) story.restart();
}

const timeline::Timeline& Explainer::timeline() const { return state_->timeline; }

Explanation Explainer::finish(std::vector<std::string> damage,
                              std::optional<uint64_t> heap_profile_bytes) const {
  const timeline::RecordingState& recording = state_->timeline.recording();
  Explanation out;
  out.start = state_->begun.value_or(recording.first_event);
  out.end = recording.last_event;
  out.clock = recording.wall_clock;
  out.recording = recording.info;
  out.coverage = coverage_of(recording, std::move(damage));
  out.container = container_summary(state_->timeline);
  const SpaceStory nothing(state_->table);
  out.coverage.processes_left_out = recording.spaces_forgotten;
  const std::vector<SpaceId> spaces = state_->timeline.spaces();
  for (SpaceId id : spaces) {
    const timeline::AddressSpace* space = state_->timeline.space(id);
    if (space == nullptr) continue;
    if (state_->begun && space->ended() && *space->ended() < *state_->begun) continue;
    auto story = state_->stories.find(id);
    const SpaceStory& told = story != state_->stories.end() ? story->second : nothing;
    if (!told.scanned() && !worth_telling(*space, id == spaces.front())) {
      ++out.coverage.processes_left_out;
      continue;
    }
    out.processes.push_back(told.explain(state_->timeline, *space, heap_profile_bytes));
    if (out.container) share(out.processes.back(), *out.container);
    out.processes.back().replaced = space->end() && space->end()->why == events::EndWhy::kExeced;
  }
  // What a process was before its exec comes last: it is the least interesting.
  std::stable_partition(out.processes.begin(), out.processes.end(),
                        [](const ProcessExplanation& process) { return !process.replaced; });
  return out;
}

}  // namespace memwhy::explain
