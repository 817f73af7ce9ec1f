// SPDX-License-Identifier: Apache-2.0
#include "app/environment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "base/capabilities.h"
#include "base/fd.h"
#include "base/ids.h"
#include "base/machine.h"
#include "probe/privilege.h"

namespace memwhy::app {
namespace {

constexpr const char* kBtfPath = "/sys/kernel/btf/vmlinux";

std::string read_text(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return file ? text.str() : std::string();
}

std::string first_line(const char* path) {
  const std::string text = read_text(path);
  return text.substr(0, text.find('\n'));
}

bool has_btf() {
  const Fd file(::open(kBtfPath, O_RDONLY | O_CLOEXEC));
  uint16_t magic = 0;
  return file && ::read(file.get(), &magic, sizeof magic) == static_cast<ssize_t>(sizeof magic) &&
         magic == 0xeb9f;
}

// PAGEMAP_SCAN over nothing, on ourselves: 0 where the kernel has it (6.7), ENOTTY where not.
bool has_pagemap_scan() {
  struct Argument {  // struct pm_scan_arg of linux/fs.h, which older headers lack
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
  } argument{};
  argument.size = sizeof argument;
  const Fd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  return pagemap && ::ioctl(pagemap.get(), _IOWR('f', 16, Argument), &argument) == 0;
}

bool opens_perf_events() {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.size = sizeof attr;
  attr.config = PERF_COUNT_SW_DUMMY;
  attr.exclude_kernel = 1;
  const Fd event(static_cast<int>(::syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC)));
  return static_cast<bool>(event);
}

// Debian's kernels refuse all perf events, by which system calls are hooked, to who is not CAP_SYS_ADMIN
// (kernel.perf_event_paranoid, 3 there). Where they are refused anyway, it helps nobody.
bool perf_events_need_admin(uint64_t effective) {
  bool without = false;
  std::thread([&] {
    without = keep_capabilities(effective & ~(uint64_t{1} << CAP_SYS_ADMIN)).ok() && opens_perf_events();
  }).join();
  return !without && opens_perf_events();
}

// Are the frames of our own pages shown to us in pagemap (CAP_SYS_ADMIN on the host)?
bool shows_frames() {
  const volatile char page = 0;  // on the stack: resident
  uint64_t entry = 0;
  const Fd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  const auto offset = static_cast<off_t>(reinterpret_cast<uint64_t>(&page) / kPageBytes * sizeof entry);
  return pagemap && ::pread(pagemap.get(), &entry, sizeof entry, offset) == sizeof entry &&
         (entry & ((uint64_t{1} << 55) - 1)) != 0;
}

Feature feature(std::string name, bool there, std::string degraded) {
  return {std::move(name), there ? "yes" : "no", there ? "" : std::move(degraded), false};
}

Feature btf_feature() {
  Feature btf = feature("kernel BTF", has_btf(),
                        "the BPF programs cannot be fitted to this kernel: nothing can be recorded");
  btf.fatal = btf.state == "no";
  return btf;
}

}  // namespace

std::vector<Capability> capabilities(uint64_t effective) {
  const auto has = [effective](int number) { return (effective >> number & 1) != 0; };
  const bool admin = has(21);
  return {
      {"CAP_BPF", "load the BPF programs", "", admin || has(39)},
      {"CAP_PERFMON", "attach them to page faults and system calls", "", admin || has(38)},
      {"CAP_SYS_PTRACE", "read the page map of another process", "", has(19)},
      {"CAP_DAC_READ_SEARCH", "open the files of another user's process", "", has(1) || has(2)},
      {"CAP_CHECKPOINT_RESTORE", "open programs that were deleted or replaced on disk",
       "such programs have no names in stacks", admin || has(40)},
      {"CAP_SYS_ADMIN",
       "measure memwhy's own cost, and before Linux 6.7 to tell zero pages and huge pages from others",
       "the cost is not measured, and kernels before 6.7 cannot be recorded on", admin},
  };
}

Feature page_scan_feature(bool scan, bool frames) {
  Feature how = feature("PAGEMAP_SCAN", scan,
                        frames ? "pages are scanned by the slower /proc/PID/pagemap (kernels before 6.7)"
                               : "without it (kernels before 6.7) and without CAP_SYS_ADMIN zero pages and "
                                 "huge pages cannot be told from others: nothing can be recorded");
  how.fatal = !scan && !frames;
  return how;
}

