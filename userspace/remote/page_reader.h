// SPDX-License-Identifier: Apache-2.0
// PageReader: pages of remote memory that are needed together, each read once, neighbours in one call: a system call for every
// structure would cost more than all of their bytes. There is no second look at a page.
//
//   wanted {0x7f10, 0x7f11, 0x7f12, 0x8a00}   ─► 2 reads: 12 KiB at 0x7f10'000, 4 KiB at 0x8a00'000
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "remote/memory.h"

namespace memwhy::remote {

class PageReader {
 public:
  explicit PageReader(RemoteMemory& memory) : memory_(memory) {}
  ~PageReader() { clear(); }
  PageReader(const PageReader&) = delete;
  PageReader& operator=(const PageReader&) = delete;

  // The pages of a range, as prefetch() takes them.
  static void add(std::vector<uint64_t>& pages, uint64_t address, uint64_t bytes);

  // Once, or after clear(). Pages that are absent stay absent, as do those that the reading may not keep.
  void prefetch(std::vector<uint64_t> pages);
  void clear();

  // false: a page of the range was not there; its bytes are zero.
  bool copy(uint64_t address, std::span<std::byte> into);

  bool gone() const { return gone_; }  // the address space went away

 private:
  struct Run {  // of pages
    uint64_t page = 0, count = 0;
  };
  // What was read together; not zeroed before. One is used again after clear(): fresh memory costs as much as a read.
  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    uint64_t size = 0;
  };
  struct Block {  // in order of address
    uint64_t start = 0, size = 0;
    const std::byte* bytes = nullptr;  // in a chunk
    bool holds(uint64_t address) const { return address >= start && address - start < size; }
  };

  // Reads them together; returns those of more than one page of which one is absent.
  std::vector<Run> take(std::span<const Run> runs);
  std::byte* room(uint64_t bytes);
  void take_all(std::span<const Run> runs, std::vector<Run>& torn);
  const Block* find(uint64_t address);

  RemoteMemory& memory_;
  std::vector<Chunk> chunks_;  // of the blocks
  Chunk spare_;
  std::vector<Block> blocks_;
  uint64_t kept_ = 0;  // bytes of them
  size_t last_ = 0;    // the next address is most often in the same block
  bool gone_ = false;
};

}  // namespace memwhy::remote
