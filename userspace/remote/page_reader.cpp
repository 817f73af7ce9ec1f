// SPDX-License-Identifier: Apache-2.0
#include "remote/page_reader.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/ids.h"

namespace memwhy::remote {

namespace {

constexpr size_t kMostRun = 256;          // pages read at once
constexpr uint64_t kMostOfOne = 1 << 20;  // pages of one range; more is damage
constexpr uint64_t kLastPage = ~uint64_t{0} >> kPageShift;

}  // namespace

void PageReader::add(std::vector<uint64_t>& pages, uint64_t address, uint64_t bytes) {
  if (bytes == 0) return;
  const uint64_t first = address >> kPageShift;
  const uint64_t last = address + (bytes - 1) < address ? kLastPage : (address + (bytes - 1)) >> kPageShift;
  for (uint64_t page = first; page <= last && page - first < kMostOfOne; ++page) pages.push_back(page);
}

bool PageReader::take(uint64_t page, uint64_t count) {
  const uint64_t size = count * kPageBytes;
  if (!memory_.keep(size)) return false;
  std::vector<std::byte> bytes(size);
  if (Status status = memory_.read(page << kPageShift, bytes); !status) {
    memory_.release(size);
    gone_ = gone_ || status.error().code() == ErrorCode::kTargetGone;
    return false;
  }
  kept_ += size;
  blocks_.push_back({page << kPageShift, std::move(bytes)});
  return true;
}

void PageReader::prefetch(std::vector<uint64_t> pages) {
  if (!std::is_sorted(pages.begin(), pages.end())) std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
  for (size_t i = 0; i < pages.size() && !gone_;) {
    size_t end = i + 1;
    while (end < pages.size() && pages[end] == pages[end - 1] + 1 && end - i < kMostRun) ++end;
    if (!take(pages[i], end - i) && end - i > 1)  // one of them is absent
      for (size_t k = i; k < end; ++k) static_cast<void>(take(pages[k], 1));
    i = end;
  }
}

void PageReader::clear() {
  memory_.release(std::exchange(kept_, 0));
  blocks_.clear();
  last_ = 0;
}

bool PageReader::copy(uint64_t address, std::span<std::byte> into) {
  bool there = true;
  for (size_t done = 0; done < into.size();) {
    const Block* block = find(address + done);
    const uint64_t inside = block == nullptr ? (address + done) % kPageBytes : address + done - block->start;
    const size_t n =
        std::min<size_t>(into.size() - done, (block == nullptr ? kPageBytes : block->bytes.size()) - inside);
    if (block == nullptr)
      std::memset(into.data() + done, 0, n);
    else
      std::memcpy(into.data() + done, block->bytes.data() + inside, n);
    there = there && block != nullptr;
    done += n;
  }
  return there;
}

const PageReader::Block* PageReader::find(uint64_t address) {
  if (last_ < blocks_.size() && blocks_[last_].holds(address)) return &blocks_[last_];
  const auto after = std::upper_bound(blocks_.begin(), blocks_.end(), address,
                                      [](uint64_t a, const Block& block) { return a < block.start; });
  if (after == blocks_.begin() || !std::prev(after)->holds(address)) return nullptr;
  last_ = static_cast<size_t>(after - blocks_.begin()) - 1;
  return &blocks_[last_];
}

}  // namespace memwhy::remote
