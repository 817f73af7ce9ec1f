// SPDX-License-Identifier: Apache-2.0
#include "support/event_script_go.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>
#include <utility>

namespace memwhy::testing {
namespace {

using namespace memwhy::events;

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
constexpr int32_t kUsualPercent = 100;
constexpr uint64_t kUsualRate = 512 << 10;

// The counters that are a plain sum of bytes.
constexpr std::array kCounters = {std::pair{"in_use", &GoCounters::heap_in_use_bytes},
                                  std::pair{"free", &GoCounters::heap_free_bytes},
                                  std::pair{"released", &GoCounters::heap_released_bytes},
                                  std::pair{"mapped", &GoCounters::mapped_bytes},
                                  std::pair{"stacks", &GoCounters::stack_bytes},
                                  std::pair{"work", &GoCounters::work_buffer_bytes},
                                  std::pair{"live", &GoCounters::live_bytes},
                                  std::pair{"allocated", &GoCounters::allocated_bytes},
                                  std::pair{"freed", &GoCounters::freed_bytes},
                                  std::pair{"goal", &GoCounters::goal_bytes},
                                  std::pair{"metadata", &GoCounters::metadata_bytes},
                                  std::pair{"profiler", &GoCounters::profiler_bytes},
                                  std::pair{"other", &GoCounters::other_bytes}};

GoCounters parse_counters(Words& w) {
  GoCounters counters;
  for (const auto& [name, member] : kCounters) counters.*member = w.number(name);
  counters.memory_limit_bytes = static_cast<int64_t>(w.number("limit", kNoLimit));
  if (const auto percent = w.named("gogc"))
    counters.gc_percent = *percent == "off" ? -1 : static_cast<int32_t>(w.to_number(*percent));
  else
    counters.gc_percent = kUsualPercent;
  counters.gc_cycles = static_cast<uint32_t>(w.number("gc"));
  return counters;
}

std::string named(const char* name, uint64_t value) {
  return value == 0 ? "" : fmt::format(" {}={}", name, value);
}

std::string format_counters(const GoCounters& counters) {
  std::string text;
  for (const auto& [name, member] : kCounters) text += named(name, counters.*member);
  if (counters.memory_limit_bytes != kNoLimit) text += fmt::format(" limit={}", counters.memory_limit_bytes);
  if (counters.gc_percent == -1)
    text += " gogc=off";
  else if (counters.gc_percent != kUsualPercent)
    text += fmt::format(" gogc={}", counters.gc_percent);
  return text + named("gc", counters.gc_cycles);
}

std::vector<uint64_t> parse_addresses(Words& w) {
  std::vector<uint64_t> addresses;
  while (!w.empty()) addresses.push_back(w.to_number(w.next("address")));
  return addresses;
}

std::string format_addresses(const std::vector<uint64_t>& addresses) {
  std::string text;
  for (const uint64_t address : addresses) text += fmt::format(" {:#x}", address);
  return text;
}

// Items of pages: RANGE USE [live= dead= free=]; `uses` grows by those that are not in it.
std::vector<RuntimeRun> parse_runs(std::vector<Words>& items, std::vector<std::string>& uses, bool may_grow) {
  std::vector<RuntimeRun> runs;
  for (Words& item : items) {
    const PageRange pages = item.pages();
    RuntimeRun run{pages.start, static_cast<uint32_t>(pages.pages()), 0, 0, 0, 0};
    run.live_bytes = item.number("live");
    run.dead_bytes = item.number("dead");
    run.free_bytes = item.number("free");
    const std::string use = item.next("use");
    const auto known = std::find(uses.begin(), uses.end(), use);
    run.use = static_cast<uint8_t>(known - uses.begin());
    if (known == uses.end() && !may_grow) item.fail("not a use: " + use);
    if (known == uses.end()) uses.push_back(use);
    item.done();
    runs.push_back(run);
  }
  return runs;
}

// 0xADDRESS/0xADDRESS...
std::vector<uint64_t> parse_slashed(const Words& w, const std::string& text) {
  std::vector<uint64_t> addresses;
  for (size_t from = 0; from <= text.size();) {
    const size_t end = std::min(text.find('/', from), text.size());
    addresses.push_back(w.to_number(text.substr(from, end - from)));
    from = end + 1;
  }
  return addresses;
}

std::string format_slashed(const std::vector<uint64_t>& addresses) {
  std::string text;
  for (const uint64_t address : addresses) text += fmt::format("{}{:#x}", text.empty() ? "" : "/", address);
  return text;
}

// 0xADDRESS:BYTES[@0xADDRESS/0xADDRESS...]
GoKeptObject parse_kept(const Words& w, const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) w.fail("a large object is 0xADDRESS:BYTES, not " + text);
  const size_t at = text.find('@');
  GoKeptObject object{w.to_number(text.substr(0, colon)),
                      w.to_number(text.substr(colon + 1, at == std::string::npos ? at : at - colon - 1)),
                      {}};
  if (at != std::string::npos) object.allocated_at = parse_slashed(w, text.substr(at + 1));
  return object;
}

std::string format_kept(const GoKeptObject& object) {
  std::string text = fmt::format(" large={:#x}:{}", object.address, object.bytes);
  if (!object.allocated_at.empty()) text += "@" + format_slashed(object.allocated_at);
  return text;
}

std::string format_seconds(TimeNs time) {
  return fmt::format("{}.{:09}", time / 1'000'000'000, time % 1'000'000'000);
}

GoGroup parse_group(Words& w) {
  GoGroup group;
  group.count = w.to_number(w.next("count"));
  group.created_at = w.number("by");
  group.stack_bytes = w.number("stack");
  if (const auto since = w.named("since")) group.oldest_wait_ns = w.to_time(*since);
  group.leaked = w.number("leaked");
  group.kept_bytes = w.number("kept");
  group.kept_objects = w.number("objects");
  while (const auto large = w.named("large")) group.large.push_back(parse_kept(w, *large));
  if (w.empty()) return group;
  const std::string first = w.next("wait reason or frame");
  if (first.starts_with("0x"))
    group.frames.push_back(w.to_number(first));
  else
    group.wait_reason = first;
  for (const uint64_t frame : parse_addresses(w)) group.frames.push_back(frame);
  return group;
}

std::string format_group(const GoGroup& group) {
  std::string text = std::to_string(group.count);
  if (!group.wait_reason.empty()) text += " \"" + group.wait_reason + "\"";
  if (group.created_at != 0) text += fmt::format(" by={:#x}", group.created_at);
  text += named("stack", group.stack_bytes);
  if (group.oldest_wait_ns != 0) text += " since=" + format_seconds(group.oldest_wait_ns);
  text +=
      named("leaked", group.leaked) + named("kept", group.kept_bytes) + named("objects", group.kept_objects);
  for (const GoKeptObject& object : group.large) text += format_kept(object);
  return text + format_addresses(group.frames);
}

constexpr std::array kHolders = {"variable", "holders", "queue"};  // by GoHolder::Kind

GoHolder parse_holder(Words& w, size_t kind) {
  GoHolder out;
  out.kind = static_cast<GoHolder::Kind>(kind);
  out.name = w.text("name");
  out.used_by = w.text("used_by");
  out.address = w.number("at");
  out.count = w.number("n");
  out.created_at = w.number("by");
  out.bytes = w.number("bytes");
  out.objects = w.number("objects");
  out.resident_bytes = w.number("resident");
  out.also_bytes = w.number("also");
  while (const auto size = w.named("size")) {
    const std::vector<std::string> parts = split(*size, ':');
    if (parts.size() != 2) w.fail("a size is BYTES:OBJECTS, not " + *size);
    out.sizes.push_back({w.to_number(parts[0]), w.to_number(parts[1])});
  }
  while (const auto large = w.named("large")) out.large.push_back(parse_kept(w, *large));
  out.slots = w.number("slots");
  out.entries = w.number("entries");
  out.pinned = w.number("pinned");
  out.pinned_bytes = w.number("pinned_bytes");
  out.used_bytes = w.number("used");
  out.pool_lists = w.number("pool");
  out.frames = parse_addresses(w);
  return out;
}

std::string format_holder(const GoHolder& e) {
  std::string text = kHolders[static_cast<size_t>(e.kind)];
  if (!e.name.empty()) text += " \"name=" + e.name + "\"";
  if (!e.used_by.empty()) text += " \"used_by=" + e.used_by + "\"";
  text += named("at", e.address) + named("n", e.count) + named("by", e.created_at) + named("bytes", e.bytes) +
          named("objects", e.objects) + named("resident", e.resident_bytes) + named("also", e.also_bytes);
  for (const GoSizeClass& size : e.sizes) text += fmt::format(" size={}:{}", size.object_bytes, size.objects);
  for (const GoKeptObject& object : e.large) text += format_kept(object);
  return text + named("slots", e.slots) + named("entries", e.entries) + named("pinned", e.pinned) +
         named("pinned_bytes", e.pinned_bytes) + named("used", e.used_bytes) + named("pool", e.pool_lists) +
         format_addresses(e.frames);
}

uint64_t sum(const std::vector<GoGroup>& groups) {
  uint64_t count = 0;
  for (const GoGroup& group : groups) count += group.count;
  return count;
}

}  // namespace

