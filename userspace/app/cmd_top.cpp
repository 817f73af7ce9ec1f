// SPDX-License-Identifier: Apache-2.0
// memwhy top: every process by what it holds beside files and shared memory, and how that grows; one cheap pass a second.
// Nothing is recorded: the purpose is to find the process that is worth a recording. The runtimes of the heaviest Go programs
// are read, slowly (go_watch.h).
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/command.h"
#include "app/go_watch.h"
#include "app/limits.h"
#include "app/screen.h"
#include "app/signals.h"
#include "app/terminal.h"
#include "base/time.h"
#include "procfs/all_processes.h"
#include "report/top.h"

namespace memwhy::app {
namespace {

constexpr const char* kTopExamples = R"(Examples:
  memwhy top                       all processes, once a second, until q
  memwhy top -n 1 --by rss         one table, largest RSS first
  memwhy top -n 60 --json          a line of JSON each second, for a minute

Anonymous memory is RSS without pages of files and shared memory: heaps, stacks, and what a heap profile does not show. Of
the heaviest Go programs, one after the other, their runtime's own counters are read (privileges as to record; not with -n 1):
"unseen" is RSS without the live heap, which is what a heap profile shows, and "idle" what the runtime holds free: the most
that debug.FreeOSMemory() returns. Of other programs all anonymous memory counts as unseen. Why: memwhy explain -p PID.
Keys: q ends, s changes the order, p pauses.)";

constexpr const char* kTopKeys = " q quit   s order: {}   p {}   memwhy explain -p PID says why ";
constexpr size_t kRowsOfPlain = 20, kRowsOfJson = 100;
constexpr size_t kMostWatched = 20;
constexpr uint64_t kWorthAsking = uint64_t{16} << 20;  // anonymous bytes: less is never a problem
constexpr size_t kFilesForOthers = 64;                 // descriptors

struct TopRequest {
  uint64_t passes = 0;  // 0: until it is ended
  std::chrono::nanoseconds interval = std::chrono::seconds(1);
  report::TopOrder order = report::TopOrder::kUnseen;
  bool json = false;
  Colour colour = Colour::kAuto;
};

// The first `rows` of a pass, with their names. What is known of Go programs moves them, so that the order is of all.
report::TopView view_of(const procfs::AllProcesses& all, const std::vector<procfs::ProcessMemory>& pass,
                        const std::map<Pid, events::GoCounters>& go, report::TopOrder order, size_t rows) {
  report::TopView view;
  view.processes = pass.size();
  view.order = order;
  std::vector<report::TopRow> sorted;
  sorted.reserve(pass.size());
  for (const procfs::ProcessMemory& each : pass) {
    view.rss_bytes += each.rss_bytes;
    view.anon_bytes += each.anon_bytes;
    report::TopRow& row = sorted.emplace_back();
    row = {each.pid, "", each.rss_bytes, each.anon_bytes, each.growth_bytes_per_s, std::nullopt};
    if (const auto found = go.find(each.pid); found != go.end())
      row.go = {found->second.live_bytes, found->second.heap_free_bytes, found->second.goal_bytes};
  }
  rows = std::min(rows, sorted.size());
  std::partial_sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rows), sorted.end(),
                    [order](const auto& a, const auto& b) { return report::before(order, a, b); });
  sorted.resize(rows);
  for (report::TopRow& row : sorted) row.comm = all.comm(row.pid);
  view.rows = std::move(sorted);
  return view;
}

class Top {
 public:
  Top(const TopRequest& request, const procfs::Root& proc, StopSignals& signals)
      : request_(request), all_(proc, files()), signals_(signals), order_(request.order) {}

  Status run() {
    std::unique_ptr<Screen> screen;
    // A limited number of tables is printed, to stay in the terminal.
    if (!request_.json && request_.passes == 0) screen = Screen::open();
    // A single table is printed before anything could be read. Without the privilege no Go program is read, silently.
    if (request_.passes != 1)
      if (Result<std::unique_ptr<GoWatch>> watch = GoWatch::start()) go_ = *std::move(watch);
    uint64_t due = clock_ns(CLOCK_MONOTONIC);
    for (uint64_t done = 0; request_.passes == 0 || done < request_.passes; ++done) {
      const uint64_t now = clock_ns(CLOCK_MONOTONIC);
      if (!paused_) {
        pass_ = all_.pass(now);
        watch_heaviest();
      }
      due = std::max(due + static_cast<uint64_t>(request_.interval.count()), now);
      if (screen) show(*screen);
      if (Status printed = screen ? Status{} : print_pass(done); !printed) return printed;
      if (done + 1 == request_.passes || ended(screen, due)) break;
    }
    return {};
  }

