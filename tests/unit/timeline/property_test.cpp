// SPDX-License-Identifier: Apache-2.0
// Random operations on a simulated process: the simulation knows of each page who brought it; the model hears
// only what a recorder hears (operations at once, entries of the kernel's table at 1 Hz, scans) and must come
// to the same.
//
// Operations are at least one tick apart: what happens within one tick is ambiguous, and tested in
// order_test.cpp.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "timeline/timeline.h"

namespace memwhy::testing {
namespace {

using namespace memwhy::events;
using timeline::How;

constexpr PageNumber kBase = 0x7f000;  // not at the start of a chunk
constexpr size_t kPages = 1200;
constexpr TimeNs kTickNs = 4'000'000;

struct Page {
  bool mapped = false, resident = false, lazy = false, scanned = false;
  How how = How::kUnknown;
  StackId stack{};
  StackId site{};  // who mapped it
};

struct Entry {
  StackId stack{};
  uint64_t tick = 0;
  uint8_t flags = 0;
  bool changed = false;
};

struct Process {
  SpaceId space{};
  std::vector<Page> pages = std::vector<Page>(kPages);
  std::vector<Entry> table =
      std::vector<Entry>(kPages);  // the kernel's: entries are overwritten, never taken away
  uint64_t resident_before = 0;
  uint64_t scans = 0;
  uint64_t carried_tick = 0;  // of the last fork or mremap
};

using Sums = std::map<std::pair<How, StackId>, std::pair<uint64_t, uint64_t>>;  // pages, lazy pages

class Simulation {
 public:
  explicit Simulation(uint32_t seed) : random_(seed) {
    send(ClockAnchor{0, 0, 0, 0});
    send(SpaceStart{SpaceId{1}, 10, StartHow::kExeced, {}, "", "", {}, 0, "", ""});
    processes_.emplace_back().space = SpaceId{1};
  }

  void step() {
    tick_ += 1 + random_() % 3;
    Process& process = processes_[random_() % processes_.size()];
    switch (random_() % 16) {
      case 0:
      case 1:
        map(process);
        break;
      case 2:
        unmap(process, UnmapWhy::kMunmap);
        break;
      case 3:
        unmap(process, UnmapWhy::kMadvise);
        break;
      case 4:
      case 5:
        populate(process);
        break;
      case 6:
        move(process);
        break;
      case 7:
        free(process);
        break;
      case 8:
        if (random_() % 8 == 0) fork(process);
        break;
      case 9:
        read_tables(process, false);
        break;
      case 10:
        if (random_() % 4 == 0) scan(process);
        break;
      case 11:
        if (random_() % 8 == 0) read_tables(process, true);
        break;
      default:
        fault(process);
        break;
    }
  }

  void finish() {
    for (Process& process : processes_) {
      tick_ += 3;
      scan(process);
    }
  }

 private:
  template <typename E>
  void send(E event) {
    timeline_.on_event({tick_ * kTickNs, std::move(event)});
  }
  PageRange some_pages(uint64_t longest) {
    const uint64_t first = random_() % kPages;
    return {first, std::min<uint64_t>(kPages, first + 1 + random_() % longest)};
  }
  StackId some_stack() { return static_cast<StackId>(1 + random_() % 6); }
  static AddressRange bytes(PageRange pages) {
    return {(kBase + pages.start) << kPageShift, (kBase + pages.end) << kPageShift};
  }

  void map(Process& p) {
    const PageRange range = some_pages(300);
    for (uint64_t i = range.start; i < range.end; ++i) {
      if (p.pages[i].mapped) return;
    }
    const StackId stack = some_stack();
    for (uint64_t i = range.start; i < range.end; ++i) {
      p.pages[i] = Page{};
      p.pages[i].mapped = true;
      p.pages[i].site = stack;
    }
    send(VmaMapped{p.space, 0, bytes(range), 3, 0x22, -1, 0, stack, tick_});
  }

  void unmap(Process& p, UnmapWhy why) {
    const PageRange range = some_pages(120);
    for (uint64_t i = range.start; i < range.end; ++i) {
      Page& page = p.pages[i];
      const Page was = page;
      page = Page{};
      if (why == UnmapWhy::kMadvise) {
        page.mapped = was.mapped;
        page.site = was.site;
      }
    }
    send(
        VmaUnmapped{p.space, 0, bytes(range), why, why == UnmapWhy::kMadvise ? 4u : 0u, some_stack(), tick_});
  }

  void fault(Process& p) {
    const PageRange range = some_pages(60);
    const StackId stack = some_stack();
    const bool kernel = random_() % 4 == 0;
    for (uint64_t i = range.start; i < range.end; ++i) {
      Page& page = p.pages[i];
      if (!page.mapped || (page.resident && random_() % 8 != 0)) continue;  // sometimes a copy on write
      // An entry that a fork or mremap has carried off and that is overwritten before it was ever read is
      // lost for good.
      if (p.table[i].changed && p.table[i].tick <= p.carried_tick) continue;
      page.resident = true;
      page.lazy = page.scanned = false;
      page.how = kernel ? How::kKernelFault : How::kFault;
      page.stack = stack;
      p.table[i] = {stack, tick_, static_cast<uint8_t>(kFaultWrite | (kernel ? kFaultKernel : 0)), true};
    }
  }

