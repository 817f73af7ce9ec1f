// SPDX-License-Identifier: Apache-2.0
#include "app/terminal.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

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

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The locale's characters: the first of these that is set decides.
bool has_unicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = environment(name);
    if (value.empty()) continue;
    return value.find("UTF-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace

report::Style style_of_stdout(Colour colour) {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  const bool wanted = environment("NO_COLOR").empty() && environment("TERM") != "dumb";
  report::Style style;
  style.colour = colour == Colour::kAlways || (colour == Colour::kAuto && terminal && wanted);
  style.unicode = has_unicode();
  winsize size{};
  if (terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0)
    style.width = std::clamp<size_t>(size.ws_col, 60, 120);
  return style;
}

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
