// SPDX-License-Identifier: Apache-2.0
#include "app/adapters.h"

#include <utility>

#include "app/runtimes.h"

namespace memwhy::app {
namespace {

class ProcfsSource : public record::ProcessSource {
 public:
  ProcfsSource(files::Children& files, FileTexts& texts, procfs::Process process)
      : files_(files), texts_(texts), process_(std::move(process)) {
    process_.ask_file_systems(
        [&files, pid = process_.pid()](const events::Vma& vma) -> std::optional<uint64_t> {
          const Result<uint64_t> magic = files.file_system(pid, vma);
          return magic ? std::optional(*magic) : std::nullopt;
        });
  }
  bool alive() const override { return process_.alive(); }
  Result<events::SpaceStart> identity() override { return process_.identity(); }
  Result<events::Counters> counters() override { return process_.counters(); }
  std::optional<uint64_t> resident_pages() override { return process_.resident_pages(); }
  std::string cgroup_path() override { return process_.cgroup_path(); }
  Result<std::vector<events::Vma>> vmas() override { return process_.vmas(); }
  Result<events::PageScan> scan(const std::vector<events::Vma>& vmas) override { return process_.scan(vmas); }

  std::vector<record::RuntimeSource*> runtimes(const std::vector<events::Vma>& vmas) override {
    const bool first = !std::exchange(asked_, true);
    runtimes_.resize(app::runtimes().size());
    std::vector<record::RuntimeSource*> out;
    if (!first && !process_.alive()) return out;
    for (size_t i = 0; i < runtimes_.size(); ++i) {
      const Runtime& runtime = app::runtimes()[i];
      if (runtimes_[i] == nullptr && (first || runtime.later))
        runtimes_[i] = runtime.open({files_, process_, vmas, without_go_, &texts_, &memory_});
    }
    if (!process_.alive()) return out;
    for (const auto& runtime : runtimes_)
      if (runtime != nullptr) out.push_back(runtime.get());
    return out;
  }

 private:
  files::Children& files_;
  FileTexts& texts_;
  procfs::Process process_;
  files::MemoryReader::Shared memory_;
  bool asked_ = false;
  goruntime::FilesWithoutGo without_go_;
  std::vector<std::unique_ptr<record::RuntimeSource>>
      runtimes_;  // as app::runtimes(); nullptr: not in this process
};

}  // namespace

Result<std::unique_ptr<record::ProcessSource>> ProcfsOpener::open(Pid tgid) {
  Result<procfs::Process> process = procfs::Process::open(root_, tgid);
  if (!process) return std::move(process).error();
  return std::unique_ptr<record::ProcessSource>(
      std::make_unique<ProcfsSource>(files_, texts_, std::move(*process)));
}

}  // namespace memwhy::app
