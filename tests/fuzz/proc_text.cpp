// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the texts below /proc, of which a process chooses parts (its name, those of its files and mappings). An input
// is a letter that says which parser reads it, and the text.
#include <algorithm>
#include <array>
#include <string_view>

#include "fuzz/support/check.h"
#include "procfs/cgroup_text.h"
#include "procfs/text.h"

namespace memwhy::fuzz {
namespace {

constexpr size_t kDeepestNamespace = 64;

void maps(std::string_view text) {
  const auto vma = procfs::parse_maps_line(text);
  if (!vma) return;
  check(vma->range.start < vma->range.end, "a mapping has an end behind its start");
  check(text.ends_with(vma->name), "a name is what the line ends with");
}

void stat(std::string_view text) {
  const auto stat = procfs::parse_stat(text);
  if (!stat) return;
  check(text.find(stat->comm) != std::string_view::npos, "the name stands in the text");
  (void)stat->kernel_thread();
  (void)stat->dead();
}

void status(std::string_view text) {
  const procfs::ProcessStatus status = procfs::parse_status(text);
  check(status.ns_pids.size() <= kDeepestNamespace, "namespaces are no deeper than the kernel has them");
  check(status.has_memory() == status.rss_anon_bytes.has_value(), "memory is what was told of");
}

void cgroup(std::string_view text) {
  const auto cgroup = procfs::parse_cgroup(text);
  if (!cgroup) return;
  check(text.find(cgroup->path) != std::string_view::npos, "the path stands in the text");
  procfs::CgroupMount mount;
  mount.root = "/";
  mount.point = "/sys/fs/cgroup";
  const auto directory = procfs::cgroup_directory(mount, cgroup->path);
  if (directory) check(directory->starts_with(mount.point), "a cgroup is below its mount");
}

// The second half of the line is a path of a cgroup: mounts of one that is not the root's show only a part.
void mounts(std::string_view text) {
  for (const procfs::CgroupMount& mount : procfs::parse_cgroup_mounts(text)) {
    const auto directory = procfs::cgroup_directory(mount, std::string(text.substr(text.size() / 2)));
    if (directory) check(directory->starts_with(mount.point), "a cgroup is below its mount");
  }
}

// The first letter says which of the texts of a cgroup it is.
void cgroup_figures(std::string_view text) {
  events::CgroupMemory cgroup;
  const char which = text.empty() ? 'e' : text.front();
  if (!text.empty()) text.remove_prefix(1);
  if (which == '1' || which == '2') procfs::parse_memory_stat(text, which == '2', cgroup);
  if (which == 'e') procfs::parse_memory_events(text, cgroup);
  if (which == 'p') procfs::parse_memory_pressure(text, cgroup);
  check(cgroup.held_bytes() <= cgroup.usage_bytes, "what is held is a part of the usage");
}

void number(std::string_view text) { (void)procfs::parse_number(text); }

void header(std::string_view text) {
  const std::string machine = procfs::elf_class(text);
  check(machine.empty() || text.size() >= 20, "a machine is told from a whole header only");
}

void release(std::string_view text) {
  const uint32_t kernel = procfs::kernel_version(text);
  (void)procfs::rss_error_bytes(kernel, static_cast<uint32_t>(text.size()), kernel);
}

// A new parser comes at the end: the inputs that are kept begin with these letters.
constexpr std::array kParsers = {maps, stat, status, cgroup, mounts, number, header, release, cgroup_figures};

}  // namespace
}  // namespace memwhy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using memwhy::fuzz::kParsers;
  if (size == 0 || data[0] < 'a' || data[0] - 'a' >= static_cast<int>(kParsers.size())) return -1;
  kParsers[data[0] - 'a'](std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
