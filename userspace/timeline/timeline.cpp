// SPDX-License-Identifier: Apache-2.0
#include "timeline/timeline.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <type_traits>
#include <unordered_map>

#include "timeline/address_space_state.h"

namespace memwhy::timeline {
namespace {

// Bounds of a recording of many days. Ended spaces leave in the order in which they ended.
constexpr size_t kMaxEnded = 1024, kMaxLosses = 1024, kMaxPendingForks = 4096;
constexpr uint32_t kMostRememberedIds = 16u << 20;  // ids count from 1; a damaged trace may name any
constexpr size_t kMaxStacks = size_t{1} << 20, kMaxSymbols = size_t{1} << 22, kMaxBinaries = size_t{1} << 16,
                 kMaxCgroups = 1024;

// Events come in order within this time: so long an ended space may still be spoken of.
constexpr TimeNs kExitWindow = 1'000'000'000;

struct SymbolKey {
  SpaceId space;
  uint64_t address;
  bool is_return;
  bool operator==(const SymbolKey&) const = default;
};
struct SymbolHash {
  size_t operator()(const SymbolKey& key) const {
    const uint64_t mixed =
        (key.address * 2 + (key.is_return ? 1 : 0)) ^ uint64_t { static_cast<uint32_t>(key.space) } << 48;
    return static_cast<size_t>(mixed * 0x9e3779b97f4a7c15);
  }
};

}  // namespace

struct Timeline::State {
  // A fork with entries of its parent from before it that have not arrived yet.
  struct PendingFork {
    SpaceId parent, child;
    uint64_t tick;
  };

  explicit State(ScanObserver observer) : on_scan(std::move(observer)) {}

  AddressSpace::State& space(SpaceId id);
  // The space that an event is about; nullptr: it was forgotten, and later events do not create it anew.
  AddressSpace::State* spoken_of(SpaceId id) {
    const auto number = static_cast<uint32_t>(id);
    return number < forgotten.size() && forgotten[number] ? nullptr : &space(id);
  }
  AddressSpace::State* find(SpaceId id) {
    const auto it = by_id.find(id);
    return it == by_id.end() ? nullptr : &it->second->state();
  }
  // Runs that arrived now, shared by all spaces that inherit them.
  struct News {
    std::shared_ptr<const std::vector<events::TableRun>> runs;
    uint64_t oldest;
  };
  void inherit(SpaceId parent, const News& news, uint64_t until, int generation);
  void drop_ended();
  void evict();

  void on(const events::RecordingInfo& e) { recording.info = e; }
  void on(const events::ClockAnchor& e);
  void on(const events::HookReport& e);
  void on(const events::Coverage& e) { recording.coverage = e; }
  void on(const events::RecordingEnd& e) { recording.end = e; }
  void on(const events::BinaryInfo& e);
  void on(const events::SymbolInfo& e);
  void on(const events::SpaceStart& e);
  void on(const events::SpaceEnd& e);
  void on(const events::ProcessExit& e) {
    if (AddressSpace::State* of = spoken_of(e.space)) of->exit = e;
  }
  void on(const events::OomVictim& e) {
    if (AddressSpace::State* of = spoken_of(e.space)) of->oom_victim = now;
  }
  void on(const events::ThreadList& e) {
    if (AddressSpace::State* of = spoken_of(e.space)) of->threads = e.threads;
  }
  void on(const events::PageScan& e);
  void on(const events::PageTableRuns& e);
  void on(const events::Stack& e);
  void on(const events::Loss& e);
  void on(const events::CgroupMemory& e);
  template <typename E>
  void on(const E& e) {  // what concerns one space alone
    if (AddressSpace::State* of = spoken_of(e.space)) (*of)(e, now);
  }

