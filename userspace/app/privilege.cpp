// SPDX-License-Identifier: Apache-2.0
#include "app/privilege.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include <array>
#include <cerrno>

#include "base/capabilities.h"

namespace memwhy::app {
namespace {

constexpr uint64_t bit(unsigned capability) { return uint64_t{1} << capability; }

struct Reason {
  unsigned capability;
  const char* name;
  const char* why;
};

constexpr std::array<Reason, 8> kReasons{{
    {CAP_BPF, "CAP_BPF", "attach to processes that join, and read what the hooks have counted"},
    {CAP_PERFMON, "CAP_PERFMON", "attach to processes that join"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "read the page map of the processes"},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "open the files of other users' processes"},
    {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE",
     "open files of other users, or make the further files of --max-size"},
    {CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE", "open programs that were deleted or replaced on disk"},
    {CAP_KILL, "CAP_KILL", "end the processes that read files for memwhy, when one hangs"},
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN",
     "measure memwhy's own cost; without the capabilities, the kernel (6.7) or the setting "
     "(kernel.perf_event_paranoid below 3) that replace it, all of this"},
}};

}  // namespace

uint64_t PrivilegePlan::of(Worker worker) const {
  switch (worker) {
    case Worker::kSampler:
      return sampler;
    case Worker::kIntake:
      return intake;
    case Worker::kSink:
      return sink;
    case Worker::kTeaching:
      return teaching;
    case Worker::kMain:
      return main;
    case Worker::kSignals:
      break;
  }
  return 0;
}

std::vector<events::Privilege> PrivilegePlan::told() const {
  std::vector<events::Privilege> kept;
  for (const Reason& reason : kReasons) {
    std::vector<const char*> who;
    if ((sampler & bit(reason.capability)) != 0) who.push_back("sampler");
    if ((intake & bit(reason.capability)) != 0) who.push_back("intake");
    if ((sink & bit(reason.capability)) != 0) who.push_back("sink");
    if ((teaching & bit(reason.capability)) != 0) who.push_back("teaching");
    if ((main & bit(reason.capability)) != 0) who.push_back("main");
    if (!who.empty())
      kept.push_back({reason.name, fmt::format("kept by {}: to {}", fmt::join(who, ", "), reason.why)});
  }
  return kept;
}

PrivilegePlan plan_privileges(uint64_t held, bool spares_admin, bool rotates) {
  PrivilegePlan plan;
  constexpr uint64_t kHooks = bit(CAP_BPF) | bit(CAP_PERFMON);
  const uint64_t search =
      (held & bit(CAP_DAC_READ_SEARCH)) != 0 ? bit(CAP_DAC_READ_SEARCH) : bit(CAP_DAC_OVERRIDE);
  const uint64_t processes = bit(CAP_SYS_PTRACE) | search | bit(CAP_CHECKPOINT_RESTORE);
  plan.sampler = kHooks | processes | bit(CAP_KILL);
  // CAP_SYS_ADMIN replaces each of these if it is all that is held, and covers what older kernels require it for.
  if (!spares_admin || (held & kHooks) != kHooks || (held & bit(CAP_CHECKPOINT_RESTORE)) == 0)
    plan.sampler |= bit(CAP_SYS_ADMIN);
  plan.intake = bit(CAP_BPF) | bit(CAP_SYS_ADMIN);
  plan.sink = rotates ? bit(CAP_DAC_OVERRIDE) : 0;
  plan.teaching = bit(CAP_SYS_PTRACE) | search | bit(CAP_KILL);
  plan.main = bit(CAP_SYS_PTRACE) | search | bit(CAP_KILL);
  for (uint64_t* each : {&plan.sampler, &plan.intake, &plan.sink, &plan.teaching, &plan.main}) *each &= held;
  return plan;
}

Status keep_only(uint64_t capabilities) {
  // While we may. Without it nothing is lost: no_new_privs and the sets below hold for whatever is started.
  cut_bounding_set(capabilities);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return errno_error(ErrorCode::kEnvironment, "giving up new privileges", errno);
  return keep_capabilities(capabilities);
}

}  // namespace memwhy::app
