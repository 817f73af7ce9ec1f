// SPDX-License-Identifier: Apache-2.0
// What the runtimes of one scan hold its pages for, as owners; and how the bytes of pages that hold live and dead things
// side by side are divided among lines.
//
//   "heap" of go: 70 MiB resident; its runs have live 60, dead 3, free 1 MiB
//     go.heap.live 60   go.heap.unmarked 3   go.heap.fragmentation 1   go.heap.unclassified 6: not agreed on
#pragma once

#include <optional>
#include <vector>

#include "explain/explanation.h"
#include "explain/owner_table.h"
#include "timeline/page_group.h"

namespace memwhy::explain {

class RuntimeUses {
 public:
  RuntimeUses() = default;
  RuntimeUses(const timeline::RuntimeClaims* claims, const OwnerTable& table);

  // nullopt: no runtime holds it, or an unknown one.
  std::optional<Owner> owner_of(timeline::RuntimeUse by) const;
  // Of a mapping that holds structures of a runtime.
  std::optional<Owner> tables_in(const AddressRange& range, const timeline::RuntimeClaims* claims) const;

  // How each of them was read.
  static std::vector<RuntimeReading> readings(const timeline::RuntimeClaims* claims, const OwnerTable& table);

  // Parts the bytes of these groups, all counted as live so far. What was parted: by use, none of 0 bytes.
  struct Parted {
    Owner live{};
    OwnerOfUse::Slots slots;
    bool rest = false;  // something was not agreed on
  };
  std::vector<Parted> part(const timeline::ScanResult& scan, OwnerBytes& bytes) const;

 private:
  struct Runtime {
    std::vector<std::optional<OwnerOfUse>> uses;
    std::optional<Owner> tables;
  };
  std::vector<Runtime> runtimes_;  // as in RuntimeClaims::told
};

}  // namespace memwhy::explain
