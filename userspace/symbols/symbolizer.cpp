// SPDX-License-Identifier: Apache-2.0
#include "symbols/symbolizer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/time.h"
#include "events/mapping_at.h"

namespace memwhy::symbols {
namespace {

// Beyond this the memory of what was emitted is cleared: emitting a name twice is harmless.
constexpr size_t kMaxSaid = 1 << 20;
constexpr size_t kMaxMapped = 64 << 10;
constexpr size_t kMaxModules = 64 << 10;
constexpr size_t kMostAtOnce = 1024;    // addresses in one round of questions
constexpr uint64_t kCodeMapPause = 20;  // times what reading it took
constexpr uint64_t kNoCodeMapPause_ns = 5'000'000'000;
constexpr int kMostFailures = 4;                  // then it is not asked for again
constexpr TimeNs kFirstPause_ns = 1'000'000'000;  // before it is; then four times as long

void send(const Symbolizer::Emit& emit, events::Payload payload) {
  emit({clock_ns(CLOCK_MONOTONIC), std::move(payload)});
}

uint64_t mix(uint64_t a, uint64_t b) {
  const uint64_t value = (a ^ (b * 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
  return value ^ (value >> 32);
}

uint64_t key_of(const events::SymbolInfo& info) { return info.address << 1 | (info.is_return ? 1 : 0); }

}  // namespace

size_t FileKeyHash::operator()(const FileKey& key) const {
  return mix(mix(key.device, key.inode), mix(key.bytes, static_cast<uint64_t>(key.modified_ns)));
}

Symbolizer::Symbolizer(Binaries& binaries, std::function<TimeNs()> now)
    : binaries_(binaries), now_(now ? std::move(now) : [] { return clock_ns(CLOCK_MONOTONIC); }) {}

void Symbolizer::resolve(Pid tgid, SpaceId space, const std::vector<events::Vma>& vmas,
                         std::span<const events::Stack> stacks, const Emit& emit) {
  SpaceState& state = spaces_[space];
  if (state.said.size() > kMaxSaid) state.said.clear();
  std::vector<Wanted> wanted;
  for (const events::Stack& stack : stacks) {
    for (size_t i = 0; i < stack.frames.size(); ++i)
      if (stack.frames[i] != 0) want(tgid, state, vmas, stack.frames[i], i > 0, wanted, emit);
    if (wanted.size() >= kMostAtOnce) look_up(tgid, wanted, space, emit);
  }
  want_late(tgid, state, vmas, wanted, emit);
  look_up(tgid, wanted, space, emit);
}

// Adds it, unless it was emitted already. Other code may have been loaded where some was unloaded: then the address is emitted
// anew.
void Symbolizer::want(Pid tgid, SpaceState& state, const std::vector<events::Vma>& vmas, uint64_t address,
                      bool is_return, std::vector<Wanted>& wanted, const Emit& emit) {
  const events::Vma* vma = events::mapping_at(vmas, is_return ? address - 1 : address);
  if (vma == nullptr || !vma->exec) return;
  ModulePtr module = vma->inode == 0 ? nullptr : module_of(tgid, state, *vma, emit);
  const BinaryId binary = module ? module->id : BinaryId::kNone;
  const auto [said, is_new] = state.said.try_emplace(address << 1 | (is_return ? 1 : 0), binary);
  if (!is_new && said->second == binary) return;
  said->second = binary;
  Wanted one{{}, vma, std::move(module)};
  one.info.address = address;
  one.info.is_return = is_return;
  one.info.binary = binary;
  if (one.module) one.info.file_offset = address - vma->range.start + vma->offset;
  if (!one.module && vma->name == "[vdso]") one.info.frames.push_back({vma->name, "", 0});
  wanted.push_back(std::move(one));
}

// What was emitted without names while its file could not be opened.
void Symbolizer::want_late(Pid tgid, SpaceState& state, const std::vector<events::Vma>& vmas,
                           std::vector<Wanted>& wanted, const Emit& emit) {
  if (state.opened_late.empty()) return;
  std::ranges::sort(state.opened_late, {}, &AddressRange::start);
  std::vector<uint64_t> keys;
  for (const auto& [key, binary] : state.said) {
    const uint64_t address = (key >> 1) - (key & 1);
    const auto after = std::ranges::upper_bound(state.opened_late, address, {}, &AddressRange::start);
    if (after != state.opened_late.begin() && std::prev(after)->contains(address)) keys.push_back(key);
  }
  state.opened_late.clear();
  for (const uint64_t key : keys) want(tgid, state, vmas, key >> 1, (key & 1) != 0, wanted, emit);
}

// One request for each file, then all is emitted in the order of the stacks.
void Symbolizer::look_up(Pid tgid, std::vector<Wanted>& wanted, SpaceId space, const Emit& emit) {
  name_made_code(tgid, spaces_[space], wanted);
  std::vector<bool> asked(wanted.size());
  uint64_t lost = 0;
  for (size_t first = 0; first < wanted.size(); ++first) {
    const ModulePtr module = wanted[first].module;
    if (asked[first] || !module || module->handle == BinaryHandle::kNone) continue;
    std::vector<size_t> mine;
    std::vector<CodeOffset> offsets;
    for (size_t i = first; i < wanted.size(); ++i) {
      if (wanted[i].module != module) continue;
      asked[i] = true;
      mine.push_back(i);
      offsets.push_back({wanted[i].info.file_offset, wanted[i].info.is_return});
    }
    Result<std::vector<SourceFrames>> found = frames_of(tgid, *module, *wanted[first].vma, offsets, emit);
    if (!found) {
      lost += mine.size();
      const bool again = ++module->failed < kMostFailures;
      for (const size_t i : mine)
        if (again) spaces_[space].said.erase(key_of(wanted[i].info));
    }
    for (size_t i = 0; found && i < mine.size(); ++i) wanted[mine[i]].info.frames = std::move((*found)[i]);
  }
  for (Wanted& one : wanted) {
    one.info.space = space;
    send(emit, std::move(one.info));
  }
  wanted.clear();
  if (lost > 0) send(emit, events::Loss{space, "symbols", lost});
}

// Code without a file: by what the process itself wrote. What cannot be looked up now is looked up at its next occurrence.
void Symbolizer::name_made_code(Pid tgid, SpaceState& state, std::vector<Wanted>& wanted) {
  std::vector<size_t> mine;
  std::vector<CodeOffset> at;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].module || wanted[i].vma->inode != 0 || wanted[i].vma->name.starts_with("[v")) continue;
    mine.push_back(i);
    at.push_back({wanted[i].info.address, wanted[i].info.is_return});
  }
  if (mine.empty()) return;
  const uint64_t begun = clock_ns(CLOCK_MONOTONIC);
  if (begun < state.code_map_after_ns) {
    for (const size_t i : mine)
      if (state.has_code_map) state.said.erase(key_of(wanted[i].info));
    return;
  }
  Result<std::vector<SourceFrames>> found = binaries_.code_names(tgid, at);
  const uint64_t now = clock_ns(CLOCK_MONOTONIC);
  state.has_code_map = found.ok();
  state.code_map_after_ns = now + (found ? kCodeMapPause * (now - begun) : kNoCodeMapPause_ns);
  for (size_t i = 0; found && i < mine.size() && i < found->size(); ++i)
    wanted[mine[i]].info.frames = std::move((*found)[i]);
}

