// SPDX-License-Identifier: Apache-2.0
// Object: the BPF object, loaded for the ways that this kernel has, and its memory as seen from here.
// Only object.cpp knows the skeleton.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "memwhy/abi/counters.h"
#include "memwhy/abi/table.h"
#include "probe/go_probes.h"
#include "probe/hooks.h"
#include "probe/kernel_probe.h"
#include "probe/mapping.h"
#include "probe/rule_table.h"
#include "probe/shares.h"

struct memwhy_bpf;  // the skeleton

namespace memwhy::probe {

// Which way each hook of the catalogue is attached; nullptr: it is left out, and why.
struct Choice {
  const HookSpec* hook = nullptr;
  const Way* way = nullptr;
  bool covered = false;  // by another hook
  std::string why_not;   // what the ways that were tried first answered
};

class Object {
 public:
  static Result<std::unique_ptr<Object>> load(const Options& options);
  ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  const std::vector<Choice>& choices() const { return choices_; }
  bool reads_direct() const { return how_ != MW_READ_BULK; }
  UprobeWay go_way() const { return go_way_; }
  const std::string& go_why_none() const { return go_why_none_; }
  bpf_program* go_program() const;
  // As those of Go, but never a way that makes other processes trap.
  UprobeWay allocation_way() const { return allocation_way_; }
  const std::string& allocation_why_none() const { return allocation_why_none_; }
  bpf_program* allocation_program() const;

  Result<std::vector<Link>> attach_all() const;
  // Runs a program of query.bpf.c once. Questions and answers are in request().
  Status run(const char* program) const;
  // Reads an iterator of query.bpf.c to its end.
  Result<std::string> iterate(const char* program) const;
  // The same of one that writes records of this type.
  template <typename T>
  Result<std::vector<T>> records(const char* program) const {
    const Result<std::string> bytes = iterate(program);
    if (!bytes) return bytes.error();
    std::vector<T> all(bytes->size() / sizeof(T));
    if (!all.empty()) std::memcpy(all.data(), bytes->data(), all.size() * sizeof(T));
    return all;
  }

  int ring_fd() const;
  int bell_fd() const;
  int members_fd() const;
  // Descriptors of the programs that are loaded, with their names.
  std::vector<std::pair<std::string, int>> programs() const;

  mw_request& request() const;
  mw_space* spaces() const;
  Shares::Shared shares() const;
  RuleTable::Shared rules() const;
  void allow_snapshots(bool allowed);  // by spaces that begin
  bool uses_rules() const { return rules_; }
  const std::string& why_no_rules() const { return why_no_rules_; }
  int32_t* allocations_left() const;  // by the slot of the space
  mw_u64* stack_hashes() const;
  mw_u64* chunk_keys() const;
  uint32_t* chunk_ticks() const;
  mw_chunk* table() const { return table_.as<mw_chunk>(); }
  mw_stack* stacks() const { return stacks_.as<mw_stack>(); }
  mw_node* nodes() const { return nodes_.as<mw_node>(); }
  const mw_counters* counters() const { return counters_.as<mw_counters>(); }
  uint32_t cpus() const { return cpus_; }
  uint32_t space_slots() const { return spaces_in_use_; }
  uint32_t stack_slots() const { return stacks_in_use_; }
  uint32_t chunk_slots() const { return chunks_in_use_; }

 private:
  Object(KernelOffer kernel, const Options& options);
  Status draw_keys();
  Status calibrate();
  Status choose(const Options& options);
  Status open(bool queries_only);
  Status load_chosen();
  void select_programs();
  Result<bool> load_once();
  Result<bool> attach_once();
  Status map_tables();
  bool refuse(const std::string& program, const std::string& why);
  Status choose_go();
  void choose_allocations();
  void refuse_uprobes(const std::string& program, const std::string& why);
  void load_uprobes();
  struct SkeletonCloser {
    void operator()(memwhy_bpf* skeleton) const;
  };

  KernelOffer kernel_;
  Options options_;
  std::unique_ptr<memwhy_bpf, SkeletonCloser> skeleton_;
  std::vector<Choice> choices_;
  Mapping table_, stacks_, nodes_, counters_, snapshots_;
  uint32_t cpus_ = 0, spaces_in_use_ = 0, stacks_in_use_ = 0, chunks_in_use_ = 0, ring_bytes_ = 0;
  uint32_t how_ = MW_READ_BULK;  // enum mw_read_how
  bool la57_ = false;
  bool rules_ = true;  // stacks by unwind rules
  std::string why_no_rules_;
  std::array<uint64_t, MW_STACK_KEYS> stack_keys_{};
  uint64_t chunk_factor_ = 1;
  UprobeWay go_way_ = UprobeWay::kNone;
  std::string go_why_none_;
  UprobeWay allocation_way_ = UprobeWay::kNone;
  std::string allocation_why_none_;
  uint64_t direct_map_ = 0;
};

}  // namespace memwhy::probe
