// SPDX-License-Identifier: Apache-2.0
#include "app/terminal.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace memwhy::app {
namespace {

// A name as a hostile process gives itself: ESC, a new line, CSI as one character (C1), a bidirectional
// override, a byte that is no UTF-8; and a word that is left as it is.
constexpr const char* kHostile = "a\x1b[2J\n\x7f\u009b31mX\u202eY\xff größe";
constexpr const char* kHarmless = "a\\x1b[2J\\x0a\\x7f\\u{9b}31mX\\u{202e}Y\\xff größe";

std::string on_stderr(const std::function<void()>& work) {
  testing::internal::CaptureStderr();
  work();
  return testing::internal::GetCapturedStderr();
}

TEST(Terminal, SentencesHaveNothingThatATerminalActsOn) {
  const std::string harmless = kHarmless;
  EXPECT_EQ(on_stderr([] { say(kHostile); }), "memwhy: " + harmless + "\n");
  EXPECT_EQ(on_stderr([] { warn(kHostile); }), "memwhy: warning: " + harmless + "\n");
  EXPECT_EQ(on_stderr([] { say_error({ErrorCode::kUsage, kHostile}); }), "memwhy: " + harmless + "\n");
}

TEST(Terminal, ProgressHasOnlyItsOwnEscapes) {
  const auto shown = [](Progress::Mode mode) {
    return on_stderr([mode] { Progress(mode).show(std::chrono::seconds(1), kHostile); });
  };
  const std::string harmless = kHarmless;
  EXPECT_EQ(shown(Progress::Mode::kLines), "memwhy: " + harmless + "\n");
  EXPECT_EQ(shown(Progress::Mode::kTerminal), "\r\x1b[K" + harmless + "\r\x1b[K");
  EXPECT_EQ(shown(Progress::Mode::kQuiet), "");
}

}  // namespace
}  // namespace memwhy::app
