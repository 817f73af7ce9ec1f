// SPDX-License-Identifier: Apache-2.0
// Screen: a terminal that is redrawn again and again, with keys. A page of lines at a time, on the terminal's alternate screen;
// the previous content comes back at the end. The lines have no escape sequences but colours (report/page.h): names were
// escaped when the lines were made.
//
// Not a library of widgets: a frame of 24 lines is 2 KiB, and is written whole.
#pragma once

#include <termios.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace memwhy::app {

constexpr char kEndOfInput = '\x04';  // ^D; also when the terminal is gone

struct ScreenSize {
  size_t columns = 80, lines = 24;
  bool operator==(const ScreenSize&) const = default;
};

class Screen {
 public:
  // nullptr: stdin or stdout is no terminal, or one that cannot move its cursor (TERM=dumb, or not set).
  static std::unique_ptr<Screen> open();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  ~Screen();

  ScreenSize size() const;
  // `text` from the top, cut at the last line but one; `keys` is the last line.
  void show(std::string_view text, std::string_view keys);
  // A key that was pressed, within this time. nullopt: none, or the size has changed since the last show().
  std::optional<char> key(std::chrono::milliseconds timeout);
  // Whether what is shown was made for another size.
  bool resized() const { return shown_ != size(); }

 private:
  explicit Screen(const termios& before) : before_(before) {}
  termios before_{};
  ScreenSize shown_;
};

}  // namespace memwhy::app
