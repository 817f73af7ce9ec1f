// SPDX-License-Identifier: Apache-2.0
#include "app/go_reader.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "app/go_probe_plan.h"

namespace memwhy::app {
namespace {

// A Go program whose tables cannot be reached: its pages are judged by their mappings, and the recording has the reason.
class UnreadableGo final : public record::RuntimeSource {
 public:
  explicit UnreadableGo(std::string problem) : problem_(std::move(problem)) {}
  std::string_view name() const override { return events::kGoRuntime; }
  std::string_view title() const override { return "Go"; }
  events::RuntimePages pages(const events::PageScan& scan, const Tell& /*tell*/) override {
    events::RuntimePages out;
    out.scan = scan.scan;
    out.runtime = events::kGoRuntime;
    out.problem = problem_;
    return out;
  }
  void counters(const Tell& /*tell*/) override {}
  void details(Details /*which*/, const Tell& /*tell*/) override {}
  std::optional<events::RuntimeProbes> probe_plan(record::ProbeWishes /*wishes*/) override {
    return std::nullopt;
  }
  std::vector<std::string> take_notices() override { return {}; }
  void stop_when(const std::function<bool()>& /*stop*/) override {}

 private:
  std::string problem_;
};

}  // namespace

events::RuntimePages GoReader::pages(const events::PageScan& scan, const Tell& tell) {
  goruntime::HeapReading heap = process_.heap(scan);
  tell(std::move(heap.how));
  return std::move(heap.pages);
}

void GoReader::counters(const Tell& tell) {
  if (std::optional<events::GoStatistics> sample = process_.statistics()) tell(*std::move(sample));
}

// The profile before the heap: its buckets' pages are met while it is read.
void GoReader::details(Details which, const Tell& tell) {
  if (which == Details::kLearned) {
    if (std::optional<events::GoProfile> profile = process_.profile()) tell(*std::move(profile));
    return;
  }
  if (std::optional<events::GoGoroutines> all = process_.goroutines(which == Details::kLast))
    tell(*std::move(all));
}

std::optional<events::RuntimeProbes> GoReader::probe_plan(record::ProbeWishes wishes) {
  std::optional<events::GoProbePlan> plan = std::exchange(plan_, std::nullopt);
  if (!plan) return std::nullopt;
  if (!wishes.allowed) {
    plan->sites.clear();
    plan->not_probed = {
        "The Go runtime is not probed (--no-uprobes): who allocates large objects and who makes the heap "
        "grow is "
        "not seen."};
  }
  return *std::move(plan);
}

std::vector<std::string> GoReader::take_notices() {
  std::vector<std::string> out = std::exchange(notices_, {});
  for (std::string& sentence : process_.take_notices()) out.push_back(std::move(sentence));
  return out;
}

std::unique_ptr<record::RuntimeSource> open_go(const goruntime::ProgramFiles& files,
                                               const MemoryOpener& open_memory, const Fd& process, Pid tgid,
                                               const std::vector<events::Vma>& vmas,
                                               goruntime::FilesWithoutGo& without) {
  Result<std::optional<goruntime::OpenedProgram>> found = goruntime::open_program(files, tgid, vmas, without);
  if (!found) return std::make_unique<UnreadableGo>(found.error().message());
  if (!*found) return nullptr;
  goruntime::OpenedProgram& opened = **found;
  Result<std::unique_ptr<remote::RemoteMemory>> opened_memory = open_memory(process, tgid);
  if (!opened_memory)
    return std::make_unique<UnreadableGo>("its memory could not be opened: " +
                                          opened_memory.error().message());
  const std::shared_ptr<remote::RemoteMemory> memory = *std::move(opened_memory);
  Result<symbols::ProbedFile> file = files.binaries.file_to_probe(opened.file);
  if (!file) return std::make_unique<UnreadableGo>("its file could not be opened: " + file.error().message());
  mode_t mode = file->mode;  // of the executable, whatever file the runtime is in
  if (opened.file.mapping) {
    const Result<symbols::ProbedFile> executable = files.binaries.file_to_probe({tgid});
    if (!executable)
      return std::make_unique<UnreadableGo>("its file could not be opened: " + executable.error().message());
    mode = executable->mode;
  }
  constexpr mode_t kOtherUser = S_ISUID | S_ISGID;
  ProgramToProbe to_probe{std::move(opened.facts),
                          *std::move(file),
                          opened.bias,
                          opened.program.profiling_linked,
                          (mode & kOtherUser) != 0,
                          maps_remote_files(files.binaries, tgid, vmas)};
  std::vector<std::string> notices;
  for (const std::string& other : opened.others)
    notices.push_back(fmt::format("Its Go runtime in {} is not read: that in {} is.", other, opened.path));
  return std::make_unique<GoReader>(goruntime::GoProcess(memory, std::move(opened.program)),
                                    plan_go_probes(std::move(to_probe), memory, tgid), std::move(notices));
}

}  // namespace memwhy::app
