// SPDX-License-Identifier: Apache-2.0
// rss-growth: RSS keeps growing and no cause covers it: by several owners at once, or by one that has no rule. Not one of
// causes.h, because it depends on their findings.
#pragma once

#include <optional>
#include <vector>

#include "explain/rules/rule.h"

namespace memwhy::explain {

// `told`: the findings of the causes.
std::optional<Finding> rss_growth(const Case& c, const std::vector<std::optional<Finding>>& told);

}  // namespace memwhy::explain
