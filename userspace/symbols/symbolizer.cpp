// SPDX-License-Identifier: Apache-2.0
#include "symbols/symbolizer.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace memwhy::symbols {
namespace {

// Beyond this the memory of what was said is cleared: saying a name twice is harmless.
constexpr size_t kMaxSaid = 1 << 20;
constexpr size_t kMaxMapped = 64 << 10;

TimeNs now_ns() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void send(const Symbolizer::Emit& emit, events::Payload payload) { emit({now_ns(), std::move(payload)}); }

const events::Vma* find_vma(const std::vector<events::Vma>& vmas, uint64_t address) {
  const auto after =
      std::upper_bound(vmas.begin(), vmas.end(), address,
                       [](uint64_t value, const events::Vma& vma) { return value < vma.range.start; });
  if (after == vmas.begin()) return nullptr;
  const events::Vma& vma = *std::prev(after);
  return vma.range.contains(address) ? &vma : nullptr;
}

uint64_t mix(uint64_t a, uint64_t b) {
  const uint64_t value = (a ^ (b * 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
  return value ^ (value >> 32);
}

}  // namespace

size_t Symbolizer::KeyHash::operator()(const Key& key) const {
  return mix(mix(key.device, key.inode), mix(key.bytes, static_cast<uint64_t>(key.modified_ns)));
}

Symbolizer::Symbolizer(Fd proc_root, Limits limits) : files_(std::move(proc_root)), limits_(limits) {}

void Symbolizer::resolve(Pid tgid, SpaceId space, const std::vector<events::Vma>& vmas,
                         const events::Stack& stack, const Emit& emit) {
  SpaceState& state = spaces_[space];
  if (state.said.size() > kMaxSaid) state.said.clear();
  for (size_t i = 0; i < stack.frames.size(); ++i) {
    const uint64_t address = stack.frames[i];
    const bool is_return = i > 0;
    if (address == 0) continue;
    const events::Vma* vma = find_vma(vmas, is_return ? address - 1 : address);
    if (vma == nullptr || !vma->exec) continue;
    events::SymbolInfo info = look_up(tgid, state, *vma, address, is_return, emit);
    // Other code may have been loaded where some was unloaded: then the address is said anew.
    const auto [said, is_new] = state.said.try_emplace(address << 1 | (is_return ? 1 : 0), info.binary);
    if (!is_new && said->second == info.binary) continue;
    said->second = info.binary;
    info.space = space;
    send(emit, std::move(info));
  }
  drop_above_budget();
}

events::SymbolInfo Symbolizer::look_up(Pid tgid, SpaceState& state, const events::Vma& vma, uint64_t address,
                                       bool is_return, const Emit& emit) {
  events::SymbolInfo info;
  info.address = address;
  info.is_return = is_return;
  if (vma.inode == 0) {
    if (vma.name == "[vdso]") info.frames.push_back({vma.name, "", 0});
    return info;
  }
  Module& module = module_of(tgid, state, vma, emit);
  info.binary = module.id;
  info.file_offset = address - vma.range.start + vma.offset;
  if (module.binary) info.frames = module.binary->lookup_offset(info.file_offset, is_return);
  return info;
}

Symbolizer::Module& Symbolizer::module_of(Pid tgid, SpaceState& state, const events::Vma& vma,
                                          const Emit& emit) {
  const auto known = std::find_if(state.mapped.begin(), state.mapped.end(), [&](const MappedModule& one) {
    return one.range.contains(vma.range.start) && one.device == vma.device && one.inode == vma.inode;
  });
  Module* module = known == state.mapped.end() ? nullptr : known->module;
  if (module == nullptr || (!module->binary && !module->unreadable)) {
    Result<TargetFile> file = files_.open_mapping(tgid, vma);
    if (file) {
      module = &module_of(std::move(*file), emit);
      if (module->binary) by_inode_[mix(vma.device, vma.inode)] = module;
    } else if (const auto other = by_inode_.find(mix(vma.device, vma.inode)); other != by_inode_.end()) {
      module = other->second;  // the process is gone, and somebody else had the same file mapped
    } else if (module == nullptr) {
      events::BinaryInfo info;
      info.path = vma.name;
      info.problem = file.error().message();
      module = &unreadable_module({vma.device, vma.inode, 0, 0}, std::move(info), emit);
    }
    if (known != state.mapped.end()) {
      *known = {vma.range, vma.device, vma.inode, module};
    } else {
      if (state.mapped.size() >= kMaxMapped) state.mapped.clear();
      state.mapped.push_back({vma.range, vma.device, vma.inode, module});
    }
  }
  if (module->binary) touch(*module);
  return *module;
}

Symbolizer::Module& Symbolizer::module_of(TargetFile file, const Emit& emit) {
  const Key key{file.device, file.inode, file.bytes, file.modified_ns};
  const auto known = modules_.find(key);
  if (known != modules_.end() && (known->second->binary || known->second->unreadable)) {
    if (known->second->binary) touch(*known->second);
    return *known->second;
  }
  events::BinaryInfo info;
  info.path = file.path;
  auto bytes = FileBytes::open(std::move(file.fd), limits_.file_bytes);
  Result<std::unique_ptr<Binary>> binary =
      bytes ? Binary::open(std::move(*bytes)) : Result<std::unique_ptr<Binary>>(std::move(bytes).error());
  if (!binary) {
    info.problem = binary.error().message();
    return unreadable_module(key, std::move(info), emit);
  }
  Module* module = nullptr;
  if (known == modules_.end()) {
    module = modules_.emplace(key, std::make_unique<Module>()).first->second.get();
    module->id = BinaryId{++last_id_};
    const BinaryFacts& facts = (*binary)->facts();
    info.id = module->id;
    info.device = key.device;
    info.inode = key.inode;
    info.build_id = facts.build_id;
    info.stripped = facts.stripped;
    info.go = facts.go;
    info.problem = facts.problem;
    send(emit, std::move(info));
  } else {
    module = known->second.get();
  }
  module->binary = std::move(*binary);
  recent_.push_front(module);
  module->recent = recent_.begin();
  return *module;
}

Symbolizer::Module& Symbolizer::unreadable_module(const Key& key, events::BinaryInfo info, const Emit& emit) {
  std::unique_ptr<Module>& module = modules_[key];
  if (!module) {
    module = std::make_unique<Module>();
    module->id = BinaryId{++last_id_};
    module->unreadable = true;
    info.id = module->id;
    info.device = key.device;
    info.inode = key.inode;
    info.unreadable = true;
    send(emit, std::move(info));
  }
  return *module;
}

BinaryId Symbolizer::executable(Pid tgid, SpaceId, const Emit& emit) {
  Result<TargetFile> file = files_.open_executable(tgid);
  if (!file) {
    if (file.error().code() != ErrorCode::kTargetGone) {
      events::BinaryInfo info;
      info.problem = file.error().message();
      unreadable_module({0, 0, static_cast<uint64_t>(tgid), -1}, std::move(info), emit);
    }
    return BinaryId::kNone;
  }
  const Module& module = module_of(std::move(*file), emit);
  drop_above_budget();
  return module.unreadable ? BinaryId::kNone : module.id;
}

std::string Symbolizer::machine(Pid tgid) const {
  Result<TargetFile> file = files_.open_executable(tgid);
  if (!file) return "";
  auto bytes = FileBytes::open(std::move(file->fd), limits_.file_bytes);
  if (!bytes) return "";
  const Result<std::string> name = elf_machine(**bytes);
  return name ? *name : "";
}

void Symbolizer::forget(SpaceId space) { spaces_.erase(space); }

void Symbolizer::touch(Module& module) { recent_.splice(recent_.begin(), recent_, module.recent); }

uint64_t Symbolizer::memory_bytes() const {
  uint64_t bytes = 0;
  for (const Module* module : recent_) bytes += module->binary->memory_bytes();
  return bytes;
}

void Symbolizer::drop_above_budget() {
  uint64_t bytes = memory_bytes();
  while (recent_.size() > 1 && (bytes > limits_.memory_bytes || recent_.size() > limits_.open_files)) {
    Module& last = *recent_.back();
    bytes -= last.binary->memory_bytes();
    last.binary.reset();
    recent_.pop_back();
  }
}

}  // namespace memwhy::symbols
