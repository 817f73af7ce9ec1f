// SPDX-License-Identifier: Apache-2.0
#include "app/glibc_reader.h"

#include "app/heap_target.h"

namespace memwhy::app {
std::unique_ptr<record::RuntimeSource> open_glibc(const TargetProcess& target) {
  if (!has_c_heap(target)) return nullptr;
  std::unique_ptr<remote::RemoteMemory> memory = heap_memory_of(target);
  if (memory == nullptr) return nullptr;
  return std::make_unique<GlibcReader>(allocators::GlibcProcess(
      std::move(memory), [&process = target.process] { return process.vmas(); }, !has_libc(target),
      allocators::ReadPace{.pause = pause_reading}));
}

events::RuntimePages GlibcReader::pages(const events::PageScan& scan, const Tell& tell) {
  allocators::GlibcReading reading = process_.read(scan);
  if (reading.heap) tell(*std::move(reading.heap));
  return std::move(reading.pages);
}

void GlibcReader::details(Details which, const Tell& tell) {
  if (which == Details::kLearned) return;
  if (std::optional<events::AllocatorHeap> sizes = process_.sizes()) tell(*std::move(sizes));
}

}  // namespace memwhy::app