  ScanObserver on_scan;
  RecordingState recording;
  TickClock clock;
  TimeNs now = 0;
  StackDictionary dictionary;
  std::vector<std::unique_ptr<AddressSpace>> spaces;
  std::unordered_map<SpaceId, AddressSpace*> by_id;
  std::unordered_map<SpaceId, SpaceId> parents;  // of forks, kept as long as the child
  std::vector<SpaceId> ending;                   // ended, and their pages not dropped yet
  std::vector<SpaceId> ended;
  std::vector<bool> forgotten;  // by id
  std::vector<PendingFork> forks;
  std::unordered_map<StackId, events::Stack> stacks;
  std::unordered_map<BinaryId, events::BinaryInfo> binaries;
  std::unordered_map<std::string, CgroupTrack> cgroups;  // by path
  std::unordered_map<SymbolKey, events::SymbolInfo, SymbolHash> symbols;
  uint64_t answers_changed = 0;
  template <typename Map, typename Key, typename Value>
  void keep(Map& map, size_t most, const Key& key, const Value& value);
};

AddressSpace::State& Timeline::State::space(SpaceId id) {
  if (AddressSpace::State* known = find(id)) return *known;
  auto made = std::make_unique<AddressSpace::State>(id, dictionary, clock);
  made->identity.space = id;
  made->first_seen = now;
  spaces.push_back(std::make_unique<AddressSpace>(std::move(made)));
  by_id.emplace(id, spaces.back().get());
  return spaces.back()->state();
}

void Timeline::State::on(const events::ClockAnchor& e) {
  clock.add(e);
  if (!recording.first_anchor) recording.first_anchor = e;
  recording.last_anchor = e;
  recording.wall_clock.add(e);
}

void Timeline::State::on(const events::HookReport& e) { recording.hooks = e; }

// Up to `most`; what was there before and is another one now is counted.
template <typename Map, typename Key, typename Value>
void Timeline::State::keep(Map& map, size_t most, const Key& key, const Value& value) {
  const auto found = map.find(key);
  if (found == map.end()) {
    if (map.size() < most) map.emplace(key, value);
  } else if (found->second != value) {
    found->second = value;
    ++answers_changed;
  }
}

void Timeline::State::on(const events::BinaryInfo& e) { keep(binaries, kMaxBinaries, e.id, e); }

void Timeline::State::on(const events::SymbolInfo& e) {
  keep(symbols, kMaxSymbols, SymbolKey{e.space, e.address, e.is_return}, e);
  if (parents.contains(e.space)) ++answers_changed;  // it may hide the parent's
}

void Timeline::State::on(const events::Stack& e) { keep(stacks, kMaxStacks, e.id, e); }

void Timeline::State::on(const events::CgroupMemory& e) {
  if (cgroups.size() >= kMaxCgroups && !cgroups.contains(e.path)) {
    cgroups.erase(std::min_element(cgroups.begin(), cgroups.end(), [](const auto& a, const auto& b) {
      return a.second.last_time() < b.second.last_time();
    }));
  }
  cgroups[e.path].on(e, now);
}

void Timeline::State::on(const events::SpaceStart& e) {
  const auto number = static_cast<uint32_t>(e.space);
  if (number < forgotten.size()) forgotten[number] = false;
  AddressSpace::State& child = space(e.space);
  AddressSpace::State* parent = e.how == events::StartHow::kForked ? find(e.parent) : nullptr;
  const bool first = !child.started;
  child.start(e, parent, recording.info.part > 0);
  if (!first || parent == nullptr || parent == &child) return;
  parents.emplace(e.space, e.parent);
  if (forks.size() >= kMaxPendingForks) forks.erase(forks.begin());
  forks.push_back({e.parent, e.space, child.fork_tick});
}

void Timeline::State::on(const events::SpaceEnd& e) {
  AddressSpace::State* state = spoken_of(e.space);
  if (state == nullptr || state->ended) return;
  state->finish(e, now);
  ending.push_back(e.space);
}

void Timeline::State::on(const events::PageScan& e) {
  AddressSpace::State* state = spoken_of(e.space);
  if (state == nullptr) return;
  const uint64_t before = state->scans;
  (*state)(e, now);
  if (state->scans == before || !on_scan) return;
  on_scan(*by_id.at(e.space), *state->last_scan);
}

void Timeline::State::on(const events::PageTableRuns& e) {
  AddressSpace::State* state = spoken_of(e.space);
  if (state == nullptr || state->pages_dropped) return;
  const uint64_t heard = state->pages.as_of();
  state->pages.apply(e);
  if (state->last_scan) state->fresh.on(e, clock.to_tick(state->last_scan->time));
  if (forks.empty()) return;
  const uint64_t settled = clock.to_tick(now > kForkWindow ? now - kForkWindow : 0);
  std::erase_if(forks, [settled](const PendingFork& fork) { return fork.tick < settled; });
  if (std::none_of(forks.begin(), forks.end(),
                   [&](const PendingFork& fork) { return fork.parent == e.space; }))
    return;
  std::vector<events::TableRun> runs;
  std::copy_if(e.runs.begin(), e.runs.end(), std::back_inserter(runs),
               [&](const events::TableRun& run) { return run.tick + 2 >= heard; });
  News news{nullptr, UINT64_MAX};
  for (const events::TableRun& run : runs) news.oldest = std::min(news.oldest, run.tick);
  news.runs = std::make_shared<const std::vector<events::TableRun>>(std::move(runs));
  inherit(e.space, news, UINT64_MAX, 0);
}

// Entries that arrive after forks and were made before them: the children's, and their children's.
void Timeline::State::inherit(SpaceId parent, const News& news, uint64_t until, int generation) {
  if (news.oldest > until || generation > 16)
    return;  // a damaged trace may have a fork that is its own ancestor
  for (size_t i = 0; i < forks.size(); ++i) {
    const PendingFork fork = forks[i];
    AddressSpace::State* child = fork.parent == parent ? find(fork.child) : nullptr;
    if (child == nullptr || child->pages_dropped) continue;
    const uint64_t older = std::min(until, fork.tick + 1);
    if (news.oldest <= older) child->pages.inherit(news.runs, older, fork.tick);
    inherit(fork.child, news, older, generation + 1);
  }
}

void Timeline::State::on(const events::Loss& e) {
  if (recording.losses.size() >= kMaxLosses) {  // the older ones become one
    recording.losses[0].count += recording.losses[1].count;
    recording.losses[0].what = "various";
    recording.losses[0].space = SpaceId::kNone;
    recording.losses.erase(recording.losses.begin() + 1);
  }
  recording.losses.push_back(e);
  if (e.what == "stack" || e.what == "fault" || e.what == "go_call" || e.what == "allocation")
    return;  // costs a name, proves nothing wrong
  if (e.space != SpaceId::kNone) {
    if (AddressSpace::State* of = spoken_of(e.space)) of->lost(now);
    return;
  }
  for (const auto& each : spaces) each->state().lost(now);
}

// The pages of a space that ended are of no more use once nothing about it can still arrive.
void Timeline::State::drop_ended() {
  while (!ending.empty()) {
    AddressSpace::State* state = find(ending.front());
    if (state != nullptr && *state->ended + kExitWindow >= now) break;
    if (state != nullptr) {
      state->drop_pages();
      ended.push_back(ending.front());
    }
    ending.erase(ending.begin());
  }
  if (ended.size() > kMaxEnded) evict();
}

// Of too many ended spaces the oldest leave, those without a result before the others.
void Timeline::State::evict() {
  const size_t excess = ended.size() - kMaxEnded * 3 / 4;
  std::stable_partition(ended.begin(), ended.end(), [this](SpaceId id) { return find(id)->scans == 0; });
  const std::vector<SpaceId> leaving(ended.begin(), ended.begin() + static_cast<std::ptrdiff_t>(excess));
  ended.erase(ended.begin(), ended.begin() + static_cast<std::ptrdiff_t>(excess));
  for (const SpaceId id : leaving) {
    by_id.erase(id);
    parents.erase(id);
    const auto number = static_cast<uint32_t>(id);
    if (number >= kMostRememberedIds) continue;
    if (number >= forgotten.size()) forgotten.resize(number + number / 2 + 1);
    forgotten[number] = true;
  }
  recording.spaces_forgotten += leaving.size();
  std::erase_if(spaces, [this](const auto& each) { return !by_id.contains(each->id()); });
  // Children use their parent's names.
  std::unordered_map<SpaceId, bool> asked;
  for (const auto& [child, parent] : parents) asked[parent] = true;
  std::erase_if(symbols, [&](const auto& item) {
    return !by_id.contains(item.first.space) && !asked.contains(item.first.space);
  });
}

Timeline::Timeline(ScanObserver on_scan) : state_(std::make_unique<State>(std::move(on_scan))) {}
Timeline::~Timeline() = default;

void Timeline::on_event(const events::Event& event) {
  State& s = *state_;
  if (s.recording.first_event == 0) s.recording.first_event = event.time;
  s.recording.last_event = std::max(s.recording.last_event, event.time);
  s.now = event.time;
  s.drop_ended();
  std::visit([&s](const auto& payload) { s.on(payload); }, event.payload);
}

void Timeline::restart_series() {
  for (auto& [path, cgroup] : state_->cgroups) cgroup.restart();
  for (const auto& space : state_->spaces) {
    space->state().curve.restart();
    space->state().tracks.restart();
  }
}

const RecordingState& Timeline::recording() const { return state_->recording; }

std::vector<SpaceId> Timeline::spaces() const {
  std::vector<SpaceId> ids;
  ids.reserve(state_->spaces.size());
  for (const auto& each : state_->spaces) ids.push_back(each->id());
  return ids;
}

size_t Timeline::spaces_kept() const { return state_->spaces.size(); }

const AddressSpace* Timeline::space(SpaceId id) const {
  const auto it = state_->by_id.find(id);
  return it == state_->by_id.end() ? nullptr : it->second;
}

const events::Stack* Timeline::stack(StackId id) const {
  const auto it = state_->stacks.find(id);
  return it == state_->stacks.end() ? nullptr : &it->second;
}

const events::BinaryInfo* Timeline::binary(BinaryId id) const {
  const auto it = state_->binaries.find(id);
  return it == state_->binaries.end() ? nullptr : &it->second;
}

std::vector<const events::BinaryInfo*> Timeline::go_binaries() const {
  std::vector<const events::BinaryInfo*> out;
  for (const auto& [id, binary] : state_->binaries)
    if (binary.go) out.push_back(&binary);
  std::sort(out.begin(), out.end(),
            [](const events::BinaryInfo* a, const events::BinaryInfo* b) { return a->id < b->id; });
  return out;
}

const CgroupTrack* Timeline::cgroup(const std::string& path) const {
  const auto it = state_->cgroups.find(path);
  return it == state_->cgroups.end() ? nullptr : &it->second;
}
uint64_t Timeline::answers_changed() const { return state_->answers_changed; }

const events::SymbolInfo* Timeline::symbol(SpaceId space, uint64_t address, bool is_return) const {
  for (int generation = 0; generation < 64;
       ++generation) {  // a damaged trace may have a fork that is its own ancestor
    const auto it = state_->symbols.find({space, address, is_return});
    if (it != state_->symbols.end()) return &it->second;
    const auto parent = state_->parents.find(space);
    if (parent == state_->parents.end()) return nullptr;
    space = parent->second;
  }
  return nullptr;
}

}  // namespace memwhy::timeline
