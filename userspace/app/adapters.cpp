// SPDX-License-Identifier: Apache-2.0
#include "app/adapters.h"

namespace memwhy::app {
namespace {

class ProcfsSource : public record::ProcessSource {
 public:
  explicit ProcfsSource(procfs::Process process) : process_(std::move(process)) {}
  bool alive() const override { return process_.alive(); }
  Result<events::SpaceStart> identity() override { return process_.identity(); }
  Result<events::Counters> counters() override { return process_.counters(); }
  Result<std::vector<events::Vma>> vmas() override { return process_.vmas(); }
  Result<events::PageScan> scan(const std::vector<events::Vma>& vmas) override { return process_.scan(vmas); }

 private:
  procfs::Process process_;
};

}  // namespace

Result<std::unique_ptr<record::ProcessSource>> ProcfsOpener::open(Pid tgid) {
  Result<procfs::Process> process = procfs::Process::open(root_, tgid);
  if (!process) return std::move(process).error();
  return std::unique_ptr<record::ProcessSource>(std::make_unique<ProcfsSource>(std::move(*process)));
}

}  // namespace memwhy::app
