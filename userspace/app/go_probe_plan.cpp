// SPDX-License-Identifier: Apache-2.0
#include "app/go_probe_plan.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <utility>

#include "goruntime/probe_sites.h"
#include "symbols/target_files.h"

namespace memwhy::app {

bool maps_remote_files(symbols::Binaries& binaries, Pid tgid, const std::vector<events::Vma>& vmas) {
  std::unordered_set<uint64_t> seen;
  return std::any_of(vmas.begin(), vmas.end(), [&](const events::Vma& vma) {
    if (vma.inode == 0 || major(vma.device) != 0 || vma.name.starts_with("/dev/")) return false;
    if (!seen.insert(vma.device).second) return false;
    const Result<uint64_t> magic = binaries.file_system(tgid, vma);
    return magic ? symbols::is_remote(*magic) : magic.error().code() == ErrorCode::kBadInput;
  });
}

void ask_through(events::ProbedProcess& process, std::shared_ptr<remote::RemoteMemory> memory) {
  process.byte_at = [memory](uint64_t address) -> std::optional<uint8_t> {
    const Result<uint8_t> byte = remote::read_value<uint8_t>(*memory, address);
    return byte ? std::optional(*byte) : std::nullopt;
  };
  process.waits = [memory] { return memory->waits(); };
  process.keep_open = [memory](int link) { memory->keep_open(link); };
}

events::GoProbePlan plan_go_probes(ProgramToProbe program, std::shared_ptr<remote::RemoteMemory> memory,
                                   Pid tgid) {
  events::GoProbePlan plan;
  plan.tgid = tgid;
  plan.file = std::move(program.file.fd);
  const auto refused = [&](const char* why) {
    plan.not_probed.push_back(fmt::format("The Go runtime of pid {} is not probed: {}.", tgid, why));
    return std::move(plan);
  };
  if (program.setuid) return refused("it is a setuid or setgid program");
  // Looking at its code and attaching may need pages of the file, and wait for them for ever.
  if (program.file.remote) return refused("its file is on a FUSE or network file system");
  // Whatever of the machine forks waits too, as long as attaching waits for a thread that waits for such a file.
  if (program.maps_remote) return refused("it has mapped a file of a FUSE or network file system");
  if (tgid == 1) return refused("nothing is attached to pid 1");
  goruntime::ProbeSites found =
      goruntime::find_probe_sites(program.facts, *memory, program.bias, program.sampling_linked);
  plan.sites = std::move(found.sites);
  plan.not_probed = std::move(found.not_probed);
  ask_through(plan, std::move(memory));
  return plan;
}

}  // namespace memwhy::app
