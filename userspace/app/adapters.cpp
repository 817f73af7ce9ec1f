// SPDX-License-Identifier: Apache-2.0
#include "app/adapters.h"

#include <utility>

#include "app/runtimes.h"

namespace memwhy::app {
namespace {

class ProcfsSource : public record::ProcessSource {
 public:
  ProcfsSource(files::Children& files, procfs::Process process)
      : files_(files), process_(std::move(process)) {
    process_.ask_file_systems(
        [&files, pid = process_.pid()](const events::Vma& vma) -> std::optional<uint64_t> {
          const Result<uint64_t> magic = files.file_system(pid, vma);
          return magic ? std::optional(*magic) : std::nullopt;
        });
  }
  bool alive() const override { return process_.alive(); }
  Result<events::SpaceStart> identity() override { return process_.identity(); }
  Result<events::Counters> counters() override { return process_.counters(); }
  Result<std::vector<events::Vma>> vmas() override { return process_.vmas(); }
  Result<events::PageScan> scan(const std::vector<events::Vma>& vmas) override { return process_.scan(vmas); }

  std::vector<record::RuntimeSource*> runtimes(const std::vector<events::Vma>& vmas) override {
    if (!std::exchange(asked_, true)) {
      for (const Runtime& runtime : app::runtimes())
        if (auto opened = runtime.open({files_, process_, vmas})) runtimes_.push_back(std::move(opened));
    }
    std::vector<record::RuntimeSource*> out;
    if (!process_.alive()) return out;
    for (const auto& runtime : runtimes_) out.push_back(runtime.get());
    return out;
  }

 private:
  files::Children& files_;
  procfs::Process process_;
  bool asked_ = false;
  std::vector<std::unique_ptr<record::RuntimeSource>> runtimes_;
};

}  // namespace

Result<std::unique_ptr<record::ProcessSource>> ProcfsOpener::open(Pid tgid) {
  Result<procfs::Process> process = procfs::Process::open(root_, tgid);
  if (!process) return std::move(process).error();
  return std::unique_ptr<record::ProcessSource>(std::make_unique<ProcfsSource>(files_, std::move(*process)));
}

}  // namespace memwhy::app
