// SPDX-License-Identifier: Apache-2.0
#include "probe/uprobes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace memwhy::probe {
namespace {

// The head of union bpf_attr for BPF_LINK_CREATE of that kind.
struct MultiLink {
  uint32_t program, target, attach_type, flags;
  uint64_t path, offsets, ref_counters, cookies;
  uint32_t count, multi_flags, pid, pad;
};

Result<Fd> multi_link(bpf_program* program, Pid tgid, const std::string& path,
                      const std::vector<UprobeSite>& sites) {
  std::vector<uint64_t> offsets, cookies;
  for (const UprobeSite& site : sites) {
    offsets.push_back(site.offset);
    cookies.push_back(site.cookie);
  }
  MultiLink ask{};
  ask.program = static_cast<uint32_t>(bpf_program__fd(program));
  ask.attach_type = kUprobeMulti;
  ask.path = reinterpret_cast<uint64_t>(path.c_str());
  ask.offsets = reinterpret_cast<uint64_t>(offsets.data());
  ask.cookies = reinterpret_cast<uint64_t>(cookies.data());
  ask.count = static_cast<uint32_t>(sites.size());
  ask.pid = multi_filters_by_process() ? static_cast<uint32_t>(tgid) : 0;
  Fd link(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &ask, sizeof ask)));
  if (!link) return errno_error(ErrorCode::kEnvironment, "attaching probes (uprobe_multi)", errno);
  return link;
}

}  // namespace

const char* name_of(UprobeWay way) {
  return way == UprobeWay::kMulti ? "uprobe_multi" : way == UprobeWay::kPerf ? "uprobe" : "none";
}

bool multi_filters_by_process() {
  utsname name{};
  unsigned major = 0, minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 10);
}

std::string leave_attached(UprobeLinks& links, const std::string& name) {
  const std::string path = "/sys/fs/bpf/" + name;
  bool kept = true;
  if (links.multi) kept = bpf_obj_pin(links.multi.get(), path.c_str()) == 0;
  for (size_t i = 0; i < links.each.size(); ++i)
    kept = bpf_link__pin(links.each[i].get(), fmt::format("{}-{}", path, i).c_str()) == 0 && kept;
  if (!kept) static_cast<void>(links.multi.release());  // closed with memwhy
  links.abandon();
  return kept ? fmt::format("they go with `rm {}*`", path)
              : "they go when memwhy has ended, which waits for it";
}

Result<UprobeLinks> attach_uprobes(bpf_program* program, UprobeWay way, Pid tgid, const Fd& file,
                                   const std::vector<UprobeSite>& sites) {
  const std::string path = fmt::format("/proc/self/fd/{}", file.get());
  UprobeLinks made;
  if (way == UprobeWay::kMulti) {
    Result<Fd> link = multi_link(program, tgid, path, sites);
    if (!link) return std::move(link).error();
    made.multi = *std::move(link);
    return made;
  }
  for (const UprobeSite& site : sites) {
    LIBBPF_OPTS(bpf_uprobe_opts, options, .bpf_cookie = site.cookie);
    Link one(bpf_program__attach_uprobe_opts(program, tgid, path.c_str(), site.offset, &options));
    if (!one) return errno_error(ErrorCode::kEnvironment, "attaching a probe (uprobe)", errno);
    made.each.push_back(std::move(one));
  }
  return made;
}

}  // namespace memwhy::probe
