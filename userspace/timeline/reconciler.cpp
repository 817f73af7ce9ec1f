// SPDX-License-Identifier: Apache-2.0
#include "timeline/reconciler.h"

#include <algorithm>
#include <cassert>

#include "timeline/scan_runs.h"

namespace memwhy::timeline {
namespace {

// An entry is written when a fault begins, and a removal is logged when its call does: a page that comes from disk is
// there some time later, and one that is unmapped stays until its caller has a CPU.
constexpr TimeNs kFaultOrCallTakes = 100'000'000;

}  // namespace

Reconciler::Reconciler(PageModel& model, const Input& input)
    : model_(model), in_(input), runs_(&input.scan.runs), runtime_(input.runtimes.get()) {
  model_.look_at();
  if (!in_order(*runs_)) {
    sorted_ = put_in_order(*runs_);
    runs_ = &sorted_;
  }
  const TimeNs start = in_.scan.start != 0 && in_.scan.start <= in_.time ? in_.scan.start : in_.time;
  start_ = std::max(in_.clock.to_tick(start), model_.scans().start);
  grace_ = in_.clock.ticks(kFaultOrCallTakes);
  departed_ = in_.sites.departed(start > kFaultOrCallTakes ? start - kFaultOrCallTakes : 0);
  rel_start_ = model_.relative(start_);
  rel_last_ = model_.relative(model_.scans().start);
  rel_before_ = model_.relative(model_.scans().before);
  for (size_t i = 0; i < kAgeLimits.size(); ++i) {
    ages_.limit[i] = in_.time > kAgeLimits[i] ? in_.clock.to_tick(in_.time - kAgeLimits[i]) : 0;
  }
  model_.set_ages(ages_);
  graves_ = model_.graves();
  std::stable_sort(graves_.begin(), graves_.end(),
                   [](const auto& a, const auto& b) { return a.pages.start < b.pages.start; });
}

ScanResult Reconciler::run() {
  for (uint64_t chunk = next_chunk(); chunk != UINT64_MAX; chunk = next_chunk()) {
    count_ = alike(chunk);
    process(chunk);
    chunk_ = chunk + count_;
  }
  auto to_ns = [this](uint64_t tick) { return in_.clock.to_ns(tick); };
  result_.space = in_.scan.space;
  result_.scan = in_.scan.scan;
  result_.time = in_.time;
  result_.complete = in_.scan.complete;
  result_.groups = groups_.groups(GroupTable::Which::kAll, model_.stacks(), to_ns);
  result_.arrived = groups_.groups(GroupTable::Which::kArrived, model_.stacks(), to_ns);
  result_.left = model_.left().groups(GroupTable::Which::kAll, model_.stacks(), to_ns);
  result_.vmas = in_.vmas;
  result_.vmas_before = model_.scan_vmas();
  result_.runtimes = in_.runtimes;
  result_.runtimes_before = model_.scan_runtimes();
  assert(groups_.pages() == result_.resident_pages);

  model_.scanned({start_, start_ > grace_ ? start_ - grace_ : 0, in_.scan.complete, in_.vmas, in_.runtimes,
                  std::move(leaving_)});
  return std::move(result_);
}

uint64_t Reconciler::next_chunk() const {
  uint64_t next = model_.table().next_chunk(chunk_);
  if (run_ < runs_->size()) next = std::min(next, std::max((*runs_)[run_].page / kChunkPages, chunk_));
  return next;
}

// How many chunks, from this one on, are alike: one word of the table, and one of everything else that a page depends on.
uint64_t Reconciler::alike(uint64_t chunk) {
  const PageNumber base = chunk * kChunkPages;
  PageNumber end = std::min(model_.table().alike_until(chunk), kPageLimit / kChunkPages) * kChunkPages;
  if (end <= base + kChunkPages) return 1;
  end = std::min({end, model_.removed().changes_after(base), model_.freed().changes_after(base)});
  while (run_ < runs_->size() && (*runs_)[run_].page + (*runs_)[run_].count <= base) ++run_;
  if (run_ < runs_->size()) {
    const events::ScanRun& run = (*runs_)[run_];
    end = std::min(end, run.page > base ? run.page : run.page + run.count);
  }
  while (vma_ < in_.vmas->size() && clamped_pages((*in_.vmas)[vma_].range).end <= base) ++vma_;
  if (vma_ < in_.vmas->size()) {
    const PageRange mapped = clamped_pages((*in_.vmas)[vma_].range);
    end = std::min(end, mapped.start > base ? mapped.start : mapped.end);
  }
  static_cast<void>(runtime_.at(base, end));
  while (grave_ < graves_.size() && graves_[grave_].pages.end <= base) ++grave_;
  if (grave_ < graves_.size()) end = std::min(end, graves_[grave_].pages.start);
  for (const MapSites* sites : {&in_.sites, static_cast<const MapSites*>(&departed_)})
    end = std::min(end, sites->changes_after(base << kPageShift) >> kPageShift);
  return end > base ? std::max<uint64_t>((end - base) / kChunkPages, 1) : 1;
}

// Marks what the scan shows of this chunk.
void Reconciler::read_runs(uint64_t chunk) {
  const PageNumber base = chunk * kChunkPages, limit = base + kChunkPages;
  present_.fill(false);
  swapped_.fill(false);
  exhumed_.fill(false);
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
      if (page < end) result_.swapped_pages += (end - page) * count_;
    } else {
      while (page < end) {
        while (vma_ < vmas.size() && clamped_pages(vmas[vma_].range).end <= page) ++vma_;
        const bool inside = vma_ < vmas.size() && vmas[vma_].range.start >> kPageShift <= page;
        PageNumber to = end;
        if (vma_ < vmas.size()) {
          const PageRange mapped = clamped_pages(vmas[vma_].range);
          to = std::min(end, inside ? mapped.end : mapped.start);
        }
        const RuntimeUse by = runtime_.at(page, to);
        segments_.push_back({static_cast<uint16_t>(page - base), static_cast<uint16_t>(to - base), run.flags,
                             inside ? static_cast<uint32_t>(vma_) : kNoVma, by});
        result_.resident_pages += (to - page) * count_;
        pages_present_ += to - page;
        page = to;
      }
    }
    if (run.page + run.count > limit) break;  // goes on in the next chunk
  }
}

