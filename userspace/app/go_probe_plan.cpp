// SPDX-License-Identifier: Apache-2.0
#include "app/go_probe_plan.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <utility>

#include "goruntime/probe_sites.h"

namespace memwhy::app {

events::GoProbePlan plan_go_probes(ProgramToProbe program, const Fd& process, Pid tgid) {
  events::GoProbePlan plan;
  plan.tgid = tgid;
  plan.file = std::move(program.file.fd);
  const auto refused = [&](const char* why) {
    plan.not_probed.push_back(fmt::format("The Go runtime of pid {} is not probed: {}.", tgid, why));
    return std::move(plan);
  };
  if ((program.file.mode & (S_ISUID | S_ISGID)) != 0) return refused("it is a setuid or setgid program");
  // Looking at its code and attaching may need pages of the file, and wait for them for ever.
  if (program.file.remote) return refused("its file is on a FUSE or network file system");
  if (tgid == 1) return refused("nothing is attached to pid 1");
  plan.memory = Fd(::openat(process.get(), "mem", O_RDONLY | O_CLOEXEC));
  if (!plan.memory) return refused("its memory can't be opened");
  goruntime::ProbeSites found =
      goruntime::find_probe_sites(program.facts, plan.memory, program.bias, program.sampling_linked);
  plan.sites = std::move(found.sites);
  plan.not_probed = std::move(found.not_probed);
  return plan;
}

}  // namespace memwhy::app
