// SPDX-License-Identifier: Apache-2.0
// The evidence for a page without an entry of its own, best first: its huge page, the faults around it, its mapping, when it
// was first seen.
//
// A page that was removed since the scan began may have two lives, of which the scan counted one:
//
//   tick 100        105             110 scan begins          120          130          140 scan ends
//        ... absent  [ fault of a neighbour .... a first life ] munmap       [ fault of a neighbour: a second life ...
//
// The second is tried first, because what exists now stays; evidence of the first counts in this result only.
#include <algorithm>

#include "timeline/reconciler.h"

namespace memwhy::timeline {
namespace {

constexpr uint16_t kWindowPages = 16;  // fault_around_bytes, 64 KiB

uint64_t minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

uint8_t lazy_if(bool lazy) { return lazy ? PageWord::kLazy : 0; }

}  // namespace

// Whether the page's word can be taken as it is.
bool Reconciler::settled(PageWord word) const {
  if (word.empty()) return false;
  if (word.own()) return true;
  if (word.how() == How::kInherited) return word.has(PageWord::kResident);
  // Seen first in the last scan, without evidence: it may have come late.
  return !(word.weak() && model_.scans().count != 0 && word.tick() == rel_last_);
}

Reconciler::Bounds Reconciler::bounds(PageWord old) const {
  Bounds b{0, UINT64_MAX};
  if (old.weak()) {
    b.low = model_.scans().count > 1 ? minus(rel_before_, grace_) : 0;
    b.high = old.tick() + grace_;
  } else if (model_.scans().count != 0 && old.how() != How::kInherited) {
    b.low = minus(rel_last_, grace_);  // absent then
  }
  return b;
}

// The order of evidence, for a page without an entry of its own.
Reconciler::Derived Reconciler::derive(uint16_t page, const Segment& segment) {
  const PageWord old = words_[page];
  bool gone = exhumed_[page];
  const uint64_t removed = model_.removed().at(number(page));
  const uint64_t left = removed != 0 ? model_.relative(removed) : 0;
  const Bounds whole = bounds(old);
  Bounds now = whole;
  if (removed != 0 && left >= whole.low) {
    now.low = left;
    now.removed = removed;
  }
  PageWord found;
  if ((segment.flags & events::kScanHuge) != 0) {
    found = huge_block({0, whole.high});
    if (!found.empty()) gone = found.tick() < now.low && counted_before(page, removed);
  }
  if (found.empty() && file_page(segment)) {
    found = around(page, segment, now);
    if (!found.empty()) gone = false;
  }
  if (!old.empty() && (found.empty() || found.how() == How::kInherited))
    return {old, gone};  // nothing better came
  if (found.empty() && removed != 0 && counted_before(page, removed)) {
    found = departed(page, segment, {whole.low, left});
    gone = !found.empty();
  }
  if (found.empty()) return {by_mapping(page, segment, now), gone};
  const uint64_t freed = model_.freed().at(number(page));
  const bool lazy = freed != 0 && freed >= model_.table().absolute(found);
  return {found.flagged(0xff, (old.flags() & PageWord::kResident) | lazy_if(lazy)), gone};
}

// Whether the scan may have counted the page before that removal: it was under way, or the call had only begun. Where a newer
// mapping is known that was made before the scan, it is that one's page.
bool Reconciler::counted_before(uint16_t page, uint64_t removed) const {
  return removed >= start_ ||
         (removed + grace_ >= start_ && in_.sites.find(number(page) << kPageShift) == nullptr);
}

// The first of two lives, of a page that the scan may have counted in it.
PageWord Reconciler::departed(uint16_t page, const Segment& segment, Bounds first) {
  const uint64_t address = number(page) << kPageShift;
  PageWord found;
  if (segment.vma != kNoVma && file_page(segment)) found = around(page, segment, first);
  const MapSite *site = departed_.find(address), *newer = in_.sites.find(address);
  const bool populated = newer != nullptr && (newer->flags & kMapPopulate) != 0;
  if (found.empty() && site != nullptr && !populated)
    found = {How::kMmapSite, model_.stacks().index(site->stack), rel_start_, 0};
  return found;
}

// The last fault in a block that one PMD maps; without one, what else is known of the block.
PageWord Reconciler::huge_block(Bounds bounds) const {
  PageWord own, other;
  for (const PageWord word : words_) {
    if (word.empty() || word.tick() > bounds.high) continue;
    if (word.own() && (own.empty() || word.tick() >= own.tick())) own = word;
    if (!word.own() && !word.weak() && (other.empty() || word.tick() >= other.tick())) other = word;
  }
  if (!own.empty()) return own.known_by(How::kHugeBlock);
  if (other.empty()) return {};
  return other.known_by(other.how() == How::kInherited ? How::kInherited : How::kHugeBlock);
}

bool Reconciler::file_backed(const events::Vma& vma) { return vma.inode != 0 || vma.shmem; }

bool Reconciler::file_page(const Segment& segment) const {
  if ((segment.flags & events::kScanFile) != 0) return true;
  if (segment.vma == kNoVma) return false;
  const events::Vma& vma = (*in_.vmas)[segment.vma];
  return vma.shared && file_backed(vma);
}

// A fault on a file page maps its cached neighbours: the 64 KiB window, or as much of a large folio as is
// there. The first fault that can have done it.
PageWord Reconciler::around(uint16_t page, const Segment& segment, Bounds bounds) {
  std::optional<bool> came_by_move;
  auto fits = [&](PageNumber at) {
    const PageWord word = words_[at % kChunkPages];
    if (!word.own() || word.tick() > bounds.high) return false;
    if (word.tick() >= bounds.low) return true;
    // Both came here by the same move: they may have come into memory together, before it.
    if (word.how() != How::kMoved || bounds.removed == 0 || exhumed_[at % kChunkPages] ||
        model_.removed().at(at) != bounds.removed)
      return false;
    if (!came_by_move) came_by_move = model_.carried(number(page), bounds.removed);
    return *came_by_move;
  };
  const uint16_t window = page / kWindowPages * kWindowPages;
  PageNumber first = number(window), end = first + kWindowPages;
  if (segment.vma != kNoVma) {
    const PageRange mapped = clamped_pages((*in_.vmas)[segment.vma].range);
    first = std::max(first, mapped.start);
    end = std::min(end, mapped.end);
  }
  PageWord best;
  for (PageNumber at = first; at < end; ++at) {
    const PageWord word = words_[at % kChunkPages];
    if (fits(at) && (best.empty() || word.tick() < best.tick())) best = word;
  }
  // Beyond the window only pages that are known to have been absent: others may have been there all the time.
  const bool was_absent = model_.scans().count != 0 || !in_.before_attach;
  if (best.empty() && was_absent) {
    find_neighbours();
    const int before = neighbours_->before[page], after = neighbours_->after[page];
    const bool use_before = before >= 0 && fits(number(static_cast<uint16_t>(before)));
    const bool use_after = after >= 0 && fits(number(static_cast<uint16_t>(after)));
    if (use_before && (!use_after || page - before <= after - page)) {
      best = words_[static_cast<size_t>(before)];
    } else if (use_after) {
      best = words_[static_cast<size_t>(after)];
    }
  }
  return best.empty() ? PageWord() : best.known_by(How::kFaultAround);
}

void Reconciler::find_neighbours() {
  if (neighbours_) return;
  neighbours_.emplace();
  neighbours_->before.fill(-1);
  neighbours_->after.fill(-1);
  auto joined = [](const Segment& a, const Segment& b) { return a.end == b.first && a.vma == b.vma; };
  int16_t near = -1;
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (i > 0 && !joined(segments_[i - 1], segments_[i])) near = -1;
    for (uint16_t page = segments_[i].first; page < segments_[i].end; ++page) {
      if (words_[page].own()) near = static_cast<int16_t>(page);
      neighbours_->before[page] = near;
    }
  }
  near = -1;
  for (size_t i = segments_.size(); i-- > 0;) {
    if (i + 1 < segments_.size() && !joined(segments_[i], segments_[i + 1])) near = -1;
    for (uint16_t page = segments_[i].end; page-- > segments_[i].first;) {
      if (words_[page].own()) near = static_cast<int16_t>(page);
      neighbours_->after[page] = near;
    }
  }
}

