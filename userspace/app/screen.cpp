// SPDX-License-Identifier: Apache-2.0
#include "app/screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace memwhy::app {
namespace {

// The alternate screen, no cursor, no wrapping; and back.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr std::chrono::milliseconds kLook{100};  // how often the size is checked

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // the terminal is gone: the signal of that ends us
    text.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

std::unique_ptr<Screen> Screen::open() {
  const char* term = std::getenv("TERM");
  if (term == nullptr || *term == '\0' || std::string_view(term) == "dumb") return nullptr;
  termios before{};
  if (::isatty(STDOUT_FILENO) != 1 || ::tcgetattr(STDIN_FILENO, &before) != 0) return nullptr;
  termios raw = before;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VSUSP] = _POSIX_VDISABLE;
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  if (::tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) return nullptr;
  write_all(kEnter);
  return std::unique_ptr<Screen>(new Screen(before));
}

Screen::~Screen() {
  write_all(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

ScreenSize Screen::size() const {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

void Screen::show(std::string_view text, std::string_view keys) {
  shown_ = size();
  std::string frame = "\x1b[H";
  for (size_t line = 0; line + 1 < shown_.lines; ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    frame.append(text.substr(0, end));
    frame += "\x1b[K\r\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  frame += "\x1b[7m";
  frame.append(keys.substr(0, shown_.columns));
  frame += "\x1b[0m\x1b[K";
  write_all(frame);
}

std::optional<char> Screen::key(std::chrono::milliseconds timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  do {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd in{STDIN_FILENO, POLLIN, 0};
    const auto wait = std::clamp(left, std::chrono::milliseconds(0), kLook);
    if (::poll(&in, 1, static_cast<int>(wait.count())) == 1) {
      char key = 0;
      return ::read(STDIN_FILENO, &key, 1) == 1 ? key : kEndOfInput;
    }
    if (resized()) return std::nullopt;
  } while (std::chrono::steady_clock::now() < until);
  return std::nullopt;
}

}  // namespace memwhy::app