  void populate(Process& p) {
    const PageRange range = some_pages(40);
    for (uint64_t i = range.start; i < range.end; ++i) {
      Page& page = p.pages[i];
      if (!page.mapped || page.resident) continue;
      page.resident = true;
      page.how = How::kMmapSite;
      page.stack = page.site;
    }
  }

  void move(Process& p) {
    const PageRange from = some_pages(200);
    PageRange to = some_pages(200);
    to.end = std::min<uint64_t>(kPages, to.start + from.pages());
    for (uint64_t i = from.start; i < from.end; ++i) {
      if (!p.pages[i].mapped) return;
    }
    for (uint64_t i = to.start; i < to.end; ++i) {
      if (p.pages[i].mapped) return;
    }
    for (uint64_t i = 0; i < from.pages(); ++i) {
      Page page = p.pages[from.start + i];
      p.pages[from.start + i] = Page{};
      if (i >= to.pages()) continue;
      if (page.resident && page.how <= How::kKernelFault) page.how = How::kMoved;
      p.pages[to.start + i] = page;
    }
    p.carried_tick = tick_;
    send(VmaMoved{p.space, 0, bytes(from), bytes(to), some_stack(), tick_});
  }

  void free(Process& p) {
    const PageRange range = some_pages(120);
    for (uint64_t i = range.start; i < range.end; ++i) {
      Page& page = p.pages[i];
      // That a populated page was there before the madvise is known only when a scan had seen it.
      if (page.resident && (page.how != How::kMmapSite || page.scanned)) page.lazy = true;
    }
    send(VmaAdvised{p.space, 0, bytes(range), 8, some_stack(), tick_});
  }

  void fork(Process& p) {
    if (processes_.size() >= 4) return;
    p.carried_tick = tick_;
    Process child;
    child.space = static_cast<SpaceId>(processes_.size() + 1);
    child.pages = p.pages;
    for (Page& page : child.pages) {
      if (page.resident && (page.how != How::kMmapSite || page.scanned)) page.how = How::kInherited;
    }
    send(SpaceStart{child.space, 11, StartHow::kForked, p.space, "", "", {}, 0, "", ""});
    processes_.push_back(std::move(child));  // p dangles from here on
    ++tick_;                                 // the tick of a fork is known to one tick, from its time
  }

  void read_tables(Process& p, bool restated) {
    PageTableRuns runs{p.space, restated, tick_, {}};
    for (size_t i = 0; i < kPages; ++i) {
      Entry& entry = p.table[i];
      if (entry.tick == 0 || (!entry.changed && !restated)) continue;
      runs.runs.push_back({kBase + i, 1, entry.stack, entry.tick, entry.flags});
      entry.changed = false;
    }
    send(runs);
  }

  void scan(Process& p) {
    // A child's pages may be told by entries of its parent that were not read yet.
    for (Process& each : processes_) read_tables(each, random_() % 4 == 0);
    VmaList vmas{p.space, {}};
    vmas.vmas.emplace_back();
    vmas.vmas.back().range = bytes({0, kPages});
    send(vmas);
    PageScan pass;
    pass.space = p.space;
    pass.scan = ++p.scans;
    pass.start = tick_ * kTickNs;
    Sums expected;
    uint64_t resident = 0;
    for (size_t i = 0; i < kPages; ++i) {
      Page& page = p.pages[i];
      if (!page.resident) continue;
      page.scanned = true;
      pass.runs.push_back({kBase + i, 1, 0});
      ++resident;
      auto& [pages, lazy] = expected[{page.how, page.stack}];
      ++pages;
      if (page.lazy) ++lazy;
    }
    send(pass);
    const timeline::ScanResult& result = *timeline_.space(p.space)->last_scan();
    EXPECT_EQ(result.resident_pages, resident);
    EXPECT_EQ(result.stale_pages, 0u);
    Sums actual;
    for (const timeline::PageGroup& group : result.groups) {
      auto& [pages, lazy] = actual[{group.how, group.stack}];
      pages += group.pages;
      lazy += group.lazy_pages;
    }
    EXPECT_EQ(actual, expected) << "space " << static_cast<int>(p.space) << " scan " << p.scans << " tick "
                                << tick_;
    auto sum = [](const std::vector<timeline::PageGroup>& groups) {
      uint64_t pages = 0;
      for (const timeline::PageGroup& group : groups) pages += group.pages;
      return pages;
    };
    EXPECT_EQ(p.resident_before + sum(result.arrived), resident + sum(result.left));
    p.resident_before = resident;
  }

  std::mt19937 random_;
  uint64_t tick_ = 1000;
  timeline::Timeline timeline_;
  std::vector<Process> processes_;
};

TEST(Property, TheModelComesToWhatTheSimulationKnows) {
  for (uint32_t seed = 1; seed <= 60 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation simulation(seed);
    for (int i = 0; i < 1500 && !::testing::Test::HasFailure(); ++i) simulation.step();
    simulation.finish();
  }
}

}  // namespace
}  // namespace memwhy::testing

namespace memwhy::timeline {
void PrintTo(How how, std::ostream* out) { *out << "how " << static_cast<int>(how); }
}  // namespace memwhy::timeline
