// SPDX-License-Identifier: Apache-2.0
// What is known of code that run times made (unwind/made_code.h): that of HotSpot, by its own tables (allocators/
// hotspot_frames.h). Memory is read by a child, within a budget for each look.
//
// What it is: which process is a JVM, its memory opened when an address of its code is met first. What it is not: a reader of
// tables.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "allocators/heap_memory.h"
#include "allocators/hotspot_frames.h"
#include "base/time.h"
#include "files/children.h"
#include "procfs/root.h"
#include "remote/budget.h"
#include "unwind/made_code.h"

namespace memwhy::app {

class MadeCode final : public unwind::MadeCode {
 public:
  // Both must outlive it.
  MadeCode(files::Children& files, const procfs::Root& proc) : files_(files), proc_(proc) {}

  std::optional<symbols::UnwindRule> rule(Pid tgid, uint64_t address,
                                          const std::vector<events::Vma>& code) override;
  std::vector<AddressRange> gone(Pid tgid) override;
  void forget() override {
    reading_.reset();
    asked_ = {};
  }
  bool knows(Pid tgid) const { return jvms_.contains(tgid); }  // for tests

 private:
  struct Jvm {
    std::unique_ptr<remote::RemoteMemory> memory;
    std::optional<allocators::HotspotTables> tables;  // while it has begun, and has no code yet
    std::optional<allocators::HotspotFrames> frames;  // nothing: they are not known yet
    uint64_t search_at = 0, waits_ns = 0;             // when it is looked for again
  };
  // Of one look, and one process.
  struct Reading {
    Reading(Pid of, remote::RemoteMemory& memory, const remote::Limits& limits,
            allocators::HeapMemory::Vmas vmas);
    Pid tgid;
    remote::Budget budget;
    remote::MeteredMemory metered;
    allocators::HeapMemory heap;
  };
  // Whose code was asked about last, in this look.
  struct Asked {
    Pid tgid = 0;
    const events::Vma* code = nullptr;
    size_t mappings = 0;
    bool is_jvm = false;
  };
  bool is_jvm(Pid tgid, const std::vector<events::Vma>& code);
  bool has_room_for(Pid tgid);
  Jvm* jvm(Pid tgid);
  bool open(Pid tgid, Jvm& jvm);
  void search(Pid tgid, Jvm& jvm);
  allocators::HeapMemory& memory(Pid tgid, Jvm& jvm);
  allocators::HeapMemory::Vmas mappings_of(Pid tgid) const;

  files::Children& files_;
  const procfs::Root& proc_;
  std::unordered_map<Pid, Jvm> jvms_;
  std::unique_ptr<Reading> reading_;
  Asked asked_;
};

}  // namespace memwhy::app