// A file that was closed in between is reopened.
Result<std::vector<SourceFrames>> Symbolizer::frames_of(Pid tgid, Module& module, const events::Vma& vma,
                                                        std::span<const CodeOffset> at, const Emit& emit) {
  Result<std::vector<SourceFrames>> found = binaries_.look_up(module.handle, at);
  if (!found && found.error().code() == ErrorCode::kAbsent) {
    const Result<OpenedBinary> again = binaries_.open_mapping(tgid, vma);
    if (!again) return again.error();
    const ModulePtr now = module_of(*again, emit);
    if (now.get() != &module) return Error(ErrorCode::kTargetGone, "another file is mapped there now");
    found = binaries_.look_up(module.handle, at);
  }
  if (found && found->size() != at.size()) return Error(ErrorCode::kInternal, "an answer of another length");
  return found;
}

Symbolizer::ModulePtr Symbolizer::module_of(Pid tgid, SpaceState& state, const events::Vma& vma,
                                            const Emit& emit) {
  auto known = std::find_if(state.mapped.begin(), state.mapped.end(), [&](const MappedModule& one) {
    return one.range.contains(vma.range.start) && one.device == vma.device && one.inode == vma.inode;
  });
  const bool is_new = known == state.mapped.end();
  const bool again =
      !is_new && known->failed > 0 && known->failed < kMostFailures && now_() >= known->again_at;
  if (!is_new && !again) return known->module;
  if (is_new) {
    if (state.mapped.size() >= kMaxMapped) state.mapped.clear();
    known = state.mapped.insert(state.mapped.end(), {vma.range, vma.device, vma.inode, nullptr});
  }
  events::BinaryInfo info;
  if (ModulePtr module = open_module(tgid, vma, info.problem, emit)) {
    if (again) state.opened_late.push_back(known->range);
    known->failed = 0;
    known->module = std::move(module);
  } else {
    known->again_at = now_() + (kFirstPause_ns << 2 * known->failed++);
    info.path = vma.name;
    if (is_new) known->module = unreadable_module({vma.device, vma.inode, 0, 0}, std::move(info), emit);
  }
  return known->module;
}

