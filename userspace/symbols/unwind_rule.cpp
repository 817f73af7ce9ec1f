// SPDX-License-Identifier: Apache-2.0
#include "symbols/unwind_rule.h"

#include <algorithm>

namespace memwhy::symbols {

const RuleRow* FunctionRules::row(uint64_t offset) const {
  if (!contains(offset)) return nullptr;
  const auto found = std::upper_bound(rows.begin(), rows.end(), offset,
                                      [](uint64_t value, const RuleRow& one) { return value < one.end; });
  return found == rows.end() ? nullptr : &*found;
}

bool FunctionRules::well_formed() const {
  if (why > Why::kUnsaid || rows.empty() || rows.size() > kMostRows || rows.back().end != end) return false;
  uint64_t from = begin;
  for (const RuleRow& one : rows) {
    if (one.end <= from || !one.at.fits() || !one.after_call.fits()) return false;
    from = one.end;
  }
  return true;
}

void FunctionRules::keep(std::vector<RuleRow>& rows, AddressRange* range, const AddressRange& part) {
  const AddressRange kept{std::max(range->start, part.start), std::min(range->end, part.end)};
  std::erase_if(rows, [&](const RuleRow& row) { return row.end <= kept.start; });
  while (rows.size() > 1 && rows[rows.size() - 2].end >= kept.end) rows.pop_back();
  if (!rows.empty()) rows.back().end = std::min(rows.back().end, kept.end);
  *range = kept;
}

void FunctionRules::keep_around(std::vector<RuleRow>& rows, AddressRange* range, uint64_t offset) {
  if (rows.size() <= kMostRows) return;
  const auto here = std::upper_bound(rows.begin(), rows.end(), offset,
                                     [](uint64_t value, const RuleRow& row) { return value < row.end; });
  const auto index = static_cast<size_t>(here - rows.begin());
  const size_t first = std::min(index - std::min(index, kMostRows / 2), rows.size() - kMostRows);
  keep(rows, range, {first == 0 ? range->start : rows[first - 1].end, rows[first + kMostRows - 1].end});
}

}  // namespace memwhy::symbols