 private:
  static size_t files() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < kFilesForOthers) return 0;
    return limit.rlim_cur - kFilesForOthers;
  }

  // By anonymous bytes, whatever the order of the table: what is known must not decide which ones are read.
  void watch_heaviest() {
    if (!go_) return;
    std::vector<procfs::ProcessMemory> large;
    std::copy_if(pass_.begin(), pass_.end(), std::back_inserter(large),
                 [](const auto& each) { return each.anon_bytes >= kWorthAsking; });
    std::sort(large.begin(), large.end(),
              [](const auto& a, const auto& b) { return a.anon_bytes > b.anon_bytes; });
    large.resize(std::min(large.size(), kMostWatched));
    std::vector<Pid> pids;
    for (const procfs::ProcessMemory& each : large) pids.push_back(each.pid);
    go_->look_at(std::move(pids));
  }
  report::TopView view(size_t rows) const {
    return view_of(all_, pass_, go_ ? go_->known() : std::map<Pid, events::GoCounters>(), order_, rows);
  }

  Status print_pass(uint64_t number) {
    if (request_.json)
      return print(report::to_json(view(kRowsOfJson), static_cast<int64_t>(clock_ns(CLOCK_REALTIME))));
    const std::string text = report::to_text(view(kRowsOfPlain), style_of_stdout(request_.colour));
    return print((number == 0 ? "" : "\n") + text);
  }

  void show(Screen& screen) {
    const ScreenSize size = screen.size();
    report::Style style = style_of_stdout(request_.colour);
    style.width = std::max<size_t>(size.columns, 40);
    const size_t rows = size.lines > 4 ? size.lines - 3 : 1;
    screen.show(report::to_text(view(rows), style),
                fmt::format(fmt::runtime(kTopKeys), report::word(order_), paused_ ? "go on" : "pause"));
  }

  // Until the next pass is due. true: the end was requested.
  bool ended(const std::unique_ptr<Screen>& screen, uint64_t due) {
    while (!signals_.stopped()) {
      const uint64_t now = clock_ns(CLOCK_MONOTONIC);
      if (now >= due) return false;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(due - now));
      if (!screen) {
        signals_.wait(left);
        continue;
      }
      const std::optional<char> key = screen->key(std::min(left, std::chrono::milliseconds(250)));
      if (key == 'q' || key == kEndOfInput) return true;
      if (key == 's')
        order_ = static_cast<report::TopOrder>((static_cast<size_t>(order_) + 1) % report::kTopOrders);
      if (key == 'p') paused_ = !paused_;
      if (key || screen->resized()) show(*screen);
    }
    return true;
  }

  const TopRequest& request_;
  procfs::AllProcesses all_;
  StopSignals& signals_;
  std::unique_ptr<GoWatch> go_;  // nullptr: runtimes of Go programs are not read
  report::TopOrder order_;
  std::vector<procfs::ProcessMemory> pass_;
  bool paused_ = false;
};

Status top(const TopRequest& request) {
  const Result<procfs::Root> proc = procfs::Root::open("/proc");
  if (!proc) return proc.error();
  Result<StopSignals> signals = StopSignals::take();
  if (!signals) return std::move(signals).error();
  raise_open_files();
  return Top(request, *proc, *signals).run();
}

}  // namespace

Command add_top(CLI::App& program) {
  CLI::App* options = program.add_subcommand(
      "top", "Show all processes by memory that no heap profile shows, at next to no cost");
  options->footer(kTopExamples);
  set_usage(*options, "memwhy top [OPTIONS]");
  const auto request = std::make_shared<TopRequest>();
  options->add_option("-n,--passes", request->passes, "end after so many passes")->type_name("N");
  add_duration(*options, "-i,--interval", request->interval, "time between two passes; default 1 s");
  options
      ->add_option("--by", request->order,
                   "unseen, anon, rss or growth: what is largest comes first; default unseen")
      ->transform(CLI::CheckedTransformer(
                      std::map<std::string, report::TopOrder>{{"unseen", report::TopOrder::kUnseen},
                                                              {"anon", report::TopOrder::kAnon},
                                                              {"rss", report::TopOrder::kRss},
                                                              {"growth", report::TopOrder::kGrowth}})
                      .description(""))
      ->type_name("ORDER");
  options->add_flag("--json", request->json, "a line of JSON for each pass, format memwhy.top/1");
  add_colour(*options, request->colour);
  return {options, false, [request](const std::vector<std::string>&) -> Status { return top(*request); }};
}

}  // namespace memwhy::app
