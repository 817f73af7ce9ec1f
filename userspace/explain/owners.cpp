// SPDX-License-Identifier: Apache-2.0
#include "explain/owners.h"

#include <algorithm>

#include "events/mapping_at.h"
#include "explain/allocator_words.h"
#include "explain/mapping.h"
#include "explain/runtimes.h"

namespace memwhy::explain {
namespace {

using timeline::How;
using timeline::PageGroup;

constexpr uint32_t kMapStack = 0x20000;  // MAP_STACK of linux/mman.h
constexpr uint64_t kRaceGlobalsMost =
    16 * kMiB;  // TSan's globals are 10-11 MiB, the rest of a .bss is the program's
constexpr uint64_t kThreadControlMost = 64
                                        << 10;  // from the FS base (struct pthread) to the end of its stack
constexpr uint64_t kLargestStack = 64 * kMiB;   // more than that around an sp is not only a stack
constexpr uint64_t kLibraryBssMost = 256
                                     << 10;  // more than that beside a library is more often another mapping
constexpr uint32_t kMapFixed = 0x10;         // MAP_FIXED: so does ld.so make a .bss
// Up to here a JVM has its heap if it can, so that references of 32 bits reach all of it; nothing else of a PIE is so far down.
constexpr uint64_t kCompressedOopsEnd = uint64_t{32} << 30;
// V8 maps its heap in pages of that size, aligned to it; large objects have longer ones. Of other mappings one in 64 is.
constexpr uint64_t kV8PageBytes = 256 << 10;
constexpr uint64_t kGoHeapStep = 4 * kMiB;  // a Go arena is made ready in such steps, malloc's by pages

// Pages of a mapping by the kind of code that touched them.
struct Votes {
  uint64_t race = 0, native = 0, go_heap = 0, go_runtime = 0, go_user = 0, malloc = 0, other = 0;
  uint64_t without = 0;  // no stack, or no name for its deciding frame
  bool mapped_go_heap = false, mapped_race = false, mapped_malloc = false, mapped_stack = false,
       mapped_other = false;
  bool mapped_fixed = false,
       mapped_free = false;                  // an mmap that was seen here had MAP_FIXED; did not have it
  bool holds_tls = false, holds_sp = false;  // a thread's FS base at its upper end; a thread's sp
  uint64_t resident() const {
    return race + native + go_heap + go_runtime + go_user + malloc + other + without;
  }
  bool contrary_to_race() const {
    return go_heap + go_user + malloc + other > 0 || mapped_malloc || mapped_other;
  }
};

std::vector<Votes> count_votes(const Evidence& evidence, Stacks& stacks) {
  std::vector<Votes> votes(evidence.vmas.size());
  for (const PageGroup& group : evidence.scan.groups) {
    if (group.vma >= votes.size()) continue;
    Votes& vote = votes[group.vma];
    switch (Owners::stack_kind(group, stacks)) {
      case StackKind::kRace:
        vote.race += group.pages;
        break;
      case StackKind::kNative:
        vote.native += group.pages;
        break;
      case StackKind::kGoHeap:
        vote.go_heap += group.pages;
        break;
      case StackKind::kGoRuntime:
        vote.go_runtime += group.pages;
        break;
      case StackKind::kGoUser:
        vote.go_user += group.pages;
        break;
      case StackKind::kMalloc:
        vote.malloc += group.pages;
        break;
      case StackKind::kOther:
        vote.other += group.pages;
        break;
      case StackKind::kNone:
      case StackKind::kNameless:
        vote.without += group.pages;
        break;
    }
  }
  for (const events::Thread& thread : evidence.threads) {
    const auto vote = [&](const events::Vma* vma) -> Votes& {
      return votes[static_cast<size_t>(vma - evidence.vmas.data())];
    };
    if (const events::Vma* vma = events::mapping_at(evidence.vmas, thread.tls))
      vote(vma).holds_tls |= vma->range.end - thread.tls <= kThreadControlMost;
    if (const events::Vma* vma = events::mapping_at(evidence.vmas, thread.stack_pointer))
      vote(vma).holds_sp = true;
  }
  // Both lists are in order of address: one pass.
  size_t i = 0;
  for (const timeline::MapSite& site : evidence.space.map_sites()) {
    while (i < votes.size() && evidence.vmas[i].range.end <= site.range.start) ++i;
    StackKind kind = stacks.facts(site.stack).mapped;
    for (size_t k = i; k < votes.size() && evidence.vmas[k].range.start < site.range.end; ++k) {
      votes[k].mapped_go_heap |= kind == StackKind::kGoHeap;
      votes[k].mapped_race |= kind == StackKind::kRace || kind == StackKind::kNative;
      votes[k].mapped_malloc |= kind == StackKind::kMalloc || site.what == timeline::MapSite::What::kBrk;
      votes[k].mapped_stack |= site.what == timeline::MapSite::What::kMmap && (site.flags & kMapStack) != 0;
      (site.what == timeline::MapSite::What::kMmap && (site.flags & kMapFixed) != 0 ? votes[k].mapped_fixed
                                                                                    : votes[k].mapped_free) =
          true;
      votes[k].mapped_other |= kind == StackKind::kOther || kind == StackKind::kGoUser;
    }
  }
  return votes;
}

bool within(const AddressRange& range, const AddressRange& whole) {
  return range.start >= whole.start && range.end <= whole.end;
}

// If its own tables were read, nothing is taken for its heap by place.
bool was_read(const timeline::RuntimeClaims* runtimes, std::string_view runtime) {
  return runtimes != nullptr &&
         std::any_of(runtimes->told.begin(), runtimes->told.end(), [&](const timeline::RuntimeTold& told) {
           return told.pages->runtime == runtime && told.pages->trust == events::Trust::kVerified &&
                  !told.pages->runs.empty();
         });
}

// All that this process has: those that are linked are told, also when they could not be read.
bool all_heaps_read(const Evidence& evidence, bool race_build) {
  const timeline::RuntimeClaims* runtimes = evidence.scan.runtimes.get();
  if (runtimes == nullptr || race_build) return false;
  bool go = false, behind_malloc = false;
  for (const timeline::RuntimeTold& told : runtimes->told) {
    if (told.pages->trust != events::Trust::kVerified) return false;
    go |= told.pages->runtime == events::kGoRuntime && told.pages->holds();
    behind_malloc |= told.pages->holds() && is_c_heap(told.pages->runtime);
  }
  if (evidence.go == nullptr) return behind_malloc;
  return go && (behind_malloc || !evidence.go->go->cgo);
}

ManagedHeap managed_heap_of(const std::vector<events::Vma>& vmas, const timeline::RuntimeClaims* runtimes) {
  if (was_read(runtimes, "hotspot") || was_read(runtimes, "v8")) return ManagedHeap::kNone;
  for (const events::Vma& vma : vmas) {
    const UnreadRuntime* runtime = vma.inode == 0 ? nullptr : unread_runtime(vma.name);
    if (runtime != nullptr && runtime->heap != ManagedHeap::kNone) return runtime->heap;
  }
  return ManagedHeap::kNone;
}

// Everything about the decision for one mapping of one scan.
class Judge {
 public:
  Judge(const Evidence& evidence, const RuntimeUses& uses, const RaceLayout* race)
      : evidence_(evidence),
        uses_(uses),
        mappings_(evidence.vmas),
        race_(race),
        go_(evidence.go != nullptr),
        managed_(managed_heap_of(evidence.vmas, evidence.scan.runtimes.get())) {}

