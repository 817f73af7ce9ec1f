// SPDX-License-Identifier: Apache-2.0
#include "app/parts.h"

#include "app/terminal.h"

namespace memwhy::app {
namespace {

Result<std::unique_ptr<Teaching>> start_teaching(probe::KernelProbe& probe,
                                                 std::unique_ptr<files::Children> files,
                                                 const PrivilegePlan& privileges) {
  std::unique_ptr<probe::Unwinding> unwinding = probe.unwinding();
  if (!unwinding) return std::unique_ptr<Teaching>();
  Result<procfs::Root> proc = procfs::Root::open("/proc");
  if (!proc) return std::move(proc).error();
  return std::make_unique<Teaching>(std::move(unwinding), std::move(files), std::move(*proc),
                                    privileges.of(Worker::kTeaching));
}

}  // namespace

Result<PartsPtr> assemble(procfs::Root proc, const PrivilegePlan& privileges, std::vector<record::Sink> sinks,
                          std::shared_ptr<void> owner, record::SessionOptions options,
                          const std::vector<std::string>& debug_directories, bool to_a_budget) {
  // Before this process holds anything of the kernel's that they must not have.
  files::ChildrenOptions options_of_files;
  options_of_files.debug_directories = debug_directories;
  Result<std::unique_ptr<files::Children>> files = files::Children::start(std::move(options_of_files));
  if (!files) return std::move(files).error();
  Result<std::unique_ptr<files::Children>> more_files = files::Children::start();
  if (!more_files) return std::move(more_files).error();
  Result<std::unique_ptr<probe::KernelProbe>> probe = open_probe(to_a_budget, options.probes.who_allocates);
  if (!probe) return std::move(probe).error();
  std::unique_ptr<record::KernelSource> kernel = kernel_source(**probe, privileges.told());
  Result<std::unique_ptr<Teaching>> teaching = start_teaching(**probe, std::move(*more_files), privileges);
  if (!teaching) return std::move(teaching).error();
  options.rests = to_a_budget;
  options.on_thread = [privileges](record::Thread thread) {
    const Worker worker = thread == record::Thread::kSampler  ? Worker::kSampler
                          : thread == record::Thread::kIntake ? Worker::kIntake
                                                              : Worker::kSink;
    if (Status kept = keep_only(privileges.of(worker)); !kept) warn(kept.error().message());
  };
  return PartsPtr(new Parts(std::move(proc), std::move(*files), std::move(kernel), std::move(*teaching),
                            std::move(sinks), std::move(owner), std::move(options)));
}

}  // namespace memwhy::app
