// SPDX-License-Identifier: Apache-2.0
#include "app/adapters.h"

#include "app/go_reader.h"

namespace memwhy::app {
namespace {

class ProcfsSource : public record::ProcessSource {
 public:
  ProcfsSource(files::Children& files, procfs::Process process)
      : files_(files), process_(std::move(process)) {}
  bool alive() const override { return process_.alive(); }
  Result<events::SpaceStart> identity() override { return process_.identity(); }
  Result<events::Counters> counters() override { return process_.counters(); }
  Result<std::vector<events::Vma>> vmas() override { return process_.vmas(); }
  Result<events::PageScan> scan(const std::vector<events::Vma>& vmas) override { return process_.scan(vmas); }

  record::GoSource* go(const std::vector<events::Vma>& vmas) override {
    if (!asked_go_) {
      const ProgramFiles files{files_, [&children = files_](symbols::BinaryHandle program, int minor) {
                                 return children.go_layout(program, minor);
                               }};
      go_ = GoReader::open(files, process_.directory(), process_.pid(), vmas);
    }
    asked_go_ = true;
    return process_.alive() ? go_.get() : nullptr;
  }

 private:
  files::Children& files_;
  procfs::Process process_;
  bool asked_go_ = false;
  std::unique_ptr<GoReader> go_;
};

}  // namespace

Result<std::unique_ptr<record::ProcessSource>> ProcfsOpener::open(Pid tgid) {
  Result<procfs::Process> process = procfs::Process::open(root_, tgid);
  if (!process) return std::move(process).error();
  return std::unique_ptr<record::ProcessSource>(std::make_unique<ProcfsSource>(files_, std::move(*process)));
}

}  // namespace memwhy::app
