// SPDX-License-Identifier: Apache-2.0
#include "explain/slots.h"

#include <algorithm>
#include <map>
#include <utility>

namespace memwhy::explain {

RuntimeUses::RuntimeUses(const timeline::RuntimeClaims* claims, const OwnerTable& table) {
  if (claims == nullptr) return;
  for (const timeline::RuntimeTold& told : claims->told) {
    Runtime& runtime = runtimes_.emplace_back();
    for (const std::string& use : told.pages->uses)
      runtime.uses.push_back(table.of(told.pages->runtime, use));
    runtime.tables = table.tables_of(told.pages->runtime);
  }
}

std::optional<Owner> RuntimeUses::owner_of(timeline::RuntimeUse by) const {
  if (by.runtime == 0 || by.runtime > runtimes_.size()) return std::nullopt;
  const auto& uses = runtimes_[by.runtime - 1].uses;
  if (by.use >= uses.size() || !uses[by.use]) return std::nullopt;
  return uses[by.use]->owner;
}

std::optional<Owner> RuntimeUses::tables_in(const AddressRange& range,
                                            const timeline::RuntimeClaims* claims) const {
  if (claims == nullptr) return std::nullopt;
  for (size_t i = 0; i < runtimes_.size() && i < claims->told.size(); ++i) {
    if (!runtimes_[i].tables) continue;
    const std::vector<uint64_t>& tables = claims->told[i].pages->tables;
    const auto first = std::lower_bound(tables.begin(), tables.end(), range.start);
    if (first != tables.end() && *first < range.end) return runtimes_[i].tables;
  }
  return std::nullopt;
}

std::vector<RuntimeReading> RuntimeUses::readings(const timeline::RuntimeClaims* claims,
                                                  const OwnerTable& table) {
  std::vector<RuntimeReading> out;
  if (claims == nullptr) return out;
  for (const timeline::RuntimeTold& told : claims->told) {
    const events::RuntimePages& pages = *told.pages;
    const char* trust = pages.trust == events::Trust::kVerified     ? "verified"
                        : pages.trust == events::Trust::kUnverified ? "unverified"
                                                                    : "unreadable";
    std::string problem = pages.problem;
    if (problem.empty() && !table.knows(pages.runtime))
      problem = "this memwhy has no lines for it: its pages are what their mappings are";
    out.push_back({pages.runtime, trust, std::move(problem), told.conflict_pages * kPageBytes});
  }
  return out;
}

std::vector<RuntimeUses::Parted> RuntimeUses::part(const timeline::ScanResult& scan,
                                                   OwnerBytes& bytes) const {
  std::map<timeline::RuntimeUse, uint64_t> held;
  for (const timeline::PageGroup& group : scan.groups)
    if (group.by.runtime != 0) held[group.by] += group.bytes();
  std::vector<Parted> out;
  for (const auto& [by, resident] : held) {
    if (!owner_of(by)) continue;
    const OwnerOfUse& use = *runtimes_[by.runtime - 1].uses[by.use];
    if (!use.slots) continue;
    const timeline::SlotBytes& told = scan.runtimes->told[by.runtime - 1].slots[by.use];
    uint64_t rest = resident;
    const auto take = [&rest](uint64_t wanted) {
      const uint64_t taken = std::min(wanted, rest);
      rest -= taken;
      return taken;
    };
    of(bytes, use.owner) -= resident;
    of(bytes, use.owner) += take(told.live);
    of(bytes, use.slots->dead) += take(told.dead);
    of(bytes, use.slots->free) += take(told.free);
    of(bytes, use.slots->rest) += rest;
    out.push_back({use.owner, *use.slots, rest > 0});
  }
  return out;
}

}  // namespace memwhy::explain
