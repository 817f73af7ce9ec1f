// SPDX-License-Identifier: Apache-2.0
#include "explain/owner_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "explain/go/lines.h"

namespace memwhy::explain {

OwnerTable::OwnerTable() {
  for (size_t i = 0; i < kBuiltInOwners; ++i) names_.push_back(owner_name(static_cast<Owner>(i)));
  static_cast<void>(add(go_lines()));  // a test holds that it is taken
}

std::optional<Owner> OwnerTable::owner_of_id(std::string_view id) const {
  const auto found =
      std::find_if(names_.begin(), names_.end(), [id](const OwnerName& name) { return name.id == id; });
  if (found == names_.end()) return std::nullopt;
  return static_cast<Owner>(found - names_.begin());
}

const OwnerTable::Runtime* OwnerTable::find(std::string_view runtime) const {
  const auto found = std::find_if(runtimes_.begin(), runtimes_.end(),
                                  [&](const Runtime& each) { return each.name == runtime; });
  return found == runtimes_.end() ? nullptr : &*found;
}

Status OwnerTable::add(const events::RuntimeLines& lines) {
  const auto refuse = [&](const std::string& why) {
    return Error(ErrorCode::kUsage, fmt::format("runtime {}: {}", lines.runtime, why));
  };
  if (knows(lines.runtime)) return refuse("is registered already");
  if (names_.size() + lines.owners.size() > kOwnerCount) return refuse("there is no room for its lines");
  for (const events::RuntimeOwner& owner : lines.owners)
    if (owner_of_id(owner.id)) return refuse(fmt::format("{} is another line", owner.id));
  const auto is_new = [&](const std::string& id) {
    return std::any_of(lines.owners.begin(), lines.owners.end(),
                       [&](const auto& own) { return own.id == id; });
  };
  std::vector<std::string> ids = {lines.unknown};
  if (!lines.tables.empty()) ids.push_back(lines.tables);
  for (const events::UseOwner& use : lines.uses) {
    ids.push_back(use.owner);
    if (use.slots) ids.insert(ids.end(), {use.slots->dead, use.slots->free, use.slots->rest});
  }
  for (const std::string& id : ids)
    if (!owner_of_id(id) && !is_new(id)) return refuse(fmt::format("there is no line {}", id));

  const auto keep = [this](const std::string& text) -> std::string_view {
    return *texts_.emplace_back(std::make_shared<const std::string>(text));
  };
  for (const events::RuntimeOwner& owner : lines.owners)
    names_.push_back({keep(owner.id), keep(owner.label), keep(owner.family)});
  Runtime& runtime = runtimes_.emplace_back();
  runtime.name = lines.runtime;
  runtime.unknown = *owner_of_id(lines.unknown);
  if (!lines.tables.empty()) runtime.tables = owner_of_id(lines.tables);
  for (const events::UseOwner& use : lines.uses) {
    OwnerOfUse& out = runtime.uses.emplace_back(use.use, OwnerOfUse{}).second;
    out.owner = *owner_of_id(use.owner);
    if (!use.slots) continue;
    out.slots = {*owner_of_id(use.slots->dead), *owner_of_id(use.slots->free), *owner_of_id(use.slots->rest),
                 keep(use.slots->whole), use.slots->in_heap_profile};
  }
  return {};
}

std::optional<OwnerOfUse> OwnerTable::of(std::string_view runtime, std::string_view use) const {
  const Runtime* known = find(runtime);
  if (known == nullptr) return std::nullopt;
  for (const auto& [name, owner] : known->uses)
    if (name == use) return owner;
  return OwnerOfUse{known->unknown, std::nullopt};
}

std::optional<Owner> OwnerTable::tables_of(std::string_view runtime) const {
  const Runtime* known = find(runtime);
  return known == nullptr ? std::nullopt : known->tables;
}

}  // namespace memwhy::explain
