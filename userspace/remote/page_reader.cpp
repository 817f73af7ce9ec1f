// SPDX-License-Identifier: Apache-2.0
#include "remote/page_reader.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/ids.h"

namespace memwhy::remote {

namespace {

constexpr uint64_t kMostRun = 256;        // pages of a run
constexpr size_t kMostRuns = 512;         // read together ...
constexpr uint64_t kMostTogether = 1024;  // ... and their pages, paid for when they are there
constexpr uint64_t kMostOfOne = 1 << 20;  // pages of one range; more is damage
constexpr uint64_t kLastPage = ~uint64_t{0} >> kPageShift;

}  // namespace

void PageReader::add(std::vector<uint64_t>& pages, uint64_t address, uint64_t bytes) {
  if (bytes == 0) return;
  const uint64_t first = address >> kPageShift;
  const uint64_t last = address + (bytes - 1) < address ? kLastPage : (address + (bytes - 1)) >> kPageShift;
  for (uint64_t page = first; page <= last && page - first < kMostOfOne; ++page) pages.push_back(page);
}

std::byte* PageReader::room(uint64_t bytes) {
  if (spare_.size >= bytes)
    chunks_.push_back(std::exchange(spare_, {}));
  else
    chunks_.push_back({std::make_unique_for_overwrite<std::byte[]>(bytes), bytes});
  return chunks_.back().bytes.get();
}

std::vector<PageReader::Run> PageReader::take(std::span<const Run> runs) {
  uint64_t pages = 0;
  for (const Run& run : runs) pages += run.count;
  std::byte* at = room(pages * kPageBytes);
  std::vector<Block> fresh;
  std::vector<Piece> pieces;
  for (const Run& run : runs) {
    const uint64_t size = run.count * kPageBytes;
    fresh.push_back({run.page << kPageShift, size, at});
    pieces.push_back({fresh.back().start, {at, size}});
    at += size;
  }
  const size_t before = blocks_.size();
  const Status status = memory_.read_each(pieces);
  gone_ = gone_ || (!status && status.error().code() == ErrorCode::kTargetGone);
  std::vector<Run> torn;
  for (size_t i = 0; i < fresh.size(); ++i) {
    if (pieces[i].there && memory_.keep(fresh[i].size)) {
      kept_ += fresh[i].size;
      blocks_.push_back(fresh[i]);
    } else if (status && !pieces[i].there && runs[i].count > 1) {
      torn.push_back(runs[i]);
    }
  }
  if (blocks_.size() == before) {  // the next ones may have its room
    spare_ = std::move(chunks_.back());
    chunks_.pop_back();
  }
  return torn;
}

void PageReader::take_all(std::span<const Run> runs, std::vector<Run>& torn) {
  while (!runs.empty() && !gone_) {
    size_t n = 0;
    for (uint64_t pages = 0;
         n < runs.size() && n < kMostRuns && (n == 0 || pages + runs[n].count <= kMostTogether); ++n)
      pages += runs[n].count;
    for (const Run& run : take(runs.first(n))) torn.push_back(run);
    runs = runs.subspan(n);
  }
}

void PageReader::prefetch(std::vector<uint64_t> pages) {
  if (!std::is_sorted(pages.begin(), pages.end())) std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
  std::vector<Run> runs, torn, none;
  for (const uint64_t page : pages) {
    if (!runs.empty() && page == runs.back().page + runs.back().count && runs.back().count < kMostRun)
      ++runs.back().count;
    else
      runs.push_back({page, 1});
  }
  take_all(runs, torn);
  if (torn.empty()) return;
  runs.clear();
  for (const Run& run : torn)
    for (uint64_t i = 0; i < run.count; ++i) runs.push_back({run.page + i, 1});
  take_all(runs, none);
  std::sort(blocks_.begin(), blocks_.end(), [](const Block& a, const Block& b) { return a.start < b.start; });
}

void PageReader::clear() {
  memory_.release(std::exchange(kept_, 0));
  blocks_.clear();
  for (Chunk& chunk : chunks_)
    if (chunk.size > spare_.size) spare_ = std::move(chunk);
  chunks_.clear();
  last_ = 0;
}

bool PageReader::copy(uint64_t address, std::span<std::byte> into) {
  bool there = true;
  for (size_t done = 0; done < into.size();) {
    const Block* block = find(address + done);
    const uint64_t inside = block == nullptr ? (address + done) % kPageBytes : address + done - block->start;
    const size_t n =
        std::min<size_t>(into.size() - done, (block == nullptr ? kPageBytes : block->size) - inside);
    if (block == nullptr)
      std::memset(into.data() + done, 0, n);
    else
      std::memcpy(into.data() + done, block->bytes + inside, n);
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
