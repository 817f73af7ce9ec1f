// SPDX-License-Identifier: Apache-2.0
// Symbolizer: names for the stacks of live processes, resolved on first sight.
//
// What it is: from (process, its mappings, a stack) to BinaryInfo and SymbolInfo, each said once. Binaries
// are shared between processes and spaces; the open ones keep to a memory budget, and the least recently used
// are dropped and opened again. What it is not: a parser (binary.h and below), a policy of who is resolved
// when (record/).
//
//   frame 0x7f3a5c0291e3 (return address) -> mapping 0x7f3a5c028000-… r-x offset 0x28000 of libc.so.6
//     -> file offset 0x291e3, looked up at 0x291e2 -> BinaryInfo 2 (once), SymbolInfo { binary 2, "malloc" }
//   in an executable mapping without a file ([vdso], a JIT's code): SymbolInfo without binary and frames
//   in no executable mapping: nothing
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "events/event.h"
#include "symbols/binary.h"
#include "symbols/target_files.h"

namespace memwhy::symbols {

class Symbolizer {
 public:
  struct Limits {
    uint64_t file_bytes = uint64_t{4} << 30;  // larger files are not opened
    uint64_t memory_bytes = uint64_t{256}
                            << 20;  // of all open binaries together; the last one used always stays
    size_t open_files = 64;
  };
  using Emit = std::function<void(events::Event)>;

  // `proc_root`: a directory descriptor of the proc filesystem of our pid namespace.
  explicit Symbolizer(Fd proc_root) : Symbolizer(std::move(proc_root), Limits{}) {}
  Symbolizer(Fd proc_root, Limits limits);

  // Emits BinaryInfo and SymbolInfo for what is new in this stack, looked up in these mappings of this
  // process. frames[0] is an instruction, the others are return addresses. `vmas` is in order of address.
  void resolve(Pid tgid, SpaceId space, const std::vector<events::Vma>& vmas, const events::Stack& stack,
               const Emit& emit);
  // The executable: emits BinaryInfo if new. kNone: could not be read (a BinaryInfo with `unreadable` says
  // why).
  BinaryId executable(Pid tgid, SpaceId space, const Emit& emit);
  // "x86-64" | "i386" | "aarch64" … of the executable; "" when it cannot be read or is not ELF.
  std::string machine(Pid tgid) const;
  // The space ended: what was said about it need not be remembered.
  void forget(SpaceId space);

  size_t spaces() const { return spaces_.size(); }  // of which something is remembered
  size_t open_binaries() const { return recent_.size(); }
  uint64_t memory_bytes() const;

 private:
  // What makes a file the same file: replaced, truncated or rewritten ones differ.
  struct Key {
    uint64_t device = 0, inode = 0, bytes = 0;
    int64_t modified_ns = 0;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  struct Module {
    BinaryId id{};
    bool unreadable = false;
    std::unique_ptr<Binary> binary;       // null: dropped, or unreadable
    std::list<Module*>::iterator recent;  // valid while `binary` is there
  };
  // A mapping of a space, and the module that its file turned out to be.
  struct MappedModule {
    AddressRange range;
    uint64_t device = 0, inode = 0;
    Module* module = nullptr;
  };
  struct SpaceState {
    std::unordered_map<uint64_t, BinaryId>
        said;  // address << 1 | is_return -> the binary it was said to be in
    std::vector<MappedModule> mapped;
  };

  events::SymbolInfo look_up(Pid tgid, SpaceState& state, const events::Vma& vma, uint64_t address,
                             bool is_return, const Emit& emit);
  Module& module_of(Pid tgid, SpaceState& state, const events::Vma& vma, const Emit& emit);
  // The module of an opened file, with its binary open; a new one is announced.
  Module& module_of(TargetFile file, const Emit& emit);
  Module& unreadable_module(const Key& key, events::BinaryInfo info, const Emit& emit);
  void touch(Module& module);
  void drop_above_budget();

  TargetFiles files_;
  Limits limits_;
  std::unordered_map<Key, std::unique_ptr<Module>, KeyHash> modules_;
  std::unordered_map<uint64_t, Module*>
      by_inode_;               // the last readable one, for mappings of processes that are gone
  std::list<Module*> recent_;  // with an open binary, most recently used first
  std::unordered_map<SpaceId, SpaceState> spaces_;
  uint32_t last_id_ = 0;
};

}  // namespace memwhy::symbols