  VmaOwner decide(size_t i, const Votes& votes) const {
    const events::Vma& vma = evidence_.vmas[i];
    if (vma.shared)
      return {Basis::kIdentity, vma.shmem || vma.inode == 0 ? Owner::kShmem : Owner::kFileShared};
    if (vma.inode != 0)
      return {Basis::kIdentity, vma.shmem ? Owner::kShmem : Owner::kFileText, true,
              vma.write && mappings_.of_program(vma) ? Owner::kProgramData : Owner::kFilePrivate};
    if (std::optional<Owner> named = owner_by_vma_name(vma.name)) return {Basis::kIdentity, *named};
    if (race_ != nullptr && within(vma.range, race_->shadow)) return {Basis::kIdentity, Owner::kRaceShadow};
    if (race_ != nullptr && within(vma.range, race_->meta)) return {Basis::kIdentity, Owner::kRaceMeta};
    if (thread_stack(i, votes)) return {Basis::kIdentity, Owner::kThreadStacks};
    if (malloc_arena(i, votes)) return {Basis::kIdentity, Owner::kCHeapUnclassified};
    if (const events::Vma* file = mappings_.bss_of(i)) {
      bool exe = evidence_.exe != nullptr && same_file(*file, *evidence_.exe);
      if (exe && race_ != nullptr && votes.without <= kRaceGlobalsMost / kPageBytes) {
        return {Basis::kExeBss, Owner::kRaceInternal, false, Owner::kProgramData};
      }
      bool of_library = !votes.mapped_free && (votes.mapped_fixed || vma.range.bytes() <= kLibraryBssMost);
      const Owner data = exe || mappings_.of_program(*file) ? Owner::kProgramData : Owner::kFilePrivate;
      if (exe || of_library) return {Basis::kExeBss, data, false, data};
    }
    if (const std::optional<Owner> heap = managed_heap(i, votes)) return {Basis::kShape, *heap};
    if (!vma.name.empty()) return {Basis::kName, Owner::kAnonOther};
    if (std::optional<Owner> of_runtime = uses_.tables_in(vma.range, evidence_.scan.runtimes.get()))
      return {Basis::kEvidence, *of_runtime};
    return by_votes(votes);
  }