void Reconciler::process(uint64_t chunk) {
  chunk_ = chunk;
  model_.step();
  neighbours_.reset();
  const bool known = model_.table().load(chunk, words_);
  read_runs(chunk);
  if (!known && segments_.empty()) return;
  const PageWord before = words_[0];
  exhume();
  for (const Segment& segment : segments_) {
    PageWord good;  // neighbours are mostly equal
    for (uint16_t page = segment.first; page < segment.end; ++page) {
      if (words_[page] == good && !good.empty()) continue;
      if (settled(words_[page])) {
        good = words_[page];
      } else {
        const Derived now = derive(page, segment);
        words_[page] = now.word;
        exhumed_[page] = now.gone;
      }
    }
  }
  for (const Segment& segment : segments_) count(segment);
  settle_absent();
  if (count_ == 1) return model_.keep(chunk, words_);  // no room: counted above, seen anew in the next scan
  assert(std::all_of(words_.begin(), words_.end(), [this](PageWord word) { return word == words_[0]; }));
  if (words_[0] != before) model_.keep_all(chunk, count_, words_[0]);
}

// Brings back the words of pages that the scan counted before they were removed or moved away: while it was under way, or
// right before it by a call that had not come that far. Then no mapping is known there; of one that is, the pages are new.
void Reconciler::exhume() {
  const PageNumber base = chunk_ * kChunkPages, limit = base + kChunkPages;
  while (grave_ < graves_.size() && graves_[grave_].pages.end <= base) ++grave_;
  for (size_t i = grave_; i < graves_.size() && graves_[i].pages.start < limit; ++i) {
    const PageRange pages = graves_[i].pages;
    for (PageNumber page = std::max(pages.start, base); page < std::min(pages.end, limit); ++page) {
      const size_t at = page - base;
      if (!present_[at] || !words_[at].empty() || !counted_before(static_cast<uint16_t>(at), graves_[i].tick))
        continue;
      words_[at] = graves_[i].word.without(PageWord::kResident);
      exhumed_[at] = true;
    }
  }
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
    const uint64_t pages = (end - page) * count_, birth = model_.table().absolute(word);
    const PageWord now = word.flagged(stale_flags, seen);
    groups_.add(segment.vma, segment.by, now, pages, birth, ages_, !word.has(PageWord::kResident));
    if (word.own() && birth < doubt) result_.doubtful_pages += pages;
    if (exhumed) leaving_.add(segment.vma, segment.by, now, pages, birth, ages_);
    for (; page < end; ++page) words_[page] = exhumed ? PageWord() : now;
  }
}

// Moved to this place while the scan was under way: it found the page where it was before, or missed it.
bool Reconciler::moved_here_since(uint16_t page, PageWord word) const {
  return word.how() == How::kMoved && model_.removed().at(number(page)) >= start_;
}

// Words of pages that the scan did not find: gone, but for those faulted since or on their way.
void Reconciler::settle_absent() {
  if (pages_present_ == kChunkPages) return;
  if (!in_.scan.complete) return;  // absent from a part of a pass proves nothing
  for (uint16_t page = 0; page < kChunkPages; ++page) {
    PageWord& word = words_[page];
    if (word.empty() || present_[page]) continue;
    const bool resident = word.has(PageWord::kResident);
    if (resident && (count_ == 1 || page == 0))
      model_.note_left({number(page), count_ == 1 ? number(page) + 1 : number(0) + count_ * kChunkPages},
                       word);
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
      if (!zero_page) result_.stale_pages += count_;
    }
    word = PageWord();
  }
}

}  // namespace memwhy::timeline
