// SPDX-License-Identifier: Apache-2.0
// Memory cgroups as JSON: that of a process, and a requested container. Null where nothing is known.
#pragma once

#include <nlohmann/json.hpp>

#include "explain/explanation.h"

namespace memwhy::report {

nlohmann::ordered_json cgroup_memory(const std::optional<explain::CgroupSummary>& cgroup,
                                     const timeline::WallClock& clock);
nlohmann::ordered_json container(const std::optional<explain::ContainerSummary>& container,
                                 const timeline::WallClock& clock);

}  // namespace memwhy::report
