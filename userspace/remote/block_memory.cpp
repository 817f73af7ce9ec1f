// SPDX-License-Identifier: Apache-2.0
#include "remote/block_memory.h"

#include <algorithm>
#include <cstring>

namespace memwhy::remote {

BlockMemory::~BlockMemory() { memory_.release(kept_); }

const BlockMemory::Slot& BlockMemory::slot_of(uint64_t address) {
  const uint64_t start = address / kBlockBytes * kBlockBytes;
  Slot& slot = slots_[start / kBlockBytes % kSlots];
  if (slot.start == start) return slot;
  slot.start = start;
  slot.whole = false;
  if (slot.bytes.empty()) {
    if (!memory_.keep(kBlockBytes)) return slot;
    kept_ += kBlockBytes;
    slot.bytes.resize(kBlockBytes);
  }
  slot.whole = memory_.read(start, slot.bytes).ok();
  return slot;
}

bool BlockMemory::copy(uint64_t address, std::span<std::byte> into) {
  if (address + into.size() < address) return false;
  while (!into.empty()) {
    const Slot& slot = slot_of(address);
    if (!slot.whole) return false;
    const uint64_t inside = address % kBlockBytes;
    const size_t n = std::min<uint64_t>(into.size(), kBlockBytes - inside);
    std::memcpy(into.data(), slot.bytes.data() + inside, n);
    address += n;
    into = into.subspan(n);
  }
  return true;
}

// A read out of a block is work too, so that a reading of nothing else has an end.
Status BlockMemory::read(uint64_t address, std::span<std::byte> into) {
  if (!memory_.step(1) || !copy(address, into)) return memory_.read(address, into);
  return {};
}

Status BlockMemory::read_touched(uint64_t address, std::span<std::byte> into) {
  if (!memory_.step(1) || !copy(address, into)) return memory_.read_touched(address, into);
  return {};
}

Result<uint64_t> BlockMemory::read_present(uint64_t address, std::span<std::byte> into) {
  if (!memory_.step(1) || !copy(address, into)) return memory_.read_present(address, into);
  return into.size();
}

}  // namespace memwhy::remote
