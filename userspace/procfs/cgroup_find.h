// SPDX-License-Identifier: Apache-2.0
// Finds the cgroup that a user means: by its path, by a directory below a mount, by the name of a systemd unit, or by the id of a
// container. The tree of directories is searched, and no container runtime queried: the names contain the ids.
//
//   /system.slice/web.service                         as it is
//   /sys/fs/cgroup/memory/web                         /web
//   web.service, web                                  /system.slice/web.service
//   3f1c9a0be77d                                      /kubepods.slice/…/cri-containerd-3f1c9a0be77d….scope
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "procfs/text.h"

namespace memwhy::procfs {

constexpr size_t kCgroupsLookedAt = 100'000;
constexpr size_t kContainerDigits = 12;  // as docker ps prints them

// Whether a directory of this name is what `text` means: the very name, a unit without its suffix, or a container's id of which
// `text` has the first 12 digits or more.
bool names_cgroup(std::string_view directory, std::string_view text);

// The path in the hierarchy that limits memory. A path is not looked for: whether it has processes is the caller's question.
// kTargetGone: no cgroup has that name. kUsage: several have.
Result<std::string> find_cgroup(const std::vector<CgroupMount>& mounts, const std::string& text);

}  // namespace memwhy::procfs