// What is left without a fault: the mapping, or when it was first seen.
PageWord Reconciler::by_mapping(uint16_t page, const Segment& segment, Bounds bounds) const {
  const uint64_t freed = model_.freed().at(number(page));
  if (const MapSite* site = in_.sites.find(number(page) << kPageShift)) {
    // Whether the page was there before the madvise is known only of MAP_POPULATE.
    const bool lazy =
        freed != 0 && (site->flags & kMapPopulate) != 0 && freed >= in_.clock.to_tick(site->time);
    return {How::kMmapSite, model_.stacks().index(site->stack), rel_start_, lazy_if(lazy)};
  }
  if (in_.before_attach && model_.scans().count == 0) {
    return {How::kBeforeAttach, PageWord::kNoStack, rel_start_, lazy_if(freed != 0)};
  }
  const PageWord split = file_page(segment) ? PageWord() : split_block(bounds);
  if (!split.empty()) return split.flagged(0xff, 0);
  return {How::kUnknown, PageWord::kNoStack, rel_start_, 0};
}

// A huge page that lost some of its pages is no longer huge: what remains of it has one fault, which may lie
// in the part that went. It is the block's first since the last scan, nothing in the block is older (a huge
// page takes a whole empty block), and a removal that is newer proves that there was something to split: what was not
// removed since is anonymous memory.
PageWord Reconciler::split_block(Bounds bounds) const {
  const PageRange block{chunk_ * kChunkPages, (chunk_ + 1) * kChunkPages};
  if (model_.removed().newest() == 0) return {};
  PageWord first;
  uint64_t oldest = UINT64_MAX;
  auto offer = [&](PageWord word) {
    if (word.empty()) return;
    oldest = std::min(oldest, word.tick());
    if (word.own() && word.tick() >= bounds.low && (first.empty() || word.tick() < first.tick()))
      first = word;
  };
  for (const PageWord word : words_) {
    if (word.how() != How::kUnknown || word.tick() != rel_start_)
      offer(word);  // not what this scan found itself
  }
  for (const PageModel::Grave& grave : model_.graves()) {
    if (grave.pages.start < block.end && grave.pages.end > block.start) offer(grave.word);
  }
  if (first.empty() || oldest < first.tick()) return {};
  bool removed = false, whole = true;
  model_.removed().each(block, [&](PageRange part, uint64_t tick) {
    if (tick >= model_.table().absolute(first)) {
      removed = true;
    } else {
      whole &= anonymous(part);
    }
  });
  return removed && whole ? first.known_by(How::kHugeBlock) : PageWord();
}

bool Reconciler::anonymous(PageRange pages) const {
  for (PageNumber at = pages.start; at < pages.end;) {
    const uint32_t vma = vma_index(*in_.vmas, at);
    if (vma == kNoVma || file_backed((*in_.vmas)[vma])) return false;
    at = clamped_pages((*in_.vmas)[vma].range).end;
  }
  return true;
}

}  // namespace memwhy::timeline
