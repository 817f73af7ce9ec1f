// SPDX-License-Identifier: Apache-2.0
#include "app/stacks_reader.h"

#include "app/heap_target.h"

namespace memwhy::app {
namespace {

constexpr size_t kLeastStacks = 8;  // glibc keeps 5 of the usual size for new threads

}  // namespace

std::unique_ptr<record::RuntimeSource> open_ended_stacks(const TargetProcess& target) {
  size_t stacks = 0;
  for (size_t i = 0; i < target.vmas.size() && stacks < kLeastStacks; ++i)
    stacks += allocators::may_be_stack(target.vmas, i) ? 1 : 0;
  if (stacks < kLeastStacks) return nullptr;
  std::unique_ptr<remote::RemoteMemory> memory = heap_memory_of(target);
  if (memory == nullptr) return nullptr;
  return std::make_unique<StacksReader>(
      allocators::EndedStacks(std::move(memory), [&process = target.process] { return process.vmas(); }));
}

}  // namespace memwhy::app
