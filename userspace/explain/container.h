// SPDX-License-Identifier: Apache-2.0
// Container and pod ids as container runtimes write them into cgroup paths. Pure text; no container
// runtime is queried.
//
//   /kubepods.slice/kubepods-pod1b2c3d4e_….slice/cri-containerd-<64 hex>.scope
//     → pod 1b2c3d4e-…, container <64 hex>
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace memwhy::explain {

std::optional<std::string> container_of(std::string_view cgroup);
std::optional<std::string> pod_of(std::string_view cgroup);

}  // namespace memwhy::explain
