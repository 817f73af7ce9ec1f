// SPDX-License-Identifier: Apache-2.0
// The texts below /proc as values: pure functions over bytes, nothing is opened here.
//
// Every text is hostile: a process chooses its own comm, its file names and its mapping names. A parser reads
// only what it is given, bounds every loop, and answers "not understood" (nullopt) rather than a guess.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "events/event.h"

namespace memwhy::procfs {

// A line of /proc/PID/maps. The name is the kernel's text unchanged: a newline in a path is written \012
// and stays so (a backslash itself is not escaped, so that undoing it would be a guess); " (deleted)" stays.
//   "7f1c3a000000-7f1c3a021000 rw-p 00000000 00:00 0                          [anon: Go: heap]"
// `shmem` and `hugetlb` are set as far as the name shows.
std::optional<events::Vma> parse_maps_line(std::string_view line);

struct Stat {
  std::string comm;
  char state = '?';
  Pid parent = 0;
  uint64_t flags = 0;  // PF_* of the kernel
  uint32_t threads = 0;
  uint64_t start_ticks = 0;  // after boot, in units of sysconf(_SC_CLK_TCK)
  bool kernel_thread() const { return (flags & 0x00200000U) != 0; }  // PF_KTHREAD
  bool dead() const { return state == 'Z' || state == 'X' || state == 'x'; }
};
std::optional<Stat> parse_stat(std::string_view text);

// The first fields of /proc/PID/statm, in pages: "9500 2600 1100 4 0 900 0".
struct Statm {
  uint64_t size = 0, resident = 0, shared = 0;
};
std::optional<Statm> parse_statm(std::string_view text);

// /proc/PID/status. What no line contains is absent: a zombie and a kernel thread have no Vm lines.
struct ProcessStatus {
  std::optional<uint64_t> rss_anon_bytes, rss_file_bytes, rss_shmem_bytes;
  uint64_t swap_bytes = 0, peak_bytes = 0, page_table_bytes = 0, hugetlb_bytes = 0, locked_bytes = 0;
  uint32_t threads = 0;
  Pid tgid = 0;
  uint64_t capabilities = 0;  // effective, as bits
  std::vector<Pid> ns_pids;   // outermost first: its number in each pid namespace it is in
  bool has_memory() const { return rss_anon_bytes.has_value(); }
};
ProcessStatus parse_status(std::string_view text);

// The hierarchy that limits memory, of /proc/PID/cgroup. With v1 or hybrid that is the one with the
// controller "memory"; with v2 only, the unified one.
struct MemoryCgroup {
  bool unified = false;
  std::string path;  // as in the file: "/kubepods/burstable/pod…"
  bool operator==(const MemoryCgroup&) const = default;
};
std::optional<MemoryCgroup> parse_cgroup(std::string_view text);

// Where those hierarchies are mounted, of /proc/self/mountinfo.
struct CgroupMount {
  bool unified = false;
  std::string root;   // the part of the hierarchy that the mount shows: "/" on a host
  std::string point;  // the directory
  bool operator==(const CgroupMount&) const = default;
};
std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo);

// The directory of a cgroup below its mount; nullopt: the mount does not show it.
std::optional<std::string> cgroup_directory(const CgroupMount& mount, const std::string& path);

// "123\n" -> 123; "max\n" and anything else -> nullopt.
std::optional<uint64_t> parse_number(std::string_view text);

// The machine of an ELF header (20 bytes are enough): "x86-64", "i386", "aarch64" …; "" not an ELF file.
std::string elf_class(std::string_view header);

// "6.18.44-fc" -> 6 * 1000 + 18; 0: not understood.
uint32_t kernel_version(std::string_view release);

// The error of the RSS counters, all three together. From 6.2 on each is a percpu_counter whose
// readers may miss a batch on every CPU; before, each thread keeps up to 64 pages to itself.
uint64_t rss_error_bytes(uint32_t kernel, uint32_t cpus, uint32_t threads);

}  // namespace memwhy::procfs
