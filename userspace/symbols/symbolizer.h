// SPDX-License-Identifier: Apache-2.0
// Symbolizer: names for the stacks of live processes, resolved on first sight.
//
// What it is: from (process, its mappings, stacks) to BinaryInfo and SymbolInfo, each emitted once. Binaries are shared
// between processes and spaces. What it is not: the opening and parsing of files (binaries.h; a closed one is
// reopened), or a policy of what is resolved when (record/).
//
//   frame 0x7f3a5c0291e3 (return address) -> mapping 0x7f3a5c028000-… r-x offset 0x28000 of libc.so.6
//     -> file offset 0x291e3, looked up at 0x291e2 -> BinaryInfo 2 (once), SymbolInfo { binary 2, "malloc" }
//   in an executable mapping without a file ([vdso], a JIT's code): SymbolInfo without binary, and without frames but for the
//   names that the process writes for profilers (code_map.h)
//   in no executable mapping: nothing
//   a file on which the reader hangs or dies: SymbolInfo without frames, a Loss that counts them, and a notice. When code of it
//   occurs again it is asked for again, a few times, later and later: then SymbolInfo is emitted anew
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "symbols/binaries.h"

namespace memwhy::symbols {

class Symbolizer {
 public:
  using Emit = std::function<void(events::Event)>;

  struct Executable {
    BinaryId binary{};    // kNone: could not be read (a BinaryInfo with `unreadable` has the reason)
    std::string machine;  // "x86-64" | "i386" | "aarch64" …; "" unknown, or not ELF
  };

  // `binaries` must outlive it. `now`: on CLOCK_MONOTONIC.
  explicit Symbolizer(Binaries& binaries, std::function<TimeNs()> now = {});

  // Emits BinaryInfo and SymbolInfo for what is new in these stacks, looked up in these mappings of this
  // process. frames[0] is an instruction, the others are return addresses. `vmas` is in order of address.
  void resolve(Pid tgid, SpaceId space, const std::vector<events::Vma>& vmas,
               std::span<const events::Stack> stacks, const Emit& emit);
  // Emits BinaryInfo if new.
  Executable executable(Pid tgid, const Emit& emit);
  // The space ended: what was emitted about it need not be remembered.
  void forget(SpaceId space);

  size_t spaces() const { return spaces_.size(); }    // of which something is remembered
  size_t modules() const { return modules_.size(); }  // files of which something is remembered

 private:
  struct Module {
    BinaryId id{};
    BinaryHandle handle{};  // kNone: unreadable
    std::string machine;
    int failed = 0;  // questions about it
  };
  using ModulePtr = std::shared_ptr<Module>;
  // A mapping of a space, and the module that its file turned out to be.
  struct MappedModule {
    AddressRange range;
    uint64_t device = 0, inode = 0;
    ModulePtr module;
    int failed = 0;  // times that it could not be opened
    TimeNs again_at = 0;
  };
  struct SpaceState {
    std::unordered_map<uint64_t, BinaryId> said;  // address << 1 | is_return -> the binary it was found in
    std::vector<MappedModule> mapped;
    std::vector<AddressRange>
        opened_late;  // mappings that could not be opened before: what was emitted has no names
    bool has_code_map = false;
    uint64_t code_map_after_ns = 0;  // until then its code map is not read again
  };
  // An address to be named.
  struct Wanted {
    events::SymbolInfo info;
    const events::Vma* vma;
    ModulePtr module;  // null: no file
  };

  void want(Pid tgid, SpaceState& state, const std::vector<events::Vma>& vmas, uint64_t address,
            bool is_return, std::vector<Wanted>& wanted, const Emit& emit);
  void want_late(Pid tgid, SpaceState& state, const std::vector<events::Vma>& vmas,
                 std::vector<Wanted>& wanted, const Emit& emit);
  void look_up(Pid tgid, std::vector<Wanted>& wanted, SpaceId space, const Emit& emit);
  void name_made_code(Pid tgid, SpaceState& state, std::vector<Wanted>& wanted);
  Result<std::vector<SourceFrames>> frames_of(Pid tgid, Module& module, const events::Vma& vma,
                                              std::span<const CodeOffset> at, const Emit& emit);
  ModulePtr module_of(Pid tgid, SpaceState& state, const events::Vma& vma, const Emit& emit);
  // nullptr: it could not be opened, and why.
  ModulePtr open_module(Pid tgid, const events::Vma& vma, std::string& problem, const Emit& emit);
  // The module of an opened file; a new one is announced.
  ModulePtr module_of(const OpenedBinary& opened, const Emit& emit);
  ModulePtr unreadable_module(const FileKey& key, events::BinaryInfo info, const Emit& emit);
  ModulePtr& remembered(const FileKey& key);

  Binaries& binaries_;
  std::function<TimeNs()> now_;
  std::unordered_map<FileKey, ModulePtr, FileKeyHash> modules_;
  std::unordered_map<uint64_t, std::weak_ptr<Module>>
      by_inode_;  // the last readable one, for mappings of processes that are gone
  std::unordered_map<SpaceId, SpaceState> spaces_;
  uint32_t last_id_ = 0;
};

}  // namespace memwhy::symbols
