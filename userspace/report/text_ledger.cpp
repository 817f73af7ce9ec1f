// SPDX-License-Identifier: Apache-2.0
// The ledger as a table, its largest pieces, and how long they have been there. Numbers of a column are rounded together:
// what is printed adds up to what is printed below the line.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "base/whole.h"
#include "explain/heaviest.h"
#include "explain/short_names.h"
#include "explain/units.h"
#include "report/clock.h"
#include "report/layout.h"
#include "report/names.h"
#include "report/text_go.h"
#include "report/text_parts.h"

namespace memwhy::report {
namespace {

using explain::Attribution;
using explain::Entry;
using explain::EntryWhat;
using explain::FoldedFrame;
using explain::LedgerLine;
using explain::ProcessExplanation;

// Of the screen: owners with less than half a percent are added up; pieces below a percent reveal nothing.
constexpr size_t kOwnersShown = 10, kPiecesShown = 8, kPiecesOfAnOwner = 3;
constexpr uint64_t kSmall = 5, kSmallPiece = 10;  // permille of RSS
constexpr size_t kBar = 20, kLeastWidth = 20;
// Of `full`.
constexpr size_t kFramesPerStack = 16, kEventsShown = 50;

std::string in_unit(double bytes, const Unit& unit) {
  return tenths_text(tenths({nearest(bytes)}, unit.bytes).front());
}

std::string growth_text(const std::optional<double>& bytes_per_s, const Unit& unit) {
  if (!bytes_per_s) return "?";
  const std::string number = in_unit(std::abs(*bytes_per_s) * 60, unit);
  if (number == "0.0") return number;
  return (*bytes_per_s < 0 ? "-" : "+") + number;
}

// How many lines of the ledger are shown: all of `full`, and none below `min_share`.
size_t owners_shown(const std::vector<uint64_t>& permille, bool full, double min_share) {
  const auto least = static_cast<uint64_t>(std::ceil(min_share * 1000));
  size_t large = permille.size();
  while (large > 0 && permille[large - 1] < least) --large;
  if (full) return large;
  size_t shown = 0;
  while (shown < large && shown < kOwnersShown && (shown < 3 || permille[shown] >= kSmall)) ++shown;
  return large == permille.size() && large - shown == 1 ? large : shown;  // one more is as long as "1 more"
}

std::string row(uint64_t bytes_tenths, uint64_t permille, std::string_view growth, std::string_view owner) {
  return fmt::format("  {:>10}  {:>5} %  {:>9}  {}", tenths_text(bytes_tenths), tenths_text(permille), growth,
                     owner);
}

struct Piece {
  const LedgerLine* line;
  Entry entry;
};

std::vector<Piece> heaviest_pieces(const ProcessExplanation& process) {
  std::vector<Piece> out;
  for (const LedgerLine& line : process.ledger)
    for (const Entry& entry : explain::heaviest(process.attribution, line, kPiecesOfAnOwner))
      if (entry.bytes * 1000 >= process.rss.bytes * kSmallPiece) out.push_back({&line, entry});
  std::stable_sort(out.begin(), out.end(),
                   [](const Piece& a, const Piece& b) { return a.entry.bytes > b.entry.bytes; });
  if (out.size() > kPiecesShown) out.resize(kPiecesShown);
  return out;
}

// Whether there is more of a recursion than was recorded: the stack was cut in it.
bool goes_on(const Attribution& all, const Entry& entry, const std::vector<FoldedFrame>& frames,
             const FoldedFrame& one) {
  return entry.stack < all.stacks.size() && all.stacks[entry.stack].trust == explain::StackTrust::kCut &&
         one.first == frames.back().first;
}

std::string frame_text(const FoldedFrame& one, bool goes_on) {
  return escape(text_of(one.frame, explain::FrameText::kNoPath)) + recursion_text(one, goes_on);
}

// The program's own frame and what called it, as many as fit: helpers, the allocator and the runtime mean less to the program's
// author. A frame without a name is said where the first with one is of another file: it is not that one's doing.
std::vector<FoldedFrame> own_frames(const std::vector<FoldedFrame>& frames) {
  std::vector<FoldedFrame> own;
  const FoldedFrame* nameless = nullptr;
  for (const FoldedFrame& one : frames) {
    if (one.frame.kind == explain::FrameKind::kProgram) {
      if (own.empty() && nameless != nullptr && nameless->frame.module != one.frame.module)
        own.push_back(*nameless);
      own.push_back(one);
    } else if (one.frame.kind == explain::FrameKind::kUnknown && nameless == nullptr) {
      nameless = &one;
    }
  }
  if (own.empty() && nameless != nullptr) own.push_back(*nameless);
  return own;
}

std::string stack_text(const Attribution& all, const Entry& entry, size_t width) {
  const std::vector<FoldedFrame> frames = folded_of(all, entry), own = own_frames(frames);
  std::string out;
  for (const FoldedFrame& one : own.empty() ? frames : own) {
    const std::string whole = frame_text(one, goes_on(all, entry, frames, one));
    if (out.empty()) {
      out = whole;
      continue;
    }
    const std::string name = escape(explain::short_function(one.frame.function));
    const size_t room = width - std::min(width, columns(out) + 3);
    const std::string& next = columns(whole) <= room ? whole : name;
    if (next.empty() || columns(next) > room) break;
    out += " < " + next;
  }
  return out.empty() ? "(no frame is known)" : out;
}

std::string piece_text(const Attribution& all, const Entry& entry, size_t width) {
  if (entry.what == EntryWhat::kStack) return stack_text(all, entry, width);
  const std::string how = entry.how ? fmt::format(" ({})", word(*entry.how)) : "";
  return escape(name_of(all, entry)) + how;
}

void print_entry(Page& page, const Attribution& all, const Entry& entry) {
  const std::string bytes = fmt::format("    {:>12}  ", human_bytes(entry.bytes));
  std::string says = how_text(entry);
  if (!says.empty()) says += ", ";
  // Before attach: seen since the first scan, and older than that.
  const bool before = entry.how == timeline::How::kBeforeAttach;
  says += !entry.age_s ? "age unknown"
                       : fmt::format("{} {}", before ? "for more than" : "oldest",
                                     explain::human_seconds(*entry.age_s));
  if (entry.what != EntryWhat::kStack) {
    page.paragraph(bytes, fmt::format("{} ({})", escape(name_of(all, entry)), says));
    return;
  }
  const bool truncated = entry.stack < all.stacks.size() && all.stacks[entry.stack].truncated;
  page.paragraph(bytes, fmt::format("stack ({}{})", says, truncated ? ", truncated" : ""));
  const std::vector<FoldedFrame> frames = folded_of(all, entry);
  const size_t shown = std::min(frames.size(), kFramesPerStack);
  const std::string indent(bytes.size() + 2, ' ');
  bool certain = entry.stack < all.stacks.size();
  for (size_t i = 0; i < shown; ++i) {
    if (certain && frames[i].first >= all.stacks[entry.stack].certain) {
      page.line(indent + "... (from here on by frame pointers)");
      certain = false;
    }
    page.paragraph(indent, frame_text(frames[i], goes_on(all, entry, frames, frames[i])));
  }
  if (frames.empty()) page.line(indent + "(no frame is known)");
  if (frames.size() > shown) page.line(fmt::format("{}... {} more frames", indent, frames.size() - shown));
  if (frames.size() == shown && !frames.empty() && truncated && certain) page.line(indent + "...");
}

}  // namespace

void print_ledger(Page& page, const ProcessExplanation& process, bool full, double min_share) {
  const Unit unit = unit_for(process.rss.bytes);
  std::vector<uint64_t> bytes;
  for (const LedgerLine& each : process.ledger) bytes.push_back(each.bytes);
  const std::vector<uint64_t> column = tenths(bytes, unit.bytes), shares = permille(bytes);
  const size_t shown = owners_shown(shares, full, min_share);
  page.line(
      fmt::format("  {:>10}  {:>7}  {:>9}  owner", unit.name, "share", fmt::format("{}/min", unit.name)),
      Ink::kDim);
  size_t widest = 0;
  for (size_t i = 0; i < shown; ++i) widest = std::max(widest, process.ledger[i].id().size());
  uint64_t sum = 0, rest = 0, rest_share = 0;
  for (size_t i = 0; i < column.size(); ++i) {
    sum += column[i];
    if (i >= shown) {
      rest += column[i];
      rest_share += shares[i];
      continue;
    }
    const LedgerLine& each = process.ledger[i];
    const std::string text = row(column[i], shares[i], growth_text(each.growth_bytes_per_s, unit), each.id());
    const std::string padding(widest - each.id().size() + 2, ' ');
    const std::string bar = page.bar(shares[i], kBar);
    page.line(bar.empty()
                  ? text
                  : text + padding + page.painted(bar, each.in_heap_profile ? Ink::kGreen : Ink::kYellow));
  }
  if (shown < column.size())
    page.line(row(rest, rest_share, "", fmt::format("{} smaller ones", column.size() - shown)));
  page.line(
      row(sum, column.empty() ? 0 : 1000, "", fmt::format("resident: {} bytes", grouped(process.rss.bytes))),
      Ink::kBold);
  page.blank();
}

void print_pieces(Page& page, const ProcessExplanation& process) {
  const std::vector<Piece> pieces = heaviest_pieces(process);
  if (pieces.empty()) return;
  page.line("Largest pieces", Ink::kBold);
  size_t widest = 0;
  for (const Piece& piece : pieces) widest = std::max(widest, piece.line->id().size());
  for (const Piece& piece : pieces) {
    const std::string first =
        fmt::format("  {:>10}  {:<{}}  ", human_bytes(piece.entry.bytes), piece.line->id(), widest);
    const size_t width =
        std::max(page.style().width - std::min(page.style().width, first.size()), kLeastWidth);
    page.line(first + cut(piece_text(process.attribution, piece.entry, width), width));
  }
  page.blank();
}

void print_evidence(Page& page, const ProcessExplanation& process) {
  page.line("What holds it", Ink::kBold);
  for (const LedgerLine& each : process.ledger) {
    page.paragraph("  ", fmt::format("{}: {}", each.id(), each.label()));
    for (const Entry& entry : explain::heaviest(process.attribution, each))
      print_entry(page, process.attribution, entry);
  }
  page.blank();
}

void print_retention(Page& page, const ProcessExplanation& process) {
  const Unit unit = unit_for(process.rss.bytes);
  page.paragraph("",
                 fmt::format("Page retention: {} resident for longer than; {} that came and went per second",
                             unit.name, unit.name),
                 Ink::kBold);
  page.line(fmt::format("{:>9} {:>9} {:>9} {:>9} {:>8} {:>8}  owner", "10 s", "1 min", "10 min", "1 h",
                        "in/s", "out/s"),
            Ink::kDim);
  for (const LedgerLine& each : process.ledger) {
    const auto rate = [&](const std::optional<double>& value) { return value ? in_unit(*value, unit) : "?"; };
    const auto age = [&](size_t i) {
      return each.ages_known ? in_unit(static_cast<double>(each.ages[i]), unit) : "-";
    };
    page.line(fmt::format("{:>9} {:>9} {:>9} {:>9} {:>8} {:>8}  {}", age(0), age(1), age(2), age(3),
                          rate(each.arrived_bytes_per_s), rate(each.left_bytes_per_s), each.id()));
  }
  page.blank();
}

void print_events(Page& page, const explain::Explanation& all, const ProcessExplanation& process) {
  std::vector<explain::TimelineEvent> shown;  // collections are too many: go_lines() has their sum
  std::copy_if(
      process.events.begin(), process.events.end(), std::back_inserter(shown),
      [](const explain::TimelineEvent& event) { return event.what != explain::EventWhat::kCollection; });
  if (shown.empty()) return;
  page.line("What happened", Ink::kBold);
  for (size_t i = 0; i < std::min(shown.size(), kEventsShown); ++i) {
    const explain::TimelineEvent& event = shown[i];
    const double after = event.time >= all.start ? static_cast<double>(event.time - all.start) / 1e9 : 0;
    page.paragraph(fmt::format("  {:>9}  {:<5} ", fmt::format("+{:.1f} s", after), word(event.what)),
                   escape(event.text));
  }
  if (shown.size() > kEventsShown)
    page.line(fmt::format("  ... {} more in --json", shown.size() - kEventsShown));
  page.blank();
}

}  // namespace memwhy::report
