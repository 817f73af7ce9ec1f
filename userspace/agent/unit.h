// SPDX-License-Identifier: Apache-2.0
// Unit: what people call the thing that a process is part of. Found from the path of its cgroup, whatever the version of the
// hierarchy, and from the names of log files; no container runtime and no cluster is queried.
//
//   /kubepods.slice/…-pod1b2c….slice/cri-containerd-<64 hex>.scope   shop/checkout-7d9f/api  (/var/log/containers has its name)
//   /system.slice/docker-3f1c9a0be77d….scope                         docker:3f1c9a0be77d
//   /system.slice/web.service/worker                                 web.service
//   /user.slice/user-1000.slice/session-3.scope, /                   the comm of the process
//
// A process that is started again, in a new container or not, has the same unit. What comes next: selection.h, which ranks them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memwhy::agent {

// Names of containers by their ids: "shop/checkout-7d9f/api".
using ContainerNames = std::map<std::string, std::string, std::less<>>;

struct ContainerName {
  std::string id, name;
};
// "<pod>_<namespace>_<container>-<64 hex>.log", as kubelet names the logs of a container.
std::optional<ContainerName> parse_log_name(std::string_view file);
// Those of a folder; empty where there is none.
ContainerNames read_container_names(const std::string& folder = "/var/log/containers");

// `cgroup`: a path of any hierarchy; "" unknown.
std::string unit_of(std::string_view cgroup, std::string_view comm, const ContainerNames& names);

// As a part of a file name: '/' becomes '+', what is not printable '_', and at most 100 bytes.
std::string file_name_of(std::string_view unit);

}  // namespace memwhy::agent