namespace {

uint64_t effective_capabilities() {
  const std::string status = read_text("/proc/self/status");
  const size_t at = status.find("CapEff:");
  uint64_t effective = 0;
  if (at != std::string::npos) {
    const size_t digits = status.find_first_not_of(" \t", at + 7);
    std::from_chars(status.data() + digits, status.data() + status.size(), effective, 16);
  }
  return effective;
}

}  // namespace

std::vector<Capability> own_capabilities() { return capabilities(effective_capabilities()); }

PrivilegePlan own_privileges(bool rotates) {
  const uint64_t held = effective_capabilities();
  return plan_privileges(held, has_pagemap_scan() && !perf_events_need_admin(held), rotates);
}

namespace {

// Those without which nothing can be recorded: checked before each recording.
std::vector<Feature> required_features() {
  utsname name{};
  ::uname(&name);
  std::vector<Feature> features;
  features.push_back({"machine", name.machine, "", false});
  if (std::strcmp(name.machine, machine::kKernelName) != 0) {
    features.back().degraded =
        fmt::format("this memwhy is for {} only: nothing can be recorded", machine::kKernelName);
    features.back().fatal = true;
  }
  features.push_back({"page size", fmt::format("{}", ::sysconf(_SC_PAGESIZE)), "", false});
  if (::sysconf(_SC_PAGESIZE) != static_cast<long>(kPageBytes)) {
    features.back().degraded = "memwhy knows 4096-byte pages only: nothing can be recorded";
    features.back().fatal = true;
  }
  features.push_back(btf_feature());
  features.push_back(page_scan_feature(has_pagemap_scan(), shows_frames()));
  const std::string lockdown = first_line("/sys/kernel/security/lockdown");
  const bool confidential = lockdown.find("[confidentiality]") != std::string::npos;
  features.push_back({"kernel lockdown", lockdown.empty() ? "no" : lockdown,
                      confidential ? "BPF may not read memory: nothing can be recorded" : "", confidential});
  return features;
}

// Asking for the last switches the statistics on for a moment, for every BPF program of the machine.
std::vector<Feature> optional_features() {
  const std::string huge = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  return {
      feature("tracefs",
              ::access("/sys/kernel/tracing/events", F_OK) == 0 ||
                  ::access("/sys/kernel/debug/tracing/events", F_OK) == 0,
              "not mounted; hooks that need it are attached in another way"),
      feature("cgroup memory",
              ::access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ||
                  ::access("/sys/fs/cgroup/memory", F_OK) == 0,
              "usage and limit of the cgroup are not shown"),
      {"transparent huge pages", huge.empty() ? "no" : huge, "", false},
      feature("BPF run-time statistics", probe::can_measure_run_time(), "memwhy's own cost is not measured")};
}

}  // namespace

std::vector<Feature> kernel_features() {
  utsname name{};
  ::uname(&name);
  std::vector<Feature> features = required_features(), optional = optional_features();
  features.insert(features.begin(), {"kernel", name.release, "", false});
  features.insert(features.end() - 1, optional.begin(), optional.end());  // lockdown is last
  return features;
}

Status check_recording_possible() {
  std::vector<std::string> missing;
  for (const Capability& capability : own_capabilities()) {
    if (!capability.held && capability.without.empty()) {
      missing.push_back(fmt::format("{} (to {})", capability.name, capability.purpose));
    }
  }
  if (!missing.empty()) {
    return Error(ErrorCode::kEnvironment,
                 fmt::format("cannot record without {}; run it as root, or give it these capabilities",
                             fmt::join(missing, ", ")));
  }
  for (const Feature& feature : required_features()) {
    if (!feature.fatal) continue;
    std::string next = "; `memwhy doctor` shows what else this machine offers";
    if (feature.name == "kernel BTF") {
      next = fmt::format("; it must be built with CONFIG_DEBUG_INFO_BTF, and {} must be readable here",
                         kBtfPath);
    }
    return Error(ErrorCode::kEnvironment, fmt::format("cannot record on this machine: {} is {}: {}{}",
                                                      feature.name, feature.state, feature.degraded, next));
  }
  return {};
}

// With other numbers, the pages of one process would be joined with the faults of another.
Status check_namespace(const procfs::Root& proc) {
  if (proc.host_namespace()) return {};
  return Error(ErrorCode::kEnvironment,
               "cannot record from inside a pid namespace (a container): processes have other numbers here "
               "than in the "
               "kernel; run memwhy on the host, or in a container with the host's pids (docker run "
               "--pid=host, hostPID: true)");
}

}  // namespace memwhy::app
