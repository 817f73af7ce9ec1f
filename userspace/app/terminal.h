// SPDX-License-Identifier: Apache-2.0
// What goes to stderr: sentences and progress. stdout belongs to the result alone.
#pragma once

#include <chrono>
#include <string_view>

#include "base/result.h"
#include "report/page.h"

namespace memwhy::app {

// How the result is to look on stdout. kAuto: colour on a terminal that has it, unless NO_COLOR is set (no-color.org).
enum class Colour : uint8_t { kAuto, kAlways, kNever };
report::Style style_of_stdout(Colour colour);

// "memwhy: …" on stderr, through the log, and escaped: names come from processes that may be hostile.
void say(std::string_view sentence);
void warn(std::string_view sentence);
void say_error(const Error& error);

// One line of progress for a long piece of work: rewritten each second on a terminal, a new one every 30 s
// elsewhere, none when quiet.
class Progress {
 public:
  enum class Mode : uint8_t { kQuiet, kLines, kTerminal };
  static Mode mode_for_stderr(bool quiet);

  explicit Progress(Mode mode) : mode_(mode) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // True when a line is due at this moment; then show() it.
  bool due(std::chrono::nanoseconds elapsed) const;
  void show(std::chrono::nanoseconds elapsed, std::string_view line);
  // Takes the line off the terminal, before anything else is printed.
  void clear();

 private:
  Mode mode_;
  std::chrono::nanoseconds last_{0};
  bool shown_ = false;
};

}  // namespace memwhy::app
