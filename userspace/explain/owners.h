// SPDX-License-Identifier: Apache-2.0
// Owners: decides for every group of pages of a scan what holds it. Evidence from best to worst:
//
//   what the mapping is      file, [heap], shared, TSan's fixed ranges, a VMA name, a thread's stack
//   who touched this page    a stack whose deciding function is TSan's or malloc's
//   who touched its mapping  one page written by mallocgc makes the mapping a Go heap, also for other pages
//   what it looks like       TSan's own blocks in a race build; nothing else is recognised by its shape
//   nothing                  anon.other (a stack is known), anon.mapped (before attach; all heaps were read, and have none of it),
//                            anon.before_attach, unattributed
//
//   7f77e2400000-7f77e2900000 rw-p of a race build: 586 pages touched by TSan, 80 by the Go runtime, 4 before
//     race.internal 590 pages (4 by the mapping), anon.other 80 (its stacks say which table)
//
// Stateful for one address space: what a mapping was shown to be stays so while it is mapped, and pages that
// left are owned by what their mapping was in the scan before. A Go heap is never recognised by its address.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "explain/owner_table.h"
#include "explain/race_layout.h"
#include "explain/slots.h"
#include "explain/stacks.h"
#include "timeline/timeline.h"

namespace memwhy::explain {

// How a mapping's owner is known.
enum class Basis : uint8_t { kNone, kIdentity, kName, kEvidence, kShape, kExeBss };

struct VmaOwner {
  Basis basis = Basis::kNone;
  Owner owner = Owner::kAnonOther;     // meaningless for Basis::kNone
  bool file = false;                   // private file mapping: file.text, or `copies` by page
  Owner copies = Owner::kFilePrivate;  // of pages of it that were written
};

// What a decision rests on. All of one moment: the VMA list is the one that the scan's groups index.
struct Evidence {
  const timeline::AddressSpace& space;
  const std::vector<events::Vma>& vmas;
  const std::vector<events::Thread>& threads;
  const timeline::ScanResult& scan;
  const events::BinaryInfo* exe;  // nullptr: unknown
  const events::BinaryInfo* go;   // that has the Go runtime: exe, or a library of a C program; nullptr: none
};

class Owners {
 public:
  explicit Owners(std::shared_ptr<const OwnerTable> table) : table_(std::move(table)) {}

  const OwnerTable& table() const { return *table_; }
  // Decides the mappings of a scan. Then owner_of() speaks for its `groups` and `arrived`, owner_of_left()
  // for `left`.
  void decide(const Evidence& evidence, Stacks& stacks);

  Owner owner_of(const timeline::PageGroup& group, Stacks& stacks) const;
  std::optional<Owner> owner_of_left(const timeline::PageGroup& group,
                                     Stacks& stacks) const;  // nullopt: first scan
  // Which code touched these pages or mapped them; kNone: their own evidence has no stack.
  static StackKind stack_kind(const timeline::PageGroup& group, Stacks& stacks);
  // Whether such a stack decides for its pages themselves, and not only for their mapping.
  static bool has_own_stack(StackKind kind);
  // Whether it is the program's own code or C's: no table of the Go runtime is touched by it.
  static bool touched_by_program(StackKind kind);
  const std::vector<VmaOwner>& vmas() const { return vmas_; }
  const RuntimeUses& uses() const { return uses_; }

  // The owner of evidence-less pages at this address as known now: for pages of earlier scans.
  std::optional<Owner> learned(uint64_t address) const;

 private:
  struct Range {
    AddressRange range;
    VmaOwner owner;
  };
  Owner owner_in(const VmaOwner& vma, const RuntimeUses& uses, const timeline::PageGroup& group,
                 Stacks& stacks) const;

  std::shared_ptr<const OwnerTable> table_;
  bool race_build_ = false;
  // So what is in none of them was mapped by the program's own code, or a library's.
  bool heaps_known_ = false;
  RuntimeUses uses_, uses_before_;
  std::vector<VmaOwner> vmas_, vmas_before_;
  std::vector<Range> shown_;  // in order of address
  uint64_t scans_ = 0;
};

// Whether a mapping is of this file.
bool same_file(const events::Vma& vma, const events::BinaryInfo& binary);

// go: as in Evidence. nullptr: build info says that it is not a race build, or TSan's layout for its machine is unknown.
const RaceLayout* race_layout_of(const events::BinaryInfo* go, const timeline::AddressSpace& space);

}  // namespace memwhy::explain
