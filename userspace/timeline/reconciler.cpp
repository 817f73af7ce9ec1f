// SPDX-License-Identifier: Apache-2.0
#include "timeline/reconciler.h"

#include <algorithm>
#include <cassert>

#include "timeline/scan_runs.h"

namespace memwhy::timeline {
namespace {

constexpr uint16_t kWindowPages = 16;  // fault_around_bytes, 64 KiB
constexpr uint32_t kMapPopulate = 0x8000;

// An entry is written when a fault begins, and a removal is logged when its call does: a page that comes from disk is
// there some time later, and one that is unmapped stays until its caller has a CPU.
constexpr TimeNs kFaultOrCallTakes = 100'000'000;

uint64_t minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

uint8_t lazy_if(bool lazy) { return lazy ? PageWord::kLazy : 0; }

bool file_backed(const events::Vma& vma) { return vma.inode != 0 || vma.shmem; }

}  // namespace

Reconciler::Reconciler(PageModel& model, const Input& input)
    : model_(model), in_(input), runs_(&input.scan.runs) {
  if (!in_order(*runs_)) {
    sorted_ = put_in_order(*runs_);
    runs_ = &sorted_;
  }
  const TimeNs start = in_.scan.start != 0 && in_.scan.start <= in_.time ? in_.scan.start : in_.time;
  start_ = std::max(in_.clock.to_tick(start), model_.scans.start);
  grace_ = in_.clock.ticks(kFaultOrCallTakes);
  rel_start_ = model_.table.relative(start_);
  rel_last_ = model_.table.relative(model_.scans.start);
  rel_before_ = model_.table.relative(model_.scans.before);
  for (size_t i = 0; i < kAgeLimits.size(); ++i) {
    ages_.limit[i] = in_.time > kAgeLimits[i] ? in_.clock.to_tick(in_.time - kAgeLimits[i]) : 0;
  }
  model_.ages = ages_;
  for (const PageModel::Grave& grave : model_.graves) {
    if (grave.tick + grace_ >= start_) graves_.push_back(grave);
  }
  std::stable_sort(graves_.begin(), graves_.end(),
                   [](const auto& a, const auto& b) { return a.pages.start < b.pages.start; });
}

ScanResult Reconciler::run() {
  for (uint64_t chunk = next_chunk(); chunk != UINT64_MAX; chunk = next_chunk()) {
    process(chunk);
    chunk_ = chunk + 1;
  }
  auto to_ns = [this](uint64_t tick) { return in_.clock.to_ns(tick); };
  result_.space = in_.scan.space;
  result_.scan = in_.scan.scan;
  result_.time = in_.time;
  result_.complete = in_.scan.complete;
  result_.groups = groups_.groups(GroupTable::Which::kAll, model_.stacks(), to_ns);
  result_.arrived = groups_.groups(GroupTable::Which::kArrived, model_.stacks(), to_ns);
  result_.left = model_.left.groups(GroupTable::Which::kAll, model_.stacks(), to_ns);
  result_.vmas = in_.vmas;
  result_.go = in_.go;
  result_.vmas_before = model_.scan_vmas;
  assert(groups_.pages() == result_.resident_pages);

  model_.left = std::move(leaving_);
  model_.scan_vmas = in_.vmas;
  model_.scan_go = in_.go;
  std::erase_if(model_.graves, [this](const auto& grave) { return grave.tick + grace_ < start_; });
  if (in_.scan.complete) {
    model_.scans.before = model_.scans.start;
    model_.scans.start = start_;
    ++model_.scans.count;
    model_.settle_doubt();
    model_.trim();
  }
  return std::move(result_);
}

uint64_t Reconciler::next_chunk() const {
  uint64_t next = model_.table.next_chunk(chunk_);
  if (run_ < runs_->size()) next = std::min(next, std::max((*runs_)[run_].page / kChunkPages, chunk_));
  return next;
}

// Marks what the scan says of this chunk.
void Reconciler::read_runs(uint64_t chunk) {
  const PageNumber base = chunk * kChunkPages, limit = base + kChunkPages;
  present_.fill(false);
  swapped_.fill(false);
  segments_.clear();
  pages_present_ = 0;
  const std::vector<events::Vma>& vmas = *in_.vmas;
  for (; run_ < runs_->size() && (*runs_)[run_].page < limit; ++run_) {
    const events::ScanRun& run = (*runs_)[run_];
    PageNumber page = std::max(run.page, base);
    const PageNumber end = std::min(run.page + run.count, limit);
    const bool swapped = (run.flags & events::kScanSwapped) != 0;
    auto& marks = swapped ? swapped_ : present_;
    if (page < end) std::fill(marks.begin() + (page - base), marks.begin() + (end - base), true);
    if (swapped) {
      if (page < end) result_.swapped_pages += end - page;
    } else {
      while (page < end) {
        while (vma_ < vmas.size() && clamped_pages(vmas[vma_].range).end <= page) ++vma_;
        const bool inside = vma_ < vmas.size() && vmas[vma_].range.start >> kPageShift <= page;
        PageNumber to = end;
        if (vma_ < vmas.size()) {
          const PageRange mapped = clamped_pages(vmas[vma_].range);
          to = std::min(end, inside ? mapped.end : mapped.start);
        }
        const events::GoPage go = go_page(page, to);
        segments_.push_back({static_cast<uint16_t>(page - base), static_cast<uint16_t>(to - base), run.flags,
                             inside ? static_cast<uint32_t>(vma_) : kNoVma, go});
        result_.resident_pages += to - page;
        pages_present_ += to - page;
        page = to;
      }
    }
    if (run.page + run.count > limit) break;  // goes on in the next chunk
  }
}

// What the Go runtime holds `page` for; `end` is brought down to where that changes. Pages are asked in
// order.
events::GoPage Reconciler::go_page(PageNumber page, PageNumber& end) {
  if (in_.go == nullptr) return events::GoPage::kNone;
  const std::vector<events::GoRun>& runs = in_.go->runs;
  while (go_run_ < runs.size() && runs[go_run_].page + runs[go_run_].count <= page) ++go_run_;
  if (go_run_ == runs.size()) return events::GoPage::kNone;
  const events::GoRun& run = runs[go_run_];
  if (run.page > page) {
    end = std::min(end, run.page);
    return events::GoPage::kNone;
  }
  end = std::min(end, run.page + run.count);
  return run.kind;
}

void Reconciler::process(uint64_t chunk) {
  chunk_ = chunk;
  neighbours_.reset();
  const bool known = model_.table.load(chunk, words_);
  read_runs(chunk);
  if (!known && segments_.empty()) return;
  exhume();
  for (const Segment& segment : segments_) {
    PageWord good;  // neighbours are mostly equal
    for (uint16_t page = segment.first; page < segment.end; ++page) {
      if (words_[page] == good && !good.empty()) continue;
      if (settled(words_[page])) {
        good = words_[page];
      } else {
        words_[page] = derive(page, segment);
      }
    }
  }
  for (const Segment& segment : segments_) count(segment);
  settle_absent();
  model_.table.store(chunk, words_);  // no room: counted above, seen anew in the next scan
}

// Brings back the words of pages that the scan counted before they were removed or moved away: while it was under way, or
// right before it by a call that had not come that far. Then no mapping is known there; of one that is, the pages are new.
void Reconciler::exhume() {
  if (graves_.empty()) return;
  exhumed_.fill(false);
  const PageNumber base = chunk_ * kChunkPages, limit = base + kChunkPages;
  while (grave_ < graves_.size() && graves_[grave_].pages.end <= base) ++grave_;
  for (size_t i = grave_; i < graves_.size() && graves_[i].pages.start < limit; ++i) {
    const PageRange pages = graves_[i].pages;
    for (PageNumber page = std::max(pages.start, base); page < std::min(pages.end, limit); ++page) {
      const size_t at = page - base;
      if (!present_[at] || !words_[at].empty()) continue;
      if (graves_[i].tick < start_ && in_.sites.find(page << kPageShift) != nullptr) continue;
      words_[at] = graves_[i].word.without(PageWord::kResident);
      exhumed_[at] = true;
    }
  }
}

// A page whose word can be taken as it is.
bool Reconciler::settled(PageWord word) const {
  if (word.empty()) return false;
  if (word.own()) return true;
  if (word.how() == How::kInherited) return word.has(PageWord::kResident);
  // Seen first in the last scan, without evidence: it may have come late.
  return !(word.weak() && model_.scans.count != 0 && word.tick() == rel_last_);
}

Reconciler::Bounds Reconciler::bounds(uint16_t page, PageWord old) const {
  Bounds b{0, UINT64_MAX};
  if (old.weak()) {
    b.low = model_.scans.count > 1 ? minus(rel_before_, grace_) : 0;
    b.high = old.tick() + grace_;
  } else if (model_.scans.count != 0 && old.how() != How::kInherited) {
    b.low = minus(rel_last_, grace_);  // absent then
  }
  const uint64_t removed = model_.removed().newest() != 0 ? model_.removed().at(number(page)) : 0;
  if (removed != 0) b.low = std::max(b.low, model_.table.relative(removed));
  return b;
}

// The order of evidence, for a page without an entry of its own.
PageWord Reconciler::derive(uint16_t page, const Segment& segment) {
  const PageWord old = words_[page];
  const Bounds b = bounds(page, old);
  PageWord found;
  if ((segment.flags & events::kScanHuge) != 0) found = huge_block({0, b.high});
  if (found.empty() && file_page(segment)) found = around(page, segment, b);
  if (!old.empty() && (found.empty() || found.how() == How::kInherited)) return old;  // nothing better came
  if (found.empty()) return by_mapping(page, segment, b);
  const uint64_t freed = model_.freed().newest() != 0 ? model_.freed().at(number(page)) : 0;
  const bool lazy = freed != 0 && freed >= model_.table.absolute(found);
  return found.flagged(0xff, (old.flags() & PageWord::kResident) | lazy_if(lazy));
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

bool Reconciler::file_page(const Segment& segment) const {
  if ((segment.flags & events::kScanFile) != 0) return true;
  if (segment.vma == kNoVma) return false;
  const events::Vma& vma = (*in_.vmas)[segment.vma];
  return vma.shared && file_backed(vma);
}

// A fault on a file page maps its cached neighbours: the 64 KiB window, or as much of a large folio as is
// there. The first fault that can have done it.
PageWord Reconciler::around(uint16_t page, const Segment& segment, Bounds bounds) {
  auto fits = [&](PageWord word) {
    return word.own() && word.tick() >= bounds.low && word.tick() <= bounds.high;
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
    if (fits(word) && (best.empty() || word.tick() < best.tick())) best = word;
  }
  // Beyond the window only pages that are known to have been absent: others may have been there all the time.
  const bool was_absent = model_.scans.count != 0 || !in_.before_attach;
  if (best.empty() && was_absent) {
    find_neighbours();
    const int before = neighbours_->before[page], after = neighbours_->after[page];
    const bool use_before = before >= 0 && fits(words_[static_cast<size_t>(before)]);
    const bool use_after = after >= 0 && fits(words_[static_cast<size_t>(after)]);
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

// What is left when no fault tells: the mapping, or when it was first seen.
PageWord Reconciler::by_mapping(uint16_t page, const Segment& segment, Bounds bounds) const {
  const uint64_t freed = model_.freed().newest() != 0 ? model_.freed().at(number(page)) : 0;
  if (const MapSite* site = in_.sites.find(number(page) << kPageShift)) {
    // Whether the page was there before the madvise is known only of MAP_POPULATE.
    const bool lazy =
        freed != 0 && (site->flags & kMapPopulate) != 0 && freed >= in_.clock.to_tick(site->time);
    return {How::kMmapSite, model_.stacks().index(site->stack), rel_start_, lazy_if(lazy)};
  }
  if (in_.before_attach && model_.scans.count == 0) {
    return {How::kBeforeAttach, PageWord::kNoStack, rel_start_, lazy_if(freed != 0)};
  }
  const PageWord split = file_page(segment) ? PageWord() : split_block(bounds);
  if (!split.empty()) return split.flagged(0xff, 0);
  return {How::kUnknown, PageWord::kNoStack, rel_start_, 0};
}

// A huge page that lost some of its pages is no longer huge: what remains of it has one fault, which may lie
// in the part that went. It is the block's first since the last scan, nothing in the block is older (a huge
// page takes a whole empty block), and a removal that is newer proves that there was something to split.
PageWord Reconciler::split_block(Bounds bounds) const {
  const PageRange block{chunk_ * kChunkPages, (chunk_ + 1) * kChunkPages};
  if (model_.removed().newest() == 0) return {};
  PageWord first;
  uint64_t oldest = UINT64_MAX, removed = 0;
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
  for (const PageModel::Grave& grave : model_.graves) {
    if (grave.pages.start < block.end && grave.pages.end > block.start) offer(grave.word);
  }
  if (first.empty() || oldest < first.tick()) return {};
  model_.removed().each(block, [&](PageRange, uint64_t tick) { removed = std::max(removed, tick); });
  return removed >= model_.table.absolute(first) ? first.known_by(How::kHugeBlock) : PageWord();
}

// Adds up the pages of a segment, and marks them as seen.
void Reconciler::count(const Segment& segment) {
  uint8_t seen = PageWord::kResident;
  if ((segment.flags & events::kScanHuge) != 0) seen |= PageWord::kHuge;
  if ((segment.flags & events::kScanFile) != 0) seen |= PageWord::kFile;
  uint8_t stale_flags = PageWord::kHuge | PageWord::kFile | PageWord::kSwapped;
  if ((segment.flags & events::kScanFile) != 0)
    stale_flags |= PageWord::kLazy;  // MADV_FREE is for anonymous pages
  const uint64_t doubt = model_.doubt_tick();
  for (uint16_t page = segment.first; page < segment.end;) {
    const PageWord word = words_[page];
    const bool exhumed = exhumed_[page];
    uint16_t end = page + 1;
    while (end < segment.end && words_[end] == word && exhumed_[end] == exhumed) ++end;
    const uint64_t pages = end - page, birth = model_.table.absolute(word);
    const PageWord now = word.flagged(stale_flags, seen);
    groups_.add(segment.vma, segment.go, now, pages, birth, ages_, !word.has(PageWord::kResident));
    if (word.own() && birth < doubt) result_.doubtful_pages += pages;
    if (exhumed) leaving_.add(segment.vma, segment.go, now, pages, birth, ages_);
    for (; page < end; ++page) words_[page] = exhumed ? PageWord() : now;
  }
}

// Moved to this place while the scan was under way: it found the page where it was before, or missed it.
bool Reconciler::moved_here_since(uint16_t page, PageWord word) const {
  return word.how() == How::kMoved && model_.removed().newest() >= start_ &&
         model_.removed().at(number(page)) >= start_;
}

// Words of pages that the scan did not find: gone, but for those faulted since or on their way.
void Reconciler::settle_absent() {
  if (pages_present_ == kChunkPages) return;
  if (!in_.scan.complete) return;  // absent from a part of a pass proves nothing
  for (uint16_t page = 0; page < kChunkPages; ++page) {
    PageWord& word = words_[page];
    if (word.empty() || present_[page]) continue;
    const bool resident = word.has(PageWord::kResident);
    if (resident) model_.note_left(number(page), word);
    const PageWord gone = word.without(PageWord::kResident | PageWord::kHuge | PageWord::kFile);
    if (swapped_[page]) {
      word = gone.with(PageWord::kSwapped);
      continue;
    }
    if (word.own() && (word.tick() + grace_ >= rel_start_ || moved_here_since(page, word))) {
      word = gone;
      continue;
    }
    if (word.own()) {
      // A read of an anonymous page that was never written is the zero page: not resident, and not wrong.
      const uint32_t vma = vma_index(*in_.vmas, number(page));
      const bool zero_page =
          !resident && !word.has(PageWord::kWrite) && vma != kNoVma && !file_backed((*in_.vmas)[vma]);
      if (!zero_page) ++result_.stale_pages;
    }
    word = PageWord();
  }
}

}  // namespace memwhy::timeline
