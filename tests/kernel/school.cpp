// SPDX-License-Identifier: Apache-2.0
#include "school.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/time.h"
#include "procfs/process.h"

namespace memwhy::kernel_test {

std::unique_ptr<School> open_school(const probe::Options& options, std::string& why) {
  auto school = std::make_unique<School>();
  why = "BPF needs root";
  if (::geteuid() != 0) return nullptr;
  auto probe = probe::KernelProbe::open(options);
  if (!probe) {
    why = probe.error().message();
    return nullptr;
  }
  school->port = (*probe)->port();
  school->unwinding = (*probe)->unwinding();
  why = "no unwind rules on this kernel: " + school->port->hooks().stack_read;
  if (!school->unwinding) return nullptr;
  auto proc = procfs::Root::open("/proc");
  if (!proc) {
    why = proc.error().message();
    return nullptr;
  }
  auto root = std::make_shared<procfs::Root>(std::move(*proc));
  school->tables = std::make_unique<app::RuleTables>(*school->unwinding);
  school->binaries = std::make_unique<symbols::LocalBinaries>(Fd(::open("/proc", O_PATH | O_CLOEXEC)));
  school->teacher = std::make_unique<unwind::Teacher>(
      *school->tables, *school->binaries,
      [root](Pid tgid) -> Result<std::vector<events::Vma>> {
        auto process = procfs::Process::open(*root, tgid);
        if (!process) return std::move(process).error();
        return process->vmas();
      },
      [] { return clock_ns(CLOCK_MONOTONIC); });
  school->teacher->look();  // from now on snapshots may be sent
  return school;
}

}  // namespace memwhy::kernel_test
