// SPDX-License-Identifier: Apache-2.0
#include "procfs/cgroup.h"

#include <fcntl.h>

namespace memwhy::procfs {
namespace {

constexpr int kLevelsAtMost = 64;
// v1 writes "no limit" as the largest multiple of a page; nobody has an exbibyte.
constexpr uint64_t kNoLimit = uint64_t{1} << 60;

CgroupMemory read_level(const std::string& directory, bool unified) {
  CgroupMemory memory;
  const auto usage =
      read_file(AT_FDCWD, directory + (unified ? "/memory.current" : "/memory.usage_in_bytes"));
  if (usage) memory.usage_bytes = parse_number(*usage);
  const auto limit = read_file(AT_FDCWD, directory + (unified ? "/memory.max" : "/memory.limit_in_bytes"));
  if (limit) memory.limit_bytes = parse_number(*limit);
  if (memory.limit_bytes && *memory.limit_bytes >= kNoLimit) memory.limit_bytes.reset();
  return memory;
}

}  // namespace

CgroupReader::CgroupReader(const Root& root) {
  const auto text = read_file(root.fd(), "self/mountinfo", size_t{16} << 20);
  if (text) mounts_ = parse_cgroup_mounts(*text);
}

CgroupMemory CgroupReader::memory(const MemoryCgroup& cgroup) const {
  for (const CgroupMount& mount : mounts_) {
    if (mount.unified != cgroup.unified) continue;
    auto directory = cgroup_directory(mount, cgroup.path);
    if (!directory) continue;
    CgroupMemory tightest = read_level(*directory, mount.unified);
    for (int level = 0; level < kLevelsAtMost && directory->size() > mount.point.size(); ++level) {
      directory->resize(directory->rfind('/'));
      const CgroupMemory above = read_level(*directory, mount.unified);
      if (above.limit_bytes && (!tightest.limit_bytes || *above.limit_bytes < *tightest.limit_bytes))
        tightest = above;
    }
    return tightest;
  }
  return {};
}

}  // namespace memwhy::procfs
