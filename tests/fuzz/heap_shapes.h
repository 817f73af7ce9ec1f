// SPDX-License-Identifier: Apache-2.0
// Processes with a heap that is made up, one for each reader of userspace/allocators and each layout that it knows. The shapes are
// those of the unit tests (tests/unit/allocators/made_*.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "allocators/block_heap.h"
#include "allocators/hotspot_tables.h"
#include "events/event.h"
#include "fuzz/support/patched.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::fuzz {

enum class HeapKind : uint8_t { kGlibc, kBlocks, kJvmFrames, kThreadStacks };

struct HeapShape {
  std::string name;
  HeapKind kind = HeapKind::kGlibc;
  Pages memory, file;  // file: what the text of its library is, for a JVM
  std::vector<events::Vma> vmas;
  std::function<std::unique_ptr<allocators::BlockReader>(const allocators::FileBytes&)> reader;  // of kBlocks
  std::vector<uint64_t> code;  // addresses that are asked for, of kJvmFrames
};

// In an order that never changes: inputs that are kept name a shape by its place. A new one comes at the end.
std::vector<HeapShape> heap_shapes();

// The parts that heap_shapes() is made of.
Pages pages_of(const remote::test::FakeMemory& memory);
HeapShape block_shape(const char* name, const allocators::test::MadeProcess& made);
template <typename Reader>
HeapShape block_shape(const char* name, const allocators::test::MadeProcess& made) {
  HeapShape out = block_shape(name, made);
  out.reader = [](const allocators::FileBytes&) { return std::make_unique<Reader>(); };
  return out;
}
void add_jvm_shapes(std::vector<HeapShape>& out);

}  // namespace memwhy::fuzz
