// SPDX-License-Identifier: Apache-2.0
#include "probe/features.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

#include "probe/hooks.h"
#include "probe/object.h"
#include "probe/privilege.h"

namespace memwhy::probe {

std::vector<Feature> features() {
  std::vector<Feature> found;
  const Privilege privilege = own_privilege();
  const std::vector<std::string> missing = privilege.missing();
  found.push_back({"privilege to load BPF programs", missing.empty() && !privilege.user_namespace,
                   !missing.empty()           ? fmt::format("Missing: {}.", fmt::join(missing, ", "))
                   : privilege.user_namespace ? "Inside a user namespace: run memwhy on the host."
                                              : ""});
  const Result<KernelOffer> kernel = KernelOffer::ask();
  found.push_back({"BTF of the kernel", kernel.ok(), kernel ? "" : kernel.error().message() + "."});
  if (!kernel) return found;
  found.push_back({"classic tracepoints", kernel->tracepoint_id("syscalls/sys_enter_mmap").has_value(),
                   "Those of single system calls (tracefs and perf_event_open); without them every system "
                   "call pays a little more."});
  found.push_back(
      {"bpf_rdonly_cast", kernel->has_function("bpf_rdonly_cast"),
       "Stacks are read through the direct map; without it by a helper, at more cost for each fault."});
  Result<std::unique_ptr<Object>> object = Object::load({});
  found.push_back({"BPF programs load", object.ok(), object ? "" : object.error().message() + "."});
  if (!object) return found;
  found.push_back(
      {"direct stack read", (*object)->reads_direct(),
       (*object)->reads_direct() ? "" : "The direct map was not found; stacks are read by a helper."});
  for (const Choice& choice : (*object)->choices()) {
    const bool used = choice.way != nullptr || choice.covered;
    std::string detail = choice.covered ? "Seen by page_fault_user's hook."
                         : used         ? std::string(choice.way->attach) + "."
                                        : choice.hook->without;
    if (!choice.why_not.empty()) detail += " Refused: " + choice.why_not + ".";
    found.push_back({std::string("hook ") + choice.hook->name, used, detail});
  }
  const UprobeWay go = (*object)->go_way();
  found.push_back({"probes of the Go runtime", go != UprobeWay::kNone,
                   go == UprobeWay::kNone ? (*object)->go_why_none() : std::string(name_of(go)) + "."});
  return found;
}

}  // namespace memwhy::probe
