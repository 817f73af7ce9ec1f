// SPDX-License-Identifier: Apache-2.0
// memwhy top: every process by what it holds beside files and shared memory, and how that grows; one cheap pass a second.
// Nothing is recorded: which of them is worth a recording is what it is for.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "app/command.h"
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

Anonymous memory is RSS without pages of files and shared memory: heaps, stacks, and what a heap profile does not show. Which
of it a heap profile would show is not known from outside without a recording: memwhy explain -p PID.
Keys: q ends, s changes the order, p pauses.)";

constexpr const char* kTopKeys = " q quit   s order: {}   p {}   memwhy explain -p PID says why ";
constexpr size_t kRowsOfPlain = 20, kRowsOfJson = 100;
constexpr size_t kFilesForOthers = 64;  // descriptors

struct TopRequest {
  uint64_t passes = 0;  // 0: until it is ended
  std::chrono::nanoseconds interval = std::chrono::seconds(1);
  report::TopOrder order = report::TopOrder::kAnon;
  bool json = false;
  Colour colour = Colour::kAuto;
};

bool before(report::TopOrder order, const procfs::ProcessMemory& a, const procfs::ProcessMemory& b) {
  switch (order) {
    case report::TopOrder::kAnon:
      return a.anon_bytes > b.anon_bytes;
    case report::TopOrder::kRss:
      return a.rss_bytes > b.rss_bytes;
    case report::TopOrder::kGrowth:
      break;
  }
  return a.growth_bytes_per_s.value_or(0) > b.growth_bytes_per_s.value_or(0);
}

// The first `rows` of a pass, with their names.
report::TopView view_of(const procfs::AllProcesses& all, std::vector<procfs::ProcessMemory> pass,
                        report::TopOrder order, size_t rows) {
  report::TopView view;
  view.processes = pass.size();
  view.order = order;
  for (const procfs::ProcessMemory& each : pass) {
    view.rss_bytes += each.rss_bytes;
    view.anon_bytes += each.anon_bytes;
  }
  rows = std::min(rows, pass.size());
  std::partial_sort(pass.begin(), pass.begin() + static_cast<std::ptrdiff_t>(rows), pass.end(),
                    [order](const auto& a, const auto& b) { return before(order, a, b); });
  for (size_t i = 0; i < rows; ++i)
    view.rows.push_back({pass[i].pid, all.comm(pass[i].pid), pass[i].rss_bytes, pass[i].anon_bytes,
                         pass[i].growth_bytes_per_s});
  return view;
}

class Top {
 public:
  Top(const TopRequest& request, const procfs::Root& proc, StopSignals& signals)
      : request_(request), all_(proc, files()), signals_(signals), order_(request.order) {}

  Status run() {
    std::unique_ptr<Screen> screen;
    // What was asked for a number of times stays to be read.
    if (!request_.json && request_.passes == 0) screen = Screen::open();
    uint64_t due = clock_ns(CLOCK_MONOTONIC);
    for (uint64_t done = 0; request_.passes == 0 || done < request_.passes; ++done) {
      const uint64_t now = clock_ns(CLOCK_MONOTONIC);
      if (!paused_) pass_ = all_.pass(now);
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

  Status print_pass(uint64_t number) {
    if (request_.json)
      return print(report::to_json(view_of(all_, pass_, order_, kRowsOfJson),
                                   static_cast<int64_t>(clock_ns(CLOCK_REALTIME))));
    const std::string text =
        report::to_text(view_of(all_, pass_, order_, kRowsOfPlain), style_of_stdout(request_.colour));
    return print((number == 0 ? "" : "\n") + text);
  }

  void show(Screen& screen) {
    const ScreenSize size = screen.size();
    report::Style style = style_of_stdout(request_.colour);
    style.width = std::max<size_t>(size.columns, 40);
    const size_t rows = size.lines > 4 ? size.lines - 3 : 1;
    screen.show(report::to_text(view_of(all_, pass_, order_, rows), style),
                fmt::format(fmt::runtime(kTopKeys), report::word(order_), paused_ ? "go on" : "pause"));
  }

  // Until the next pass is due. true: somebody wants the end.
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
      "top", "Show all processes by anonymous memory and its growth, at next to no cost");
  options->footer(kTopExamples);
  set_usage(*options, "memwhy top [OPTIONS]");
  const auto request = std::make_shared<TopRequest>();
  options->add_option("-n,--passes", request->passes, "end after so many passes")->type_name("N");
  add_duration(*options, "-i,--interval", request->interval, "time between two passes; default 1 s");
  options
      ->add_option("--by", request->order, "anon, rss or growth: what is largest comes first; default anon")
      ->transform(CLI::CheckedTransformer(
                      std::map<std::string, report::TopOrder>{{"anon", report::TopOrder::kAnon},
                                                              {"rss", report::TopOrder::kRss},
                                                              {"growth", report::TopOrder::kGrowth}})
                      .description(""))
      ->type_name("ORDER");
  options->add_flag("--json", request->json, "a line of JSON for each pass, format memwhy.top/1");
  add_colour(*options, request->colour);
  return {options, false, [request](const std::vector<std::string>&) -> Status { return top(*request); }};
}

}  // namespace memwhy::app
