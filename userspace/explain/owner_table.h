// SPDX-License-Identifier: Apache-2.0
// OwnerTable: the one map from a runtime's use of a page to the line of the ledger, and the names of all lines. A value
// passed to the Explainer: it always has the built-in owners and Go's lines; each further runtime is one add().
//
//   ("go", "stack")  -> go.stacks
//   ("go", "heap")   -> go.heap.live, split by slots: dead go.heap.unmarked, free go.heap.fragmentation
//   ("toy", "slab")  -> toy.used                       a line that the registration of "toy" added
//   ("toy", "what?") -> the line that it has for what it does not name
//   ("jvm", …)       -> nothing: not registered; its pages are owned by what their mapping is
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "events/runtime_lines.h"
#include "explain/owner.h"

namespace memwhy::explain {

// Of a runtime's pages.
struct OwnerOfUse {
  Owner owner{};  // of pages split by slots: of what is live
  struct Slots {
    Owner dead{}, free{}, rest{};
    std::string_view whole;  // "spans"
    bool in_heap_profile = false;
  };
  std::optional<Slots> slots;
};

class OwnerTable {
 public:
  OwnerTable();  // the built-in owners, and the lines of Go

  // kUsage: no room, a runtime or an owner is there already, or an id is no owner's.
  Status add(const events::RuntimeLines& lines);

  const OwnerName& name(Owner owner) const { return names_[static_cast<size_t>(owner)]; }
  size_t owners() const { return names_.size(); }  // Owner{0} and so on
  bool knows(std::string_view runtime) const { return find(runtime) != nullptr; }
  // nullopt: the runtime is unknown.
  std::optional<OwnerOfUse> of(std::string_view runtime, std::string_view use) const;
  // Of a mapping that holds structures of the runtime; nullopt: no line.
  std::optional<Owner> tables_of(std::string_view runtime) const;

 private:
  struct Runtime {
    std::string name;
    std::vector<std::pair<std::string, OwnerOfUse>> uses;
    Owner unknown{};
    std::optional<Owner> tables;
  };
  const Runtime* find(std::string_view runtime) const;
  std::optional<Owner> owner_of_id(std::string_view id) const;

  std::vector<std::shared_ptr<const std::string>> texts_;  // that names_ and uses look into
  std::vector<OwnerName> names_;
  std::vector<Runtime> runtimes_;
};

}  // namespace memwhy::explain