Symbolizer::ModulePtr Symbolizer::open_module(Pid tgid, const events::Vma& vma, std::string& problem,
                                              const Emit& emit) {
  const uint64_t file = mix(vma.device, vma.inode);
  const Result<OpenedBinary> opened = binaries_.open_mapping(tgid, vma);
  if (opened) {
    ModulePtr module = module_of(*opened, emit);
    if (module->handle != BinaryHandle::kNone) by_inode_[file] = module;
    return module;
  }
  problem = opened.error().message();
  const auto other = by_inode_.find(file);  // the process is gone, and another had the same file mapped
  return other == by_inode_.end() ? nullptr : other->second.lock();
}

Symbolizer::ModulePtr Symbolizer::module_of(const OpenedBinary& opened, const Emit& emit) {
  events::BinaryInfo info;
  info.path = opened.path;
  info.problem = opened.problem;
  if (opened.handle == BinaryHandle::kNone) {
    ModulePtr module = unreadable_module(opened.key, std::move(info), emit);
    module->machine = opened.machine;
    return module;
  }
  ModulePtr& module = remembered(opened.key);
  if (!module) {
    module = std::make_shared<Module>();
    module->id = BinaryId{++last_id_};
    info.id = module->id;
    info.device = opened.key.device;
    info.inode = opened.key.inode;
    info.build_id = opened.facts.build_id;
    info.stripped = opened.facts.stripped;
    info.go = opened.facts.go;
    info.variables = opened.facts.variables;
    info.code = opened.facts.code;
    send(emit, std::move(info));
  }
  module->handle = opened.handle;
  module->machine = opened.machine;
  return module;
}

Symbolizer::ModulePtr Symbolizer::unreadable_module(const FileKey& key, events::BinaryInfo info,
                                                    const Emit& emit) {
  ModulePtr& module = remembered(key);
  if (!module) {
    module = std::make_shared<Module>();
    module->id = BinaryId{++last_id_};
    info.id = module->id;
    info.device = key.device;
    info.inode = key.inode;
    info.unreadable = true;
    send(emit, std::move(info));
  }
  return module;
}

// Of very many files, those that no process has mapped any more are forgotten: they would be emitted anew.
Symbolizer::ModulePtr& Symbolizer::remembered(const FileKey& key) {
  if (modules_.size() >= kMaxModules && !modules_.contains(key)) {
    std::erase_if(modules_, [](const auto& one) { return one.second.use_count() == 1; });
    std::erase_if(by_inode_, [](const auto& one) { return one.second.expired(); });
  }
  return modules_[key];
}

Symbolizer::Executable Symbolizer::executable(Pid tgid, const Emit& emit) {
  const Result<OpenedBinary> opened = binaries_.open_executable(tgid);
  if (!opened) {
    if (opened.error().code() != ErrorCode::kTargetGone) {
      events::BinaryInfo info;
      info.problem = opened.error().message();
      unreadable_module({0, 0, static_cast<uint64_t>(tgid), -1}, std::move(info), emit);
    }
    return {};
  }
  const ModulePtr module = module_of(*opened, emit);
  return {module->handle == BinaryHandle::kNone ? BinaryId::kNone : module->id, module->machine};
}

void Symbolizer::forget(SpaceId space) { spaces_.erase(space); }

}  // namespace memwhy::symbols
