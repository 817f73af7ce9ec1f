// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "base/whole.h"
#include "explain/allocator_words.h"
#include "explain/rules/causes.h"
#include "explain/rules/chunk_words.h"
#include "explain/rules/rss_growth.h"
#include "explain/rules/rule.h"
#include "explain/runtimes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kProblemBytes = uint64_t{16} << 20;
constexpr double kProblemShare = 0.10;

// A mapping, a file, or the program's own function that brought pages in.
struct Heavy {
  std::string what;
  bool by = false;      // a function
  bool helper = false;  // of libc or an allocator: who called it is unknown
  uint64_t bytes = 0;
};

std::string touched_text(const Heavy& by_code) {
  return fmt::format("{} by {}", human_bytes(by_code.bytes), by_code.what);
}

bool is_go_function(const Frame& frame) {
  return frame.function.find('.') != std::string::npos && frame.function.find("::") == std::string::npos;
}

// The program's frame that says most, and what stands beside it: the function of the standard library of Go that it called,
// or, where it is a library's, who called that.
//
//   main.consume (main.go:27) in time.After          Java_java_util_zip_Deflater_init (libzip.so) in libz.so.1.2.13
std::string text_of_site(const std::vector<Frame>& frames, FrameText how) {
  const Frame telling = telling_frame(frames);
  const auto at = std::find(frames.begin(), frames.end(), telling);
  if (at == frames.end()) return text_of(telling, how);
  if (at != frames.begin()) {
    const Frame& called = *std::prev(at);
    if (called.kind == FrameKind::kLibrary && is_go_function(called))
      return fmt::format("{} in {}", text_of(telling, how), called.function);
  }
  // A runtime is no library that acts for who calls it.
  if (telling.function.empty() || telling.module.find(".so") == std::string::npos ||
      unread_runtime(telling.module) != nullptr)
    return text_of(telling, how);
  const auto caller =
      std::find_if(at, frames.end(), [&](const Frame& frame) { return frame.module != telling.module; });
  if (caller == frames.end() || caller->kind != FrameKind::kProgram || caller->function.empty())
    return text_of(telling, how);
  return fmt::format("{} in {}", text_of(*caller, how), telling.module);
}

// The entries of an owner's line, heaviest first. Stacks of which the program's own frame is the same are one.
std::vector<Heavy> heaviest_of(const Case& c, Owner owner) {
  std::vector<Heavy> out;
  const LedgerLine* line = line_of(c.ledger, owner);
  if (line == nullptr) return out;
  for (const Entry& entry : heaviest(c.attribution, *line)) {
    const std::vector<Frame> frames = c.attribution.frames_of(entry.stack);
    if (entry.what == EntryWhat::kStack && frames.empty()) continue;
    Heavy next{"", entry.what == EntryWhat::kStack, false, entry.bytes};
    if (next.by) {
      const FrameKind kind = telling_frame(frames).kind;
      next.helper = kind == FrameKind::kLibc || kind == FrameKind::kAllocator;
    }
    const FrameText text = text_style(entry) == FrameText::kWhole ? FrameText::kNoPath : text_style(entry);
    next.what = next.by ? text_of_site(frames, text) : name_of(c.attribution, entry);
    const auto same = std::find_if(out.begin(), out.end(), [&](const Heavy& each) {
      return each.by && next.by && each.what == next.what;
    });
    if (same != out.end())
      same->bytes += next.bytes;
    else
      out.push_back(std::move(next));
  }
  std::stable_sort(out.begin(), out.end(), [](const Heavy& a, const Heavy& b) { return a.bytes > b.bytes; });
  return out;
}

// Pages of a managed heap are first touched by its collector, or by its own allocation: that does not show what uses them.
bool is_managed(std::string_view id) {
  return id.starts_with("java.heap") || id.starts_with("v8.heap") || id.starts_with("js.heap") ||
         id.starts_with("php.heap");
}

