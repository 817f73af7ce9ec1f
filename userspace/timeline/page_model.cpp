// SPDX-License-Identifier: Apache-2.0
#include "timeline/page_model.h"

#include <algorithm>
#include <utility>

#include "events/mapping_at.h"

namespace memwhy::timeline {
namespace {

PageRange clamped(PageNumber page, uint64_t count) {
  if (page >= kPageLimit) return {};
  return {page, std::min(page + count, kPageLimit)};
}

PageRange overlap(PageRange a, PageRange b) { return {std::max(a.start, b.start), std::min(a.end, b.end)}; }

// The first part of `pages` that is in one of the ranges; none: empty, at the end.
PageRange first_of(const std::vector<PageRange>& ranges, PageRange pages) {
  PageRange first = {pages.end, pages.end};
  for (const PageRange& range : ranges) {
    const PageRange part = overlap(range, pages);
    if (!part.empty() && part.start < first.start) first = part;
  }
  return first;
}

// Adds pages to a list of runs of equal words.
void add_pages(std::vector<PageModel::Grave>& graves, PageRange pages, PageWord word, uint64_t tick) {
  if (!graves.empty()) {
    PageModel::Grave& last = graves.back();
    if (last.pages.end == pages.start && last.word == word && last.tick == tick) {
      last.pages.end = pages.end;
      return;
    }
  }
  graves.push_back({tick, pages, word});
}

}  // namespace

uint32_t vma_index(const std::vector<events::Vma>& vmas, PageNumber page) {
  const events::Vma* vma = events::mapping_at(vmas, page << kPageShift);
  return vma == nullptr ? kNoVma : static_cast<uint32_t>(vma - vmas.data());
}

void PageModel::bury(PageRange pages, PageWord word, uint64_t tick) {
  if (graves_.size() >= kMaxGraves) graves_.erase(graves_.begin(), graves_.begin() + kMaxGraves / 2);
  add_pages(graves_, pages, word, tick);
}

// As of the last scan; `end` is brought down to where it changes.
std::optional<PageEvidence> PageModel::evidence(PageNumber page) {
  settle();
  ChunkWords words;
  if (!table_.load(page / kChunkPages, words)) return std::nullopt;
  const PageWord word = words[page % kChunkPages];
  if (word.empty() || !word.has(PageWord::kResident)) return std::nullopt;
  return PageEvidence{word.how(), stacks_->id(word.stack())};
}

bool PageModel::carried(PageNumber page, uint64_t tick) const {
  return std::any_of(moves_.begin(), moves_.end(), [&](const Move& move) {
    return move.tick == tick && page >= move.to.start && page < move.to.end &&
           page - move.to.start < move.from.pages();
  });
}

void PageModel::note_left(PageRange pages, PageWord word) {
  const std::vector<events::Vma>& vmas = *scan_vmas_;
  while (!pages.empty()) {
    PageNumber end = pages.end;
    const uint64_t address = pages.start << kPageShift;
    const auto it = events::first_ending_after(vmas, address);
    const bool inside = it != vmas.end() && it->range.start <= address;
    // To the first page with a start beyond the mapping, or in the next one.
    if (it != vmas.end()) {
      const uint64_t edge = inside ? it->range.end : it->range.start;
      end = std::min(end, ((edge - 1) >> kPageShift) + 1);
    }
    const RuntimeUse by = claim_at(scan_runtimes_.get(), pages.start, end);
    left_.add(inside ? static_cast<uint32_t>(it - vmas.begin()) : kNoVma, by, word, end - pages.start,
              table_.absolute(word), ages_);
    pages.start = end;
  }
}

void PageModel::apply_run(const events::TableRun& run, How how, bool known, uint64_t fork_tick) {
  const PageRange pages = clamped(run.page, run.count);
  if (pages.empty()) return;
  const uint8_t flags = (run.flags & events::kFaultWrite) != 0 ? PageWord::kWrite : 0;
  const uint64_t tick = run.tick;
  const PageWord word(how, stacks_->index(run.stack), table_.relative(tick), flags);

  // Nearly always nothing was moved since.
  const Piece whole{pages, tick, false, false};
  if (moves_.empty() || newest_move_ < tick) return place(whole, word, known, fork_tick);
  std::vector<Piece> pieces{whole};
  carry(pieces, tick, word, known);
  for (const Piece& piece : pieces) place(piece, word, known, fork_tick);
}

// Puts a piece of an entry where it lies, but for what was removed there since.
void PageModel::place(const Piece& piece, PageWord word, bool known, uint64_t fork_tick) {
  const PageWord placed = piece.moved ? word.moved() : word;
  const auto alive = [&](PageRange part) {
    if (freed_.newest() < piece.since)
      return put(part, piece.lazy ? placed.with(PageWord::kLazy) : placed, known, fork_tick);
    freed_.each(part, [&](PageRange sub, uint64_t freed) {
      const bool lazy = piece.lazy || (freed != 0 && freed >= piece.since);
      put(sub, lazy ? placed.with(PageWord::kLazy) : placed, known, fork_tick);
    });
  };
  if (removed_.newest() <= piece.since) return alive(piece.pages);
  removed_.each(piece.pages, [&](PageRange part, uint64_t removed) {
    if (removed <= piece.since) {
      alive(part);
    } else if (!known) {
      bury(part, placed, removed);  // gone before its event arrived
    }
  });
}

// Takes the pieces of an entry of `tick` through the moves that happened since. Where they were is remembered: a scan that
// began before a move may have found them there.
void PageModel::carry(std::vector<Piece>& pieces, uint64_t tick, PageWord word, bool known) {
  for (const Move& move : moves_) {
    if (move.tick < tick) continue;
    for (size_t i = 0, n = pieces.size(); i < n; ++i) {
      const Piece piece = pieces[i];
      const PageRange taken = overlap(piece.pages, move.from);
      if (taken.empty() || move.tick < piece.since) continue;
      pieces[i].pages = {piece.pages.start, taken.start};
      if (taken.end < piece.pages.end)
        pieces.push_back({{taken.end, piece.pages.end}, piece.since, piece.lazy, piece.moved});
      move.removed.each(taken, [&](PageRange part, uint64_t removed) {
        if (removed > piece.since) return;
        if (!known && move.tick >= scans_.start) bury(part, piece.moved ? word.moved() : word, move.tick);
        move.freed.each(part, [&](PageRange sub, uint64_t freed) {
          const PageNumber to = move.to.start + (sub.start - move.from.start);
          const PageRange there = overlap({to, to + sub.pages()}, move.to);
          const bool lazy = piece.lazy || (freed != 0 && freed >= piece.since);
          for (PageNumber at = there.start; at < there.end;) {
            const PageRange rest = {at, there.end}, gone = first_of(move.gone, rest);
            if (at < gone.start) pieces.push_back({{at, gone.start}, move.tick, lazy, true});
            if (!known && !gone.empty()) bury(gone, word.moved(), move.tick);
            at = gone.end;
          }
        });
      });
    }
    std::erase_if(pieces, [](const Piece& piece) { return piece.pages.empty(); });
  }
}

// Does the entry `word` replace what is known of a page?
bool PageModel::accepts(PageWord old, PageWord word, bool known, uint64_t fork_tick) const {
  const uint64_t tick = word.tick();
  if (word.how() == How::kInherited) {
    if (old.empty()) return true;
    if (table_.absolute(word) >= fork_tick)
      return old.how() == How::kUnknown;  // in the tick of the fork: better than nothing, no more
    return old.how() == How::kInherited ? old.tick() <= tick : old.weak() && tick <= old.tick();
  }
  if (!known) return !old.own() || old.tick() <= tick;
  // Received before, or missed in a damaged trace. The kernel's table keeps entries of pages that are long gone,
  // so this one counts for the present page only when nothing better is known and no scan found the page
  // absent since.
  const uint64_t absolute = table_.absolute(word);
  if (old.empty()) return absolute >= scans_.start;
  if (old.weak())
    return absolute >= (table_.absolute(old) == scans_.start ? scans_.before : table_.absolute(old));
  return old.how() <= How::kKernelFault && old.tick() <= tick;
}

void PageModel::put(PageRange pages, PageWord word, bool known, uint64_t fork_tick) {
  const bool after_scan = scans_.count != 0 && table_.absolute(word) > scans_.start;
  steps_ += table_.each(pages, false, [&](PageRange part, PageWord& old) {
    if (!accepts(old, word, known, fork_tick)) return;
    PageWord now = word;
    if (old.has(PageWord::kResident)) {
      // Another stack's fault since the scan: other content now (copy on write, or gone and back).
      if (after_scan && old.stack() != word.stack()) {
        note_left(part, old);
      } else {
        now = now.with(PageWord::kResident);
      }
    }
    if (old.has(PageWord::kLazy) && !word.has(PageWord::kWrite) && old.tick() <= word.tick())
      now = now.with(PageWord::kLazy);
    // The same entry again.
    if (old.own() && old.tick() == word.tick() && old.stack() == word.stack()) now = now.with(old.flags());
    old = now;
  });
}

void PageModel::do_remove(PageRange range, uint64_t tick) {
  removed_.raise(range, tick);
  for (auto move = moves_.rbegin(); move != moves_.rend() && move->tick == tick; ++move)
    if (const PageRange gone = overlap(range, move->to); !gone.empty()) move->gone.push_back(gone);
  const uint64_t relative = table_.relative(tick);
  steps_ += table_.each(range, true, [&](PageRange part, PageWord& word) {
    if (word.empty() || word.tick() >= relative) return;
    if (word.has(PageWord::kResident)) note_left(part, word);
    bury(part, word, tick);
    word = PageWord();
  });
}

void PageModel::do_free(PageRange range, uint64_t tick) {
  freed_.raise(range, tick);
  const uint64_t relative = table_.relative(tick);
  steps_ += table_.each(range, true, [&](PageRange, PageWord& word) {
    if (!word.empty() && word.tick() <= relative) word = word.with(PageWord::kLazy);
  });
}

void PageModel::do_move(PageRange from, PageRange to, uint64_t tick) {
  if (from.start == to.start) {  // in place: only what was cut off leaves
    if (to.end < from.end) do_remove({to.end, from.end}, tick);
    return;
  }
  Move move{from, to, tick, removed_.within(from), freed_.within(from), {}};
  const uint64_t relative = table_.relative(tick);
  std::vector<Grave> carried;
  steps_ += table_.each(from, true, [&](PageRange part, PageWord& word) {
    if (word.empty() || word.tick() > relative) return;
    const PageNumber there = to.start + (part.start - from.start);
    const PageNumber fits = there < to.end ? std::min(part.pages(), to.end - there) : 0;
    if (fits != 0) add_pages(carried, {there, there + fits}, word.moved(), 0);
    if (fits != part.pages() && word.has(PageWord::kResident)) note_left({part.start + fits, part.end}, word);
    bury(part, word, tick);
    word = PageWord();
  });
  do_remove(to, tick);
  removed_.raise(from, tick);
  for (const Grave& run : carried) {
    steps_ += table_.each(run.pages, false, [&](PageRange part, PageWord& word) {
      if (word.own() && word.tick() > run.word.tick()) {  // faulted since: the carried page is gone again
        if (run.word.has(PageWord::kResident)) note_left(part, run.word);
        return;
      }
      word = run.word;
    });
  }
  if (moves_.size() >= kMaxMoves) {
    lost(moves_[kMaxMoves / 2].tick);
    moves_.erase(moves_.begin(), moves_.begin() + kMaxMoves / 2);
  }
  newest_move_ = std::max(newest_move_, tick);
  moves_.push_back(std::move(move));
}

void PageModel::lost(uint64_t tick) { doubt_tick_ = std::max(doubt_tick_, tick); }

void PageModel::fork_from(PageModel& parent, uint64_t tick, uint64_t window) {
  parent.settle();
  table_ = parent.table_.forked();
  // Only entries that have not arrived yet will still come in, from the parent or from its parents.
  inherits_since_ = parent.unheard_since(tick);
  inherits_until_ = tick + window;
  removed_ = parent.removed_.since(inherits_since_);
  freed_ = parent.freed_.since(inherits_since_);
  moves_.clear();
  for (const Move& move : parent.moves_) {
    if (move.tick >= inherits_since_) moves_.push_back(move);
    newest_move_ = std::max(newest_move_, move.tick);
  }
}

// No entry that is older than this will arrive for the first time.
uint64_t PageModel::unheard_since(uint64_t now) const {
  const uint64_t own = as_of_ > kEntrySlackTicks ? as_of_ - kEntrySlackTicks : 0;
  return now <= inherits_until_ ? std::min(own, inherits_since_) : own;
}

void PageModel::drop() {
  waiting_ = std::vector<Waiting>();  // {} would keep the room
  waiting_weight_ = shared_weight_ = 0;
  table_.clear();
  removed_.clear();
  freed_.clear();
  moves_ = std::vector<Move>();
  graves_ = std::vector<Grave>();
  left_.clear();
}

void PageModel::scanned(Scanned pass) {
  left_ = std::move(pass.left);
  scan_vmas_ = std::move(pass.vmas);
  scan_runtimes_ = std::move(pass.runtimes);
  std::erase_if(graves_, [&](const Grave& grave) { return grave.tick < pass.oldest_grave; });
  if (!pass.complete) return;
  scans_ = {pass.start, scans_.start, scans_.count + 1};
  doubt_tick_ = 0;
  trim();
}

void PageModel::trim() {
  uint64_t horizon = scans_.before;
  if (as_of_ != 0) {
    horizon = std::min(horizon, unheard_since(scans_.start));
  } else if (scans_.start <= inherits_until_) {
    horizon = std::min(horizon, inherits_since_);
  }
  removed_.forget_before(horizon);
  freed_.forget_before(horizon);
  std::erase_if(moves_, [horizon](const Move& move) { return move.tick < horizon; });
}

size_t PageModel::memory_bytes() const {
  size_t bytes = table_.memory_bytes() + removed_.memory_bytes() + freed_.memory_bytes() +
                 graves_.capacity() * sizeof(Grave) + moves_.capacity() * sizeof(Move);
  bytes += waiting_.capacity() * sizeof(Waiting);
  for (const Waiting& heard : waiting_) {
    if (heard.runs != nullptr)
      bytes +=
          heard.runs->capacity() * sizeof(events::TableRun) / static_cast<size_t>(heard.runs.use_count());
  }
  for (const Move& move : moves_) bytes += move.removed.memory_bytes() + move.freed.memory_bytes();
  return bytes;
}

}  // namespace memwhy::timeline
