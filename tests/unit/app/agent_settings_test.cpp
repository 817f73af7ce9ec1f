// SPDX-License-Identifier: Apache-2.0
#include "app/agent_settings.h"

#include <gtest/gtest.h>

#include <fstream>

#include "app/command.h"
#include "support/temporary_directory.h"

namespace memwhy::app {
namespace {

std::string file_with(const std::string& text) {
  static const test::TemporaryDirectory folder;
  const std::string path = folder / "agent.toml";
  std::ofstream(path) << text;
  return path;
}

std::string refusal(const std::string& text) {
  const Status checked = check_agent_file(file_with(text));
  return checked ? "" : checked.error().message();
}

TEST(AgentSettingsTest, ALaterLayerWins) {
  const std::string file = file_with(
      "growth = \"1M\"\nwindow = \"1m\"\ntop = 3\ncomm = [\"a\", \"b\"]\nserve-recordings = true\ntoken-file "
      "= \"/t\"\n");
  const Result<AgentSettings> settings = layered_settings(
      file, {"PATH=/bin", "MEMWHY_WINDOW=2m", "MEMWHY_TOP=4", "MEMWHY_OTHER=x"}, {"--top=5"});
  ASSERT_TRUE(settings.ok()) << settings.error().message();
  EXPECT_EQ(settings->growth, (Growth{1u << 20, 0}));
  EXPECT_EQ(settings->window, std::chrono::minutes(2));
  EXPECT_EQ(settings->top, 5u);
  EXPECT_EQ(settings->comms, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(settings->serve_recordings);
  EXPECT_EQ(settings->keep, std::chrono::minutes(15));
  // A list replaces a list.
  EXPECT_EQ(layered_settings(file, {}, {"--comm=c", "--comm=d"})->comms,
            (std::vector<std::string>{"c", "d"}));
}

TEST(AgentSettingsTest, TheWordsOfACommandLineAreItsSettingsAlone) {
  CLI::App program("", "memwhy");
  const std::vector<Command> commands = add_commands(program);
  program.parse("agent --config x.toml --top 7 --comm a,b --serve-recordings --token-file /t", false);
  const std::vector<std::string> words = given_words(*program.get_subcommand("agent"));
  const Result<AgentSettings> settings = layered_settings("", {}, words);
  ASSERT_TRUE(settings.ok()) << settings.error().message();
  EXPECT_EQ(settings->top, 7u);
  EXPECT_EQ(settings->comms, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(settings->serve_recordings);
}

TEST(AgentSettingsTest, WhatIsWrongIsSaidWithItsLine) {
  EXPECT_EQ(refusal(""), "");
  EXPECT_NE(refusal("\ngrowht = 1\n").find("agent.toml:2: growht is no setting"), std::string::npos)
      << refusal("\ngrowht = 1\n");
  EXPECT_NE(refusal("growth = \"much\"\n").find("agent.toml:1: "), std::string::npos);
  EXPECT_NE(refusal("growth = \"much\"\n").find("not a size or a share"), std::string::npos)
      << refusal("growth = \"much\"\n");
  EXPECT_NE(refusal("a = 1\nb = = 2\n").find("agent.toml:2: "), std::string::npos);
  EXPECT_NE(refusal("[table]\nx = 1\n"), "");
  EXPECT_NE(refusal("help = true\n"), "");
  EXPECT_NE(refusal("listen = \"here\"\n").find("not an address"), std::string::npos);
  EXPECT_NE(refusal("ring-size = \"4G\"\ndisk = \"1G\"\n").find("does not fit"), std::string::npos);
  EXPECT_NE(refusal("serve-recordings = true\n").find("a token-file has to say to whom"), std::string::npos);
  EXPECT_NE(refusal("budget = 0\n").find("budget"), std::string::npos);
  EXPECT_NE(check_agent_file("/nowhere.toml").error().message().find("can't be read"), std::string::npos);
  const Result<AgentSettings> variable = layered_settings("", {"MEMWHY_TOP=many"}, {});
  ASSERT_FALSE(variable.ok());
  EXPECT_TRUE(variable.error().message().starts_with("MEMWHY_TOP: ")) << variable.error().message();
}

TEST(AgentSettingsTest, GrowthIsASizeAShareOrBoth) {
  EXPECT_EQ(parse_growth("256M"), (Growth{256u << 20, 0}));
  EXPECT_EQ(parse_growth("10%"), (Growth{0, 0.1}));
  EXPECT_EQ(parse_growth("64M,10%"), (Growth{64u << 20, 0.1}));
  EXPECT_EQ(AgentSettings().growth, *parse_growth("64M,10%"));
  for (const char* text : {"", "0", "0%", "10%,64M", "64M,", "64M,0.1", ",10%", "64M,10%,1", "200%"})
    EXPECT_FALSE(parse_growth(text)) << text;
}

TEST(AgentSettingsTest, AllRingsFitIntoHalfOfTheDisk) {
  AgentSettings settings;
  settings.disk = 400u << 20;
  EXPECT_EQ(settings.ring().bytes, 10u << 20);
  settings.disk = uint64_t{10} << 30;
  EXPECT_EQ(settings.ring().bytes, 64u << 20);
}

}  // namespace
}  // namespace memwhy::app
