// SPDX-License-Identifier: Apache-2.0
// A process that a test makes up for a BlockReader: mappings, memory, and the scan in which all that was put is resident.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "allocators/block_heap.h"
#include "events/event.h"
#include "unit/remote/fake_memory.h"

namespace memwhy::allocators::test {

// BlockHeap owns what it reads: it gets one that passes reads on.
class Borrowed final : public remote::RemoteMemory {
 public:
  explicit Borrowed(remote::RemoteMemory& memory) : memory_(memory) {}
  Status read(uint64_t address, std::span<std::byte> into) override { return memory_.read(address, into); }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    return memory_.read_present(address, into);
  }

 private:
  remote::RemoteMemory& memory_;
};

struct MadeProcess {
  void map(AddressRange range, const char* name, uint64_t inode = 0) {
    events::Vma vma;
    vma.range = range;
    vma.read = vma.write = true;
    vma.inode = inode;
    vma.name = name;
    vmas.push_back(vma);
    std::sort(vmas.begin(), vmas.end(), [](const auto& a, const auto& b) { return a.range < b.range; });
  }
  BlockHeap open(std::unique_ptr<BlockReader> reader) {
    return BlockHeap(std::move(reader), std::make_unique<Borrowed>(memory), [this] { return vmas; }, {});
  }
  events::PageScan scan() const {
    events::PageScan scan;
    scan.scan = 1;
    for (const PageNumber page : memory.pages()) {
      if (!scan.runs.empty() && scan.runs.back().page + scan.runs.back().count == page)
        ++scan.runs.back().count;
      else
        scan.runs.push_back({page, 1, 0});
    }
    return scan;
  }
  uint64_t resident_bytes() const { return memory.pages().size() * kPageBytes; }

  template <typename Reader>
  events::AllocatorHeap read_with(Reader reader) {
    BlockReading reading = open(std::make_unique<Reader>(std::move(reader))).read(scan());
    return reading.heap ? *reading.heap : events::AllocatorHeap{};
  }
  template <typename Reader>
  bool finds(Reader reader) {
    return open(std::make_unique<Reader>(std::move(reader))).read(scan()).heap.has_value();
  }

  remote::test::FakeMemory memory;
  std::vector<events::Vma> vmas;
};

}  // namespace memwhy::allocators::test