GoStatistics parse_go_statistics(Words& w) {
  const SpaceId space = w.space();
  GoStatistics statistics{space, parse_counters(w), {}};
  const auto pair_of = [&w](const std::string& text) {
    const auto parts = split(text, ':');
    if (parts.size() != 2) w.fail("an allocation is BYTES:OBJECTS");
    return std::pair(w.to_number(parts[0]), w.to_number(parts[1]));
  };
  if (const auto large = w.named("large")) {
    statistics.allocations.emplace();
    std::tie(statistics.allocations->large_bytes, statistics.allocations->large_objects) = pair_of(*large);
    while (auto small = w.named("small")) {
      const auto [bytes, objects] = pair_of(*small);
      statistics.allocations->small.push_back({bytes, objects});
    }
  }
  while (auto pause = w.named("pause")) {
    const auto parts = split(*pause, ':');
    if (parts.size() != 3) w.fail("a pause is COLLECTION:END_UNIX_NS:NS");
    statistics.pauses.push_back(
        {static_cast<uint32_t>(w.to_number(parts[0])), w.to_number(parts[1]), w.to_number(parts[2])});
  }
  return statistics;
}

GoReading parse_go_reading(Words& w, uint64_t scan) {
  GoReading reading;
  reading.space = w.space();
  reading.scan = w.number("n", scan);
  reading.layout = w.flag("unverified") ? GoLayout::kUnverified
                   : w.flag("none")     ? GoLayout::kNone
                   : w.flag("dwarf")    ? GoLayout::kDwarf
                                        : GoLayout::kTable;
  reading.quiet = w.flag("quiet");
  reading.spans = w.number("spans");
  reading.spans_in_motion = w.number("in_motion");
  reading.counters = parse_counters(w);
  return reading;
}

