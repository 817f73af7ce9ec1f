// SPDX-License-Identifier: Apache-2.0
#include "app/terminal.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>

#include "base/text.h"

namespace memwhy::app {
namespace {

spdlog::logger& log() {
  static const auto logger = [] {
    auto made = spdlog::stderr_logger_mt("memwhy");
    made->set_pattern("memwhy: %v");
    return made;
  }();
  return *logger;
}

}  // namespace

void say(std::string_view sentence) { log().info("{}", escape(sentence)); }
void warn(std::string_view sentence) { log().warn("warning: {}", escape(sentence)); }
void say_error(const Error& error) { log().error("{}", escape(error.message())); }

Progress::Mode Progress::mode_for_stderr(bool quiet) {
  if (quiet) return Mode::kQuiet;
  return ::isatty(STDERR_FILENO) == 1 ? Mode::kTerminal : Mode::kLines;
}

bool Progress::due(std::chrono::nanoseconds elapsed) const {
  switch (mode_) {
    case Mode::kQuiet:
      return false;
    case Mode::kLines:
      return elapsed - last_ >= std::chrono::seconds(30);
    case Mode::kTerminal:
      return !shown_ || elapsed - last_ >= std::chrono::seconds(1);
  }
  return false;
}

void Progress::show(std::chrono::nanoseconds elapsed, std::string_view line) {
  const std::string text = escape(line);
  if (mode_ == Mode::kTerminal) {
    (void)std::fputs(fmt::format("\r\x1b[K{}", text).c_str(), stderr);
    shown_ = true;
  } else if (mode_ == Mode::kLines) {
    log().info("{}", text);
  }
  last_ = elapsed;
}

void Progress::clear() {
  if (shown_) (void)std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

}  // namespace memwhy::app
