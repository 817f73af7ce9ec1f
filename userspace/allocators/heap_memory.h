// SPDX-License-Identifier: Apache-2.0
// HeapMemory: what one reading of a C heap sees: the target's mappings at its start, and its pages, each read once and kept
// while there is room. It does not interpret the bytes. Pages that are absent or swapped out are never read.
//
//   header at 0x55d0'12c0   page 0x55d0'1 is read (4 KiB, one look at pagemap, one pread), slot 0x1 of 2,048
//   header at 0x55d0'16d0   the same page, out of its slot
//   forget()                a chunk moved while it was read: everything is read anew, mappings too
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "events/mapping_at.h"
#include "remote/memory.h"

namespace memwhy::allocators {

// Waits after so many bytes were read: the target's own mmap and brk wait for a reader that never pauses.
struct ReadPace {
  uint64_t bytes = 64 << 10;
  std::function<void()> pause = {};  // none: as fast as possible
};

class HeapMemory {
 public:
  using Vmas = std::function<Result<std::vector<events::Vma>>()>;

  // `memory` has a budget, and outlives this. `vmas` may be called again.
  HeapMemory(remote::RemoteMemory& memory, Vmas vmas, ReadPace pace);

  // false: the mappings could not be read.
  bool refresh();                               // mappings and pages anew
  void refresh(std::vector<events::Vma> vmas);  // the same, with mappings that the caller has just read
  void forget();                                // pages only
  void forget(uint64_t address);                // the page of that address

  // false: a page of it is absent, or the budget is used up.
  bool read(uint64_t address, std::span<std::byte> into);
  bool word(uint64_t address, uint64_t& value) { return get(address, value); }
  template <typename T>
  bool get(uint64_t address, T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return read(address, std::as_writable_bytes(std::span(&value, 1)));
  }
  // Many pages at once, besides the kept ones: how many bytes from the page's start are present, max into.size().
  size_t read_run(uint64_t page_address, std::span<std::byte> into);

  // All for the price of few calls; a missing piece is marked. false: the budget is used up, or the process is gone.
  bool read_each(std::span<remote::Piece> pieces);

  // Between pieces of work: false when the reading has had its share. Pauses are made here, and nowhere else: what must be of
  // one moment is read without one.
  bool step();
  bool keep(uint64_t bytes) { return memory_.keep(bytes); }
  uint64_t pages_read() const { return pages_read_; }

  const std::vector<events::Vma>& vmas() const { return vmas_; }
  const events::Vma* mapping(uint64_t address) const { return events::mapping_at(vmas_, address); }
  bool writable(uint64_t address) const;
  // Private anonymous mappings of one name that adjoin, around an address: madvise, mlock and mprotect split a heap. Empty:
  // there is none.
  AddressRange span(uint64_t address) const;

  static bool private_anonymous(const events::Vma& vma) {
    return vma.read && vma.write && !vma.shared && vma.inode == 0;
  }

 private:
  static constexpr size_t kSlots = 2048;
  struct Slot {
    uint64_t page = ~uint64_t{0};
    bool there = false;
  };

  const std::byte* page_of(uint64_t address);
  void account(uint64_t bytes) {
    pages_read_ += bytes >> kPageShift;
    since_pause_ += bytes;
  }

  remote::RemoteMemory& memory_;
  Vmas ask_vmas_;
  ReadPace pace_;
  std::vector<events::Vma> vmas_;
  std::vector<AddressRange> spans_;  // sorted; span() is called for each word and each block
  std::vector<Slot> slots_;
  std::unique_ptr<std::byte[]> pages_;
  uint64_t pages_read_ = 0, since_pause_ = 0;
};

}  // namespace memwhy::allocators
