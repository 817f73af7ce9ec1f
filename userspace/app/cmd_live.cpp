// SPDX-License-Identifier: Apache-2.0
// memwhy live: the answer of a recording while it runs, in the terminal or as a line for each scan. The same recording and the
// same explanation as `memwhy explain -p`; without -o no file is written.
#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>

#include "app/command.h"
#include "app/live.h"
#include "app/live_view.h"
#include "app/runtimes.h"
#include "app/screen.h"
#include "app/terminal.h"
#include "base/time.h"
#include "explain/explainer.h"
#include "report/json.h"
#include "report/live.h"

namespace memwhy::app {
namespace {

constexpr const char* kLiveExamples = R"(Examples:
  memwhy live -p 4711                   look at pid 4711 until q, or until it exits
  memwhy live -p 4711 -o web.memwhy     and keep the recording
  memwhy live -p 4711 -d 1m | cat       a line for each scan, for a minute
  memwhy live -p 4711 --json | jq .processes[0].rss.bytes     the whole answer after each scan, one line each

The ledger is of the last scan; RSS is read each second. Keys: q ends, p pauses what is shown.)";

constexpr std::string_view kLiveKeys[] = {" q quit   p pause ", " q quit   p go on   (paused) "};
constexpr uint64_t kAtMostEach = kNsPerSecond;  // an explanation
constexpr uint64_t kMostShare = 10;             // of the sink's time is one tenth

class TerminalView : public LiveView {
 public:
  TerminalView(Colour colour, bool as_json) : colour_(colour), json_(as_json) {}

  events::EventSink& sink() override { return explainer_; }

  bool glance(record::Session& session) override {
    if (!looked_) {
      looked_ = true;
      if (!json_) screen_ = Screen::open();
    }
    take_answer();
    ask(session);
    rss_bytes_ = session.progress().rss_bytes;
    if (!screen_) return false;
    const std::optional<char> key = screen_->key(std::chrono::milliseconds(0));
    if (key == 'p') paused_ = !paused_;
    if (key || screen_->resized() || clock_ns(CLOCK_MONOTONIC) >= shown_at_ + kNsPerSecond) show();
    return key == 'q' || key == kEndOfInput;
  }

  void end() override {
    take_answer();
    const uint64_t said = answer_ && !screen_ ? scans(*answer_) : 0;
    screen_.reset();
    take_last();
    if (answer_ && (said == 0 || scans(*answer_) != said)) print_answer();
  }

 private:
  // Where there is no screen.
  void print_answer() const {
    static_cast<void>(print(json_ ? report::to_json(*answer_, {.cells = false, .spaces = false})
                                  : report::to_live_line(*answer_) + "\n"));
  }

  void ask(record::Session& session) {
    const uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (asked_.valid() || now < asked_at_ + std::max(kAtMostEach, kMostShare * took_)) return;
    asked_at_ = now;
    asked_ = session.on_sink([this] {
      const uint64_t begun = clock_ns(CLOCK_MONOTONIC);
      explain::Explanation answer = explainer_.finish();
      const std::lock_guard lock(mutex_);
      fresh_ = std::move(answer);
      took_now_ = clock_ns(CLOCK_MONOTONIC) - begun;
    });
  }

  void take_answer() {
    if (!asked_.valid() || asked_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return;
    static_cast<void>(asked_.get());
    const std::lock_guard lock(mutex_);
    took_ = took_now_;
    if (!fresh_) return;
    const bool scanned = scans(*fresh_) != (answer_ ? scans(*answer_) : 0);
    if (!paused_) answer_ = std::move(fresh_);
    fresh_.reset();
    if (!answer_ || screen_) return;
    if (scanned) print_answer();
  }

  // The sink's thread has ended: take the answer of the last scan.
  void take_last() {
    try {
      answer_ = explainer_.finish();
    } catch (const std::bad_alloc&) {  // the one before is an answer too
    }
  }

  static uint64_t scans(const explain::Explanation& all) {
    uint64_t sum = 0;
    for (const explain::ProcessExplanation& process : all.processes) sum += process.scans;
    return sum;
  }

  void show() {
    const ScreenSize size = screen_->size();
    report::LiveOptions options;
    options.lines = size.lines > 1 ? size.lines - 1 : 1;
    options.rss_bytes = rss_bytes_;
    options.style = style_of_stdout(colour_);
    options.style.width = std::max<size_t>(size.columns, 40);
    screen_->show(answer_ ? report::to_live_text(*answer_, options) : "the first scan is being made\n",
                  kLiveKeys[paused_ ? 1 : 0]);
    shown_at_ = clock_ns(CLOCK_MONOTONIC);
  }

  const Colour colour_;
  const bool json_;
  explain::Explainer explainer_{owner_table()};  // of the sink's thread, while there is one
  std::unique_ptr<Screen> screen_;
  bool looked_ = false, paused_ = false;
  std::future<Status> asked_;
  std::optional<explain::Explanation> answer_;
  uint64_t asked_at_ = 0, shown_at_ = 0, took_ = 0, rss_bytes_ = 0;
  std::mutex mutex_;
  std::optional<explain::Explanation> fresh_;  // with the lock held
  uint64_t took_now_ = 0;
};

Status live(LiveRequest request, Colour colour, bool as_json) {
  if (Status asked = request.targets.check(); !asked) return asked;
  request.quiet = true;
  request.view = std::make_shared<TerminalView>(colour, as_json);
  Result<LiveResult> done = record_live(request);
  if (!done) return std::move(done).error();
  if (done->failure) return *std::move(done->failure);
  return {};
}

}  // namespace

Command add_live(CLI::App& program) {
  CLI::App* options =
      program.add_subcommand("live", "Explain a running process again and again, in the terminal");
  options->footer(kLiveExamples);
  set_usage(*options, "memwhy live -p PID [OPTIONS]");
  const auto request = std::make_shared<LiveRequest>();
  const auto duration = std::make_shared<std::chrono::nanoseconds>(0);
  const auto colour = std::make_shared<Colour>(Colour::kAuto);
  add_pid_option(*options, request->targets)->required();
  add_duration(*options, "-d,--duration", *duration, "end after this time (30, 30s, 5m, 2h)");
  options->add_option("-o,--output", request->output, "keep the recording in this file; it must not exist")
      ->type_name("FILE");
  add_probe_options(*options, *request);
  const auto as_json = std::make_shared<bool>(false);
  options->add_flag("--json", *as_json,
                    "a line of JSON for each scan, format memwhy.explain/1, and no screen");
  add_colour(*options, *colour);
  return {options, false, [request, duration, colour, as_json](const std::vector<std::string>&) {
            LiveRequest asked = *request;
            if (duration->count() != 0) asked.duration = *duration;
            return live(std::move(asked), *colour, *as_json);
          }};
}

}  // namespace memwhy::app