std::vector<Payload> parse_go_heap(Words& w, std::vector<Words>& items, uint64_t scan) {
  RuntimePages pages;
  pages.problem = w.text("problem");
  if (const auto tables = w.named("tables")) pages.tables = parse_slashed(w, *tables);
  const GoReading reading = parse_go_reading(w, scan);
  pages.space = reading.space;
  pages.scan = reading.scan;
  pages.runtime = kGoRuntime;
  pages.trust = trusted(reading.layout)                   ? Trust::kVerified
                : reading.layout == GoLayout::kUnverified ? Trust::kUnverified
                                                          : Trust::kUnreadable;
  if (trusted(reading.layout) || !items.empty()) pages.uses.assign(kGoUseNames.begin(), kGoUseNames.end());
  pages.runs = parse_runs(items, pages.uses, false);
  return {reading, pages};
}

RuntimePages parse_runtime_pages(Words& w, std::vector<Words>& items, uint64_t scan) {
  RuntimePages pages;
  pages.space = w.space();
  pages.scan = w.number("n", scan);
  pages.trust = w.flag("unverified")   ? Trust::kUnverified
                : w.flag("unreadable") ? Trust::kUnreadable
                                       : Trust::kVerified;
  pages.problem = w.text("problem");
  if (const auto tables = w.named("tables")) pages.tables = parse_slashed(w, *tables);
  if (const auto uses = w.named("uses")) pages.uses = split(*uses, '/');
  pages.runtime = w.next("runtime");
  pages.runs = parse_runs(items, pages.uses, true);
  return pages;
}

GoProfile parse_go_profile(Words& w, std::vector<Words>& items) {
  GoProfile profile;
  profile.space = w.space();
  profile.source = w.flag("off")          ? GoProfile::Source::kOffInBinary
                   : w.flag("unreadable") ? GoProfile::Source::kUnreadable
                                          : GoProfile::Source::kBuckets;
  profile.rate = w.number("rate", profile.source == GoProfile::Source::kBuckets ? kUsualRate : 0);
  profile.rate_assumed = w.flag("assumed");
  for (Words& item : items) {
    GoBucket bucket;
    bucket.published_objects = item.number("published");
    bucket.current_objects = item.number("current");
    bucket.object_bytes = item.to_number(item.next("object bytes"));
    bucket.stack = parse_addresses(item);
    profile.buckets.push_back(std::move(bucket));
  }
  return profile;
}