  bool looks_like_race_block(size_t i, const Votes& votes) const {
    if (race_ == nullptr || votes.contrary_to_race() || votes.go_runtime > 0) return false;
    uint64_t quarters = mappings_.race_block_quarters(i, *race_);
    return quarters > 0 && votes.resident() * 4 >= evidence_.vmas[i].range.bytes() / kPageBytes * quarters;
  }

 private:
  VmaOwner by_votes(const Votes& votes) const {
    uint64_t race =
        race_ != nullptr ? votes.race + (votes.mapped_malloc || votes.mapped_other ? 0 : votes.native) : 0;
    if (go_ && (votes.go_heap > 0 || votes.mapped_go_heap) &&
        votes.go_heap + (votes.mapped_go_heap ? 1 : 0) >= race &&
        (votes.mapped_go_heap || votes.go_heap >= votes.go_runtime)) {
      return {Basis::kEvidence, Owner::kGoHeapUnclassified};
    }
    if (race > 0 && race >= votes.go_runtime + votes.go_user + votes.malloc + votes.other) {
      return {Basis::kEvidence, Owner::kRaceInternal};
    }
    if (votes.malloc > 0 || votes.mapped_malloc) return {Basis::kEvidence, Owner::kCHeapUnclassified};
    return {};
  }

  // The FS base is the address of struct pthread, at the upper end of the thread's stack. Go without cgo has
  // its threads' FS base and stacks in its own heap, so a Go program's sp reveals nothing.
  bool thread_stack(size_t i, const Votes& votes) const {
    const events::Vma& vma = evidence_.vmas[i];
    if (!mappings_.private_anon(i) || !vma.write || votes.go_heap > 0 || votes.mapped_go_heap) return false;
    if (votes.mapped_stack && vma.range.bytes() <= kLargestStack) return true;
    if (go_ && !evidence_.go->go->cgo) return false;
    if (votes.holds_tls && mappings_.guard_below(i)) return true;
    return !go_ && votes.holds_sp && vma.range.bytes() <= kLargestStack && !mappings_.glibc_arena(i);
  }

  bool malloc_arena(size_t i, const Votes& votes) const {
    if (!mappings_.glibc_arena(i) || votes.go_heap > 0 || votes.mapped_go_heap) return false;
    return !go_ || evidence_.vmas[i].range.bytes() % kGoHeapStep != 0;
  }

  // Of a runtime with unread tables, by where its heap is mapped, unless malloc or stacks of threads own it.
  std::optional<Owner> managed_heap(size_t i, const Votes& votes) const {
    const AddressRange& range = evidence_.vmas[i].range;
    if (managed_ == ManagedHeap::kNone || !mappings_.private_anon(i) || !evidence_.vmas[i].write ||
        evidence_.vmas[i].exec || votes.malloc > 0 || votes.mapped_malloc)
      return std::nullopt;
    if (managed_ == ManagedHeap::kJava)
      return range.end <= kCompressedOopsEnd ? std::optional(Owner::kJavaHeap) : std::nullopt;
    return range.start % kV8PageBytes == 0 ? std::optional(Owner::kJsHeap) : std::nullopt;
  }

