// SPDX-License-Identifier: Apache-2.0
#include "app/block_reader.h"

#include <algorithm>

#include "allocators/pymalloc.h"
#include "app/heap_target.h"

namespace memwhy::app {
namespace {

template <typename Reader>
std::unique_ptr<record::RuntimeSource> open_blocks(const TargetProcess& target) {
  std::unique_ptr<remote::RemoteMemory> memory = heap_memory_of(target);
  if (memory == nullptr) return nullptr;
  return std::make_unique<BlockHeapReader>(allocators::BlockHeap(
      std::make_unique<Reader>(), std::move(memory), [&process = target.process] { return process.vmas(); },
      allocators::ReadPace{.pause = pause_reading}));
}

}  // namespace

std::unique_ptr<record::RuntimeSource> open_pymalloc(const TargetProcess& target) {
  if (!is_64_bit(target) || std::none_of(target.vmas.begin(), target.vmas.end(), [](const events::Vma& vma) {
        return vma.inode != 0 && allocators::is_python(vma.name);
      }))
    return nullptr;
  return open_blocks<allocators::Pymalloc>(target);
}

}  // namespace memwhy::app