GoGoroutines parse_goroutines(Words& w, std::vector<Words>& items) {
  GoGoroutines goroutines;
  goroutines.space = w.space();
  goroutines.complete = !w.flag("incomplete");
  if (const auto held = w.named("held")) {
    const std::vector<std::string> parts = split(*held, ':');
    if (parts.size() != 2) w.fail("a heap that is held is BYTES:OBJECTS, not " + *held);
    goroutines.held = GoHeld{!w.flag("cut"), w.to_number(parts[0]), w.to_number(parts[1]), {}};
  }
  for (Words& item : items) {
    size_t kind = 0;
    while (kind < kHolders.size() && !item.flag(kHolders[kind])) ++kind;
    if (goroutines.held && kind < kHolders.size())
      goroutines.held->holders.push_back(parse_holder(item, kind));
    else
      goroutines.groups.push_back(parse_group(item));
  }
  goroutines.count = w.number("n", sum(goroutines.groups));
  if (const auto queue = w.named("finalizers")) {
    const std::vector<std::string> parts = split(*queue, ':');
    if (parts.size() != 3) w.fail("a queue is WAITING:BYTES:OBJECTS, not " + *queue);
    goroutines.finalizers = {w.to_number(parts[0]), w.to_number(parts[1]), w.to_number(parts[2])};
  }
  return goroutines;
}

GoFunction parse_go_function(Words& w) {
  const std::string word = w.next("function");
  for (size_t i = 0; i < kGoFunctions; ++i)
    if (word == kGoFunctionNames[i]) return static_cast<GoFunction>(i);
  w.fail("not a function that is probed: " + word);
}

std::string format_go(const GoStatistics& e) {
  std::string text =
      fmt::format("go-statistics {}", static_cast<uint32_t>(e.space)) + format_counters(e.counters);
  for (const GoPause& p : e.pauses)
    text += fmt::format(" pause={}:{}:{}", p.collection, p.end_unix_ns, p.pause_ns);
  if (e.allocations) {
    text += fmt::format(" large={}:{}", e.allocations->large_bytes, e.allocations->large_objects);
    for (const GoSizeClass& c : e.allocations->small)
      text += fmt::format(" small={}:{}", c.object_bytes, c.objects);
  }
  return text;
}

std::string format_go(const GoReading& e) {
  std::string text = fmt::format("go-reading {} n={}", static_cast<uint32_t>(e.space), e.scan);
  if (e.layout == GoLayout::kUnverified) text += " unverified";
  if (e.layout == GoLayout::kNone) text += " none";
  if (e.layout == GoLayout::kDwarf) text += " dwarf";
  if (e.quiet) text += " quiet";
  text += named("spans", e.spans) + named("in_motion", e.spans_in_motion);
  return text + format_counters(e.counters);
}

std::string format_runtime_pages(const RuntimePages& e) {
  std::string text =
      fmt::format("runtime-pages {} {} n={}", static_cast<uint32_t>(e.space), e.runtime, e.scan);
  if (e.trust != Trust::kVerified) text += e.trust == Trust::kUnverified ? " unverified" : " unreadable";
  if (!e.problem.empty()) text += " problem=\"" + e.problem + "\"";
  if (!e.tables.empty()) text += " tables=" + format_slashed(e.tables);
  if (!e.uses.empty()) text += fmt::format(" uses={}", fmt::join(e.uses, "/"));
  for (const RuntimeRun& run : e.runs)
    text += fmt::format("\n  {:x}+{} {}", run.page, run.count, e.uses.at(run.use)) +
            named("live", run.live_bytes) + named("dead", run.dead_bytes) + named("free", run.free_bytes);
  return text;
}

std::string format_go(const GoProfile& e) {
  std::string text = fmt::format("go-profile {}", static_cast<uint32_t>(e.space));
  if (e.source != GoProfile::Source::kBuckets)
    text += e.source == GoProfile::Source::kOffInBinary ? " off" : " unreadable";
  text += fmt::format(" rate={}{}", e.rate, e.rate_assumed ? " assumed" : "");
  for (const GoBucket& bucket : e.buckets)
    text += fmt::format("\n  {}", bucket.object_bytes) + named("published", bucket.published_objects) +
            named("current", bucket.current_objects) + format_addresses(bucket.stack);
  return text;
}

std::string format_go(const GoGoroutines& e) {
  std::string text = fmt::format("goroutines {} n={}{}", static_cast<uint32_t>(e.space), e.count,
                                 e.complete ? "" : " incomplete");
  if (e.finalizers)
    text += fmt::format(" finalizers={}:{}:{}", e.finalizers->waiting, e.finalizers->kept_bytes,
                        e.finalizers->kept_objects);
  if (e.held)
    text += fmt::format(" held={}:{}{}", e.held->bytes, e.held->objects, e.held->complete ? "" : " cut");
  for (const GoGroup& group : e.groups) text += "\n  " + format_group(group);
  if (!e.held) return text;
  for (const GoHolder& holder : e.held->holders) text += "\n  " + format_holder(holder);
  return text;
}

}  // namespace memwhy::testing