  const Evidence& evidence_;
  const RuntimeUses& uses_;
  Mappings mappings_;
  const RaceLayout* race_;  // nullptr: not a race build
  bool go_;
  ManagedHeap managed_;
};

}  // namespace

bool same_file(const events::Vma& vma, const events::BinaryInfo& binary) {
  if (vma.inode != 0 && vma.inode == binary.inode && vma.device == binary.device) return true;
  return !binary.path.empty() && without_deleted(vma.name) == without_deleted(binary.path);
}

const RaceLayout* race_layout_of(const events::BinaryInfo* go, const timeline::AddressSpace& space) {
  if (go == nullptr || !go->go || !go->go->race) return nullptr;
  return race_layout(space.identity().elf_class);
}

void Owners::decide(const Evidence& evidence, Stacks& stacks) {
  vmas_before_ = std::move(vmas_);
  vmas_.assign(evidence.vmas.size(), {});
  uses_before_ = std::exchange(uses_, RuntimeUses(evidence.scan.runtimes.get(), *table_));
  ++scans_;
  const RaceLayout* race = race_layout_of(evidence.go, evidence.space);
  race_build_ = race != nullptr;
  heaps_known_ = all_heaps_read(evidence, race_build_);
  Judge judge(evidence, uses_, race);
  std::vector<Votes> votes = count_votes(evidence, stacks);
  std::vector<Range> shown;
  for (size_t i = 0; i < vmas_.size(); ++i) {
    const AddressRange& range = evidence.vmas[i].range;
    VmaOwner& owner = vmas_[i];
    owner = judge.decide(i, votes[i]);
    if (owner.basis == Basis::kNone) {
      auto before = std::upper_bound(shown_.begin(), shown_.end(), range.start,
                                     [](uint64_t a, const Range& r) { return a < r.range.end; });
      for (; before != shown_.end() && before->range.start < range.end; ++before) {
        if (before->owner.basis == Basis::kEvidence) owner = before->owner;
      }
    }
    if (owner.basis == Basis::kNone && judge.looks_like_race_block(i, votes[i])) {
      owner = {Basis::kShape, Owner::kRaceInternal};
    }
    if (owner.basis != Basis::kNone && !owner.file) shown.push_back({range, owner});
  }
  shown_ = std::move(shown);
}

std::optional<Owner> Owners::learned(uint64_t address) const {
  auto after = std::upper_bound(shown_.begin(), shown_.end(), address,
                                [](uint64_t a, const Range& r) { return a < r.range.start; });
  if (after == shown_.begin()) return std::nullopt;
  const Range& range = *std::prev(after);
  if (!range.range.contains(address)) return std::nullopt;
  return range.owner.owner;
}

StackKind Owners::stack_kind(const PageGroup& group, Stacks& stacks) {
  if (group.how == How::kBeforeAttach || group.how == How::kUnknown) return StackKind::kNone;
  const StackFacts facts = stacks.facts(group.stack);
  return group.how == How::kMmapSite ? facts.mapped : facts.touched;
}

bool Owners::has_own_stack(StackKind kind) {
  return kind != StackKind::kNone && kind != StackKind::kNameless && kind != StackKind::kNative;
}

bool Owners::touched_by_program(StackKind kind) {
  return kind == StackKind::kGoUser || kind == StackKind::kMalloc || kind == StackKind::kOther;
}

Owner Owners::owner_in(const VmaOwner& vma, const RuntimeUses& uses, const PageGroup& group,
                       Stacks& stacks) const {
  if (std::optional<Owner> of_runtime = uses.owner_of(group.by)) return *of_runtime;
  if (vma.file) return !group.file_page ? vma.copies : vma.owner;
  if (vma.basis == Basis::kIdentity) return vma.owner;
  const StackKind kind = stack_kind(group, stacks);
  const bool by_mapping = !has_own_stack(kind);
  if (race_build_ && kind == StackKind::kRace) return Owner::kRaceInternal;
  if (vma.basis == Basis::kExeBss) return by_mapping ? vma.owner : vma.copies;
  // The kernel makes one VMA of neighbouring mappings: not all of it need be the table's or TSan's.
  const bool of_neighbour = vma.owner == Owner::kRaceInternal
                                ? !by_mapping
                                : vma.basis == Basis::kEvidence && vma.owner == Owner::kGoRuntimeMetadata &&
                                      touched_by_program(kind);
  if (vma.basis != Basis::kNone && !of_neighbour) return vma.owner;
  if (kind == StackKind::kMalloc) return Owner::kCHeapUnclassified;
  if (group.how == How::kBeforeAttach) return heaps_known_ ? Owner::kAnonMapped : Owner::kAnonBeforeAttach;
  if (group.how == How::kUnknown) return Owner::kUnattributed;
  return Owner::kAnonOther;
}

Owner Owners::owner_of(const PageGroup& group, Stacks& stacks) const {
  return owner_in(group.vma < vmas_.size() ? vmas_[group.vma] : VmaOwner{}, uses_, group, stacks);
}

std::optional<Owner> Owners::owner_of_left(const PageGroup& group, Stacks& stacks) const {
  if (scans_ < 2) return std::nullopt;
  return owner_in(group.vma < vmas_before_.size() ? vmas_before_[group.vma] : VmaOwner{}, uses_before_, group,
                  stacks);
}

}  // namespace memwhy::explain
