// SPDX-License-Identifier: Apache-2.0
#include "procfs/cgroup.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "procfs/cgroup_text.h"

namespace memwhy::procfs {
namespace {

constexpr size_t kLevelsAtMost = 64;
// v1 writes "no limit" as the largest multiple of a page; no machine has an exbibyte.
constexpr uint64_t kNoLimit = uint64_t{1} << 60;

std::optional<uint64_t> number(const std::string& directory, const char* file) {
  const auto text = read_file(AT_FDCWD, directory + file, kCgroupTextAtMost);
  return text ? parse_number(*text) : std::nullopt;
}

std::optional<uint64_t> limit(const std::string& directory, const char* file) {
  const auto value = number(directory, file);
  return value && *value < kNoLimit ? value : std::nullopt;
}

CgroupRoom room_of(const std::string& directory, const std::string& path, bool unified) {
  return {directory, path, unified, number(directory, unified ? "/memory.current" : "/memory.usage_in_bytes"),
          limit(directory, unified ? "/memory.max" : "/memory.limit_in_bytes")};
}

bool tighter(const CgroupRoom& a, const CgroupRoom& b) {
  if (!a.limit_bytes || !a.usage_bytes) return false;
  if (!b.limit_bytes || !b.usage_bytes) return true;
  const auto room = [](const CgroupRoom& each) {
    return *each.limit_bytes - std::min(*each.limit_bytes, *each.usage_bytes);
  };
  return room(a) < room(b);
}

void read_of_1(const std::string& directory, events::CgroupMemory& out) {
  out.peak_bytes = number(directory, "/memory.max_usage_in_bytes");
  out.kernel_bytes = number(directory, "/memory.kmem.usage_in_bytes");
  out.max_events = number(directory, "/memory.failcnt");
  if (const auto text = read_file(AT_FDCWD, directory + "/memory.oom_control", kCgroupTextAtMost))
    parse_memory_events(*text, out);
}

void read_of_2(const std::string& directory, events::CgroupMemory& out) {
  out.high_bytes = limit(directory, "/memory.high");
  out.peak_bytes = number(directory, "/memory.peak");
  out.swap_bytes = number(directory, "/memory.swap.current");
  out.swap_limit_bytes = limit(directory, "/memory.swap.max");
  if (const auto text = read_file(AT_FDCWD, directory + "/memory.events", kCgroupTextAtMost))
    parse_memory_events(*text, out);
  if (const auto text = read_file(AT_FDCWD, directory + "/memory.pressure", kCgroupTextAtMost))
    parse_memory_pressure(*text, out);
}

events::CgroupMemory figures_of(const CgroupRoom& at) {
  events::CgroupMemory out;
  out.path = at.path;
  out.unified = at.unified;
  out.usage_bytes = at.usage_bytes.value_or(0);
  out.limit_bytes = at.limit_bytes;
  if (const auto text = read_file(AT_FDCWD, at.directory + "/memory.stat", kCgroupTextAtMost))
    parse_memory_stat(*text, at.unified, out);
  (at.unified ? read_of_2 : read_of_1)(at.directory, out);
  return out;
}

}  // namespace

CgroupReader::CgroupReader(std::vector<CgroupMount> mounts) : mounts_(std::move(mounts)) {
  // A mount of version 1 is listed only where it has the controller; then version 2 has not.
  std::stable_sort(mounts_.begin(), mounts_.end(), [](const CgroupMount& a, const CgroupMount& b) {
    return std::pair(a.unified, a.root.size()) < std::pair(b.unified, b.root.size());
  });
  unified_ =
      std::all_of(mounts_.begin(), mounts_.end(), [](const CgroupMount& each) { return each.unified; });
}

CgroupReader::CgroupReader(const Root& root)
    : CgroupReader([&root] {
        const auto text = read_file(root.fd(), "self/mountinfo", size_t{16} << 20);
        return text ? parse_cgroup_mounts(*text) : std::vector<CgroupMount>();
      }()) {}

// The group itself first. Empty: no mount shows it.
std::vector<CgroupRoom> CgroupReader::levels(const MemoryCgroup& cgroup) const {
  std::vector<CgroupRoom> all;
  for (const CgroupMount& mount : mounts_) {
    if (mount.unified != cgroup.unified) continue;
    auto directory = cgroup_directory(mount, cgroup.path);
    if (!directory) continue;
    std::string path = cgroup.path;
    all.push_back(room_of(*directory, path, mount.unified));
    while (all.size() < kLevelsAtMost && directory->size() > mount.point.size()) {
      directory->resize(directory->rfind('/'));
      path.resize(path.rfind('/'));
      if (path.empty()) path = "/";
      all.push_back(room_of(*directory, path, mount.unified));
    }
    break;
  }
  return all;
}

std::optional<CgroupRoom> CgroupReader::room(const MemoryCgroup& cgroup) const {
  const std::vector<CgroupRoom> all = levels(cgroup);
  if (all.empty()) return std::nullopt;
  return *std::min_element(all.begin(), all.end(), tighter);
}

std::vector<events::CgroupMemory> CgroupReader::read(const MemoryCgroup& cgroup) const {
  std::vector<events::CgroupMemory> out;
  const std::vector<CgroupRoom> all = levels(cgroup);
  if (all.empty()) return out;
  if (all.front().usage_bytes) out.push_back(figures_of(all.front()));
  const CgroupRoom& limits = *std::min_element(all.begin(), all.end(), tighter);
  if (limits.path != all.front().path) out.push_back(figures_of(limits));
  return out;
}

std::vector<events::CgroupMemory> CgroupReader::read(const std::string& path) const {
  return read(MemoryCgroup{unified_, path});
}

}  // namespace memwhy::procfs