// ", 401.1 MiB of it by manual.New (manual.go:40)", where that is most of it.
std::string by_whom(const Case& c, const LedgerLine& line) {
  if (is_managed(line.id())) return "";
  const std::string most = touched_most(c, line.owner);
  return most.empty() ? "" : ", " + most;
}

// ", 400.0 MiB of it in huge pages", where that is most of it.
std::string in_huge_pages(const Case& c, const LedgerLine& line) {
  if (kind_of(line.owner) != Kind::kAnonymous || line.huge_bytes * 2 < line.bytes ||
      line.huge_bytes < problem_threshold(c.ledger))
    return "";
  return fmt::format(", {} of it in huge pages", human_bytes(line.huge_bytes));
}

// ", +120.0 MiB/min" where a minute changes it by a hundredth. A Go heap rises in steps: its books show more.
std::string rate_of(const LedgerLine& line) {
  const double rate = line.growth_bytes_per_s.value_or(0);
  if (kind_of(line.owner) == Kind::kGo || std::abs(rate) * 60 < static_cast<double>(line.bytes) / 100)
    return "";
  Trend trend;
  trend.bytes_per_s = rate;
  return growth_clause(trend);
}

// The size that most of malloc's bytes have.
void add_chunks(const Case& c, Finding& finding) {
  const AllocatorFacts* const facts =
      largest_c_heap(c.allocators, [](const AllocatorFacts& each) { return each.heap->used_bytes; });
  if (facts == nullptr || facts->sizes.empty()) return;
  const std::vector<events::AllocatorSize>& sizes = facts->sizes.back().heap->sizes;
  const auto most = std::max_element(sizes.begin(), sizes.end(),
                                     [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
  if (most == sizes.end() || most->bytes * 10 < finding.bytes) return;
  finding.evidence.push_back(
      fmt::format("{} of it are {}", virtual_text(most->bytes, finding.bytes), size_text(most->chunk_bytes)));
  finding.bytes_figure("chunk_bytes", most->bytes);
}

// If no rule covers the largest owner, it is named all the same: it is where the bytes are.
Finding largest_owner(const Case& c) {
  const LedgerLine& line = c.ledger.lines.front();
  Finding finding;
  finding.id = "largest-owner";
  finding.bytes = line.bytes;
  finding.growth_bytes_per_s = line.growth_bytes_per_s;
  const std::string huge = in_huge_pages(c, line);
  const bool most = line.bytes * 2 > c.ledger.rss.bytes;
  finding.headline = fmt::format("{}, {}, is {}{}", most ? "most of it" : "the largest part",
                                 bytes_and_share(line.bytes, c.ledger), line.id(), huge);
  finding.claim =
      fmt::format("{} of {} is {}: {}{}{}{}.", most ? "Most" : "The largest part", c.process.comm, line.id(),
                  bytes_and_share(line.bytes, c.ledger), rate_of(line), huge, by_whom(c, line));
  finding.confidence = Confidence::kMedium;
  finding.remedy = "None needed: this says where the memory is, not that it is too much.";
  finding.evidence.emplace_back(line.label());
  if (!huge.empty()) {
    finding.evidence.emplace_back(kHugeIsWhole);
    finding.bytes_figure("huge_bytes", line.huge_bytes);
  }
  const bool before = line.owner == Owner::kAnonBeforeAttach || line.owner == Owner::kAnonMapped;
  if (line.owner == Owner::kUnattributed || before) finding.confidence = Confidence::kLow;
  if (line.owner == Owner::kCHeapUsed) add_chunks(c, finding);
  for (std::string& entry : heaviest_texts(c, line.owner, 3)) finding.evidence.push_back(std::move(entry));
  if (before) {
    finding.against.emplace_back(kTouchedBefore);
  }
  return finding;
}

// A cause that explains most of the largest line is more use than the line's name.
bool speaks_of(const Finding& finding, const LedgerLine& line) {
  return finding.bytes * 2 >= line.bytes &&
         std::find(finding.owners.begin(), finding.owners.end(), line.owner) != finding.owners.end();
}

// What a rule said that knows more than another is said once:
// - buffers of Go's tracer that grow are anon.other where their mapping was there before memwhy attached;
// - javascript-heap has the sentence of managed-heap, and that the heap rises.
void drop_what_another_said(std::vector<std::optional<Finding>>& judged) {
  std::optional<Finding> none;
  const auto said = [&](std::string_view id) -> std::optional<Finding>& {
    const auto at = std::ranges::find_if(judged, [&](const auto& each) { return each && each->id == id; });
    return at == judged.end() ? none : *at;
  };
  std::optional<Finding>&anonymous = said("anon-growth"), &trace = said("trace-buffers");
  if (anonymous && trace && trace->kind == FindingKind::kProblem &&
      trace->growth_bytes_per_s.value_or(0) * 2 >= anonymous->growth_bytes_per_s.value_or(0))
    anonymous.reset();
  if (std::optional<Finding>& own = said("own-mappings");
      anonymous && own && anonymous->owners == own->owners)
    own.reset();
  std::optional<Finding>&managed = said("managed-heap"), &javascript = said("javascript-heap");
  if (managed && javascript && managed->kind != FindingKind::kProblem &&
      std::ranges::count(javascript->owners, managed->owners.front()) != 0)
    managed.reset();
}

// An attribute of memory comes after what the memory is; that the process was killed comes before.
bool is_aside(const Finding& finding) { return finding.of_other_owners && finding.id != "oom-kill"; }

}  // namespace

uint64_t problem_threshold(const Ledger& ledger) {
  return std::max(kProblemBytes, whole(kProblemShare * static_cast<double>(ledger.rss.bytes)));
}

double share_of(uint64_t bytes, const Ledger& ledger) {
  return ledger.rss.bytes == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(ledger.rss.bytes);
}

const LedgerLine* line_of(const Ledger& ledger, Owner owner) {
  for (const LedgerLine& line : ledger.lines) {
    if (line.owner == owner) return &line;
  }
  return nullptr;
}

const LedgerLine* line_of(const Ledger& ledger, std::string_view id) {
  for (const LedgerLine& line : ledger.lines) {
    if (line.id() == id) return &line;
  }
  return nullptr;
}

const AllocatorFacts* allocator_facts(const Case& c, std::string_view allocator) {
  const auto found = std::find_if(c.allocators.begin(), c.allocators.end(), [&](const AllocatorFacts& each) {
    return each.heap->allocator == allocator;
  });
  return found == c.allocators.end() ? nullptr : &*found;
}

std::vector<std::string> heaviest_texts(const Case& c, Owner owner, size_t most) {
  std::vector<std::string> out;
  for (const Heavy& each : heaviest_of(c, owner)) {
    if (out.size() == most) break;
    out.push_back(each.by ? touched_text(each) : fmt::format("{}: {}", each.what, human_bytes(each.bytes)));
  }
  return out;
}

std::vector<std::string> touched_texts(const Case& c, Owner owner, size_t most) {
  std::vector<std::string> out;
  for (const Heavy& each : heaviest_of(c, owner)) {
    if (out.size() == most) break;
    if (each.by) out.push_back("pages first touched: " + touched_text(each));
  }
  return out;
}

std::string touched_most(const Case& c, Owner owner, std::string_view by) {
  const std::vector<Heavy> heavy = heaviest_of(c, owner);
  if (heavy.empty() || !heavy.front().by || heavy.front().helper ||
      heavy.front().bytes * 2 < of(c.ledger.bytes, owner))
    return "";
  return fmt::format("{} of it {} {}", human_bytes(heavy.front().bytes), by, heavy.front().what);
}

std::string bytes_and_share(uint64_t bytes, const Ledger& ledger) {
  return fmt::format("{} ({})", human_bytes(bytes), human_share(share_of(bytes, ledger)));
}

bool has_runtime(const Case& c, bool UnreadRuntime::*that) {
  return std::ranges::any_of(c.attribution.mappings, [that](const Mapping& mapping) {
    const UnreadRuntime* runtime = unread_runtime(mapping.file);
    return runtime != nullptr && runtime->*that;
  });
}

bool collects_unseen(const Case& c) { return has_runtime(c, &UnreadRuntime::collects); }

bool all_locked(const Case& c) {
  return c.process.counters && c.process.counters->locked_bytes / 9 >= c.ledger.rss.bytes / 10;
}

double lasting_seconds(const Case& c) {
  constexpr double kCollected = 300;
  return collects_unseen(c) ? kCollected : kLastingSeconds;
}

std::string collected_text(uint64_t collections) {
  return fmt::format("the runtime collected {} time{} in that time", collections,
                     collections == 1 ? "" : "s");
}

std::string growth_clause(const Trend& trend) {
  if (!trend.bytes_per_s || std::abs(*trend.bytes_per_s) * 60 < 1024) return "";
  return ", " + human_rate_per_min(*trend.bytes_per_s);
}

std::string grown_text(const Trend& trend) {
  return fmt::format("rose by {} in {}, in each quarter of it and until the end",
                     human_bytes(trend.grown_bytes), human_seconds(trend.shown_seconds));
}

const std::vector<const Rule*>& all_rules() {
#define MEMWHY_LIST_CAUSE(name) &name##_rule(),
  static const std::vector<const Rule*> kRules = {MEMWHY_CAUSES(MEMWHY_LIST_CAUSE)};
#undef MEMWHY_LIST_CAUSE
  return kRules;
}

std::vector<Finding> findings(const Case& c) {
  std::vector<Finding> out;
  if (c.ledger.lines.empty()) return out;
  bool largest_explained = false;
  std::vector<std::optional<Finding>> judged;
  for (const Rule* rule : all_rules()) judged.push_back(rule->judge(c));
  drop_what_another_said(judged);
  judged.push_back(rss_growth(c, judged));
  for (std::optional<Finding>& finding : judged) {
    if (!finding) continue;
    finding->share = share_of(finding->bytes, c.ledger);
    uint64_t family = 0;
    for (size_t i = 0; i < c.ledger.table->owners(); ++i) {
      if (c.ledger.table->name(static_cast<Owner>(i)).family == c.largest_family) family += c.ledger.bytes[i];
    }
    largest_explained |= !finding->of_other_owners &&
                         (finding->bytes >= family || speaks_of(*finding, c.ledger.lines.front()));
    out.push_back(std::move(*finding));
  }
  if (!largest_explained) {
    out.push_back(largest_owner(c));
    out.back().share = share_of(out.back().bytes, c.ledger);
  }
  std::stable_sort(out.begin(), out.end(), [](const Finding& a, const Finding& b) {
    if (a.kind != b.kind) return a.kind == FindingKind::kProblem;
    if (is_aside(a) != is_aside(b)) return is_aside(b);
    return a.bytes > b.bytes;
  });
  return out;
}

std::optional<Finding> beside_rss(const Case& c, std::string id, std::string_view figure, uint64_t bytes,
                                  std::string_view where, std::string_view field) {
  if (bytes < problem_threshold(c.ledger)) return std::nullopt;
  Finding finding;
  finding.id = std::move(id);
  finding.headline = fmt::format("{} more are in {}, which RSS does not count", human_bytes(bytes), where);
  finding.claim = fmt::format("RSS is {}; {}.", human_bytes(c.ledger.rss.bytes), finding.headline);
  finding.evidence.push_back(fmt::format("{} of /proc/PID/status is {}", field, human_bytes(bytes)));
  finding.bytes_figure(figure, bytes);
  finding.confidence = Confidence::kHigh;
  return finding;
}

}  // namespace memwhy::explain
