// SPDX-License-Identifier: Apache-2.0
#include "allocators/heap_memory.h"

#include <algorithm>
#include <utility>

namespace memwhy::allocators {

HeapMemory::HeapMemory(remote::RemoteMemory& memory, Vmas vmas, ReadPace pace)
    : memory_(memory), ask_vmas_(std::move(vmas)), pace_(std::move(pace)) {}

bool HeapMemory::refresh() {
  forget();
  Result<std::vector<events::Vma>> vmas = ask_vmas_();
  if (!vmas) return false;
  refresh(*std::move(vmas));
  return true;
}

void HeapMemory::refresh(std::vector<events::Vma> vmas) {
  forget();
  vmas_ = std::move(vmas);
  spans_.clear();
  const events::Vma* before = nullptr;
  for (const events::Vma& vma : vmas_) {
    if (!private_anonymous(vma)) continue;
    if (before != nullptr && before->range.end == vma.range.start && before->name == vma.name)
      spans_.back().end = vma.range.end;
    else
      spans_.push_back(vma.range);
    before = &vma;
  }
}

void HeapMemory::forget() {
  for (Slot& slot : slots_) slot.page = ~uint64_t{0};
}

void HeapMemory::forget(uint64_t address) {
  const uint64_t page = address >> kPageShift;
  if (!slots_.empty() && slots_[page % kSlots].page == page) slots_[page % kSlots].page = ~uint64_t{0};
}

bool HeapMemory::step() {
  if (since_pause_ >= pace_.bytes && pace_.pause) {
    since_pause_ = 0;
    pace_.pause();
  }
  return memory_.step(1);
}

const std::byte* HeapMemory::page_of(uint64_t address) {
  if (slots_.empty()) {
    slots_.resize(kSlots);
    pages_ = std::make_unique_for_overwrite<std::byte[]>(kSlots * kPageBytes);
  }
  const uint64_t page = address >> kPageShift;
  Slot& slot = slots_[page % kSlots];
  std::byte* const bytes = pages_.get() + page % kSlots * kPageBytes;
  if (slot.page != page) {
    slot.page = page;
    slot.there = memory_.read(page << kPageShift, {bytes, kPageBytes}).ok();
    account(kPageBytes);
  }
  return slot.there ? bytes : nullptr;
}

bool HeapMemory::read(uint64_t address, std::span<std::byte> into) {
  if (address + into.size() < address) return false;
  while (!into.empty()) {
    const uint64_t inside = address % kPageBytes;
    const size_t n = std::min<size_t>(into.size(), kPageBytes - inside);
    const std::byte* const page = page_of(address);
    if (page == nullptr) return false;
    std::memcpy(into.data(), page + inside, n);
    address += n;
    into = into.subspan(n);
  }
  return true;
}

size_t HeapMemory::read_run(uint64_t page_address, std::span<std::byte> into) {
  for (size_t bytes = into.size() / kPageBytes * kPageBytes; bytes != 0;
       bytes = bytes / 4 / kPageBytes * kPageBytes) {
    const bool there = memory_.read(page_address, into.first(bytes)).ok();
    account(there ? bytes : kPageBytes);
    if (there) return bytes;
    if (!step()) return 0;
  }
  return 0;
}

bool HeapMemory::read_each(std::span<remote::Piece> pieces) {
  constexpr size_t kTogether = 512;
  for (size_t at = 0; at < pieces.size(); at += kTogether) {
    const std::span<remote::Piece> some = pieces.subspan(at, std::min(kTogether, pieces.size() - at));
    for (const remote::Piece& piece : some) account(std::max<uint64_t>(piece.into.size(), kPageBytes));
    if (!memory_.read_each(some) || !step()) return false;
  }
  return true;
}

bool HeapMemory::writable(uint64_t address) const {
  const events::Vma* const vma = mapping(address);
  return vma != nullptr && vma->read && vma->write;
}

AddressRange HeapMemory::span(uint64_t address) const {
  const auto after = std::upper_bound(spans_.begin(), spans_.end(), address,
                                      [](uint64_t at, const AddressRange& span) { return at < span.start; });
  if (after == spans_.begin()) return {};
  const AddressRange& span = *std::prev(after);
  return span.contains(address) ? span : AddressRange{};
}

}  // namespace memwhy::allocators
