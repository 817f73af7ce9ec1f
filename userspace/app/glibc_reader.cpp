// SPDX-License-Identifier: Apache-2.0
#include "app/glibc_reader.h"

#include "app/allocation_plan.h"
#include "app/heap_target.h"

namespace memwhy::app {
std::unique_ptr<record::RuntimeSource> open_glibc(const TargetProcess& target) {
  if (!has_c_heap(target)) return nullptr;
  std::unique_ptr<remote::RemoteMemory> memory = heap_memory_of(target);
  if (memory == nullptr) return nullptr;
  GlibcReader::Plan plan = [&files = target.files, &process = target.process]() {
    std::optional<events::AllocationProbePlan> out;
    const Result<std::vector<events::Vma>> vmas = process.vmas();
    Result<std::unique_ptr<remote::RemoteMemory>> of_code =
        files.open_memory(process.directory(), process.pid());
    if (vmas && of_code) out = plan_allocation_probes(files, *std::move(of_code), process.pid(), *vmas);
    return out;
  };
  return std::make_unique<GlibcReader>(
      allocators::GlibcProcess(
          std::move(memory), [&process = target.process] { return process.vmas(); }, !has_libc(target),
          allocators::ReadPace{.pause = pause_reading}),
      std::move(plan));
}

events::RuntimePages GlibcReader::pages(const events::PageScan& scan, const Tell& tell) {
  allocators::GlibcReading reading = process_.read(scan);
  if (reading.heap) tell(*std::move(reading.heap));
  return std::move(reading.pages);
}

std::optional<events::RuntimeProbes> GlibcReader::probe_plan(record::ProbeWishes wishes) {
  const Plan plan = std::exchange(plan_, nullptr);
  if (!plan || !wishes.allowed || !wishes.who_allocates) return std::nullopt;
  std::optional<events::AllocationProbePlan> made = plan();
  if (!made) return std::nullopt;
  return *std::move(made);
}

void GlibcReader::details(Details which, const Tell& tell) {
  if (which == Details::kLearned) return;
  if (std::optional<events::AllocatorHeap> sizes = process_.sizes()) tell(*std::move(sizes));
}

}  // namespace memwhy::app
