// SPDX-License-Identifier: Apache-2.0
#include "app/manual.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "app/command.h"
#include "support/temporary_directory.h"

namespace memwhy::app {
namespace {

class ManualTest : public ::testing::Test {
 protected:
  CLI::App program_{"", "memwhy"};
  std::vector<Command> commands_ = add_commands(program_);

  const CLI::App& command(const std::string& name) { return *program_.get_subcommand(name); }
};

// What a shell or troff prints of it, with stderr.
std::string output_of(const std::string& command) {
  std::string out;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "no shell";
  std::array<char, 4096> buffer{};
  while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) out += buffer.data();
  ::pclose(pipe);
  return out;
}

std::string written(const std::string& name, const std::string& text) {
  static const test::TemporaryDirectory folder;
  const std::string path = folder / name;
  std::ofstream(path) << text;
  return path;
}

TEST_F(ManualTest, EveryCommandAndOptionSaysWhatItDoes) {
  EXPECT_EQ(undescribed(program_), std::vector<std::string>());
  program_.get_subcommand("diff")->add_flag("--nothing");
  EXPECT_EQ(undescribed(program_), std::vector<std::string>{"diff --nothing"});
}

TEST_F(ManualTest, PagesHaveEveryOptionAndNoCommandOfTroffByMistake) {
  for (const Command& each : commands_) {
    const std::string page = manual_page(program_, *each.options);
    for (const CLI::Option* option : each.options->get_options(nullptr))
      for (const std::string& name : option->get_lnames())
        EXPECT_NE(page.find("\\-\\-" +
                            [&] {
                              std::string escaped;
                              for (const char c : name)
                                escaped += c == '-' ? std::string("\\-") : std::string(1, c);
                              return escaped;
                            }()),
                  std::string::npos)
            << each.options->get_name() << " " << name;
    size_t at = 0;
    while ((at = page.find("\n.", at)) != std::string::npos) {
      const std::string line = page.substr(at + 1, page.find('\n', at + 1) - at - 1);
      const std::string macro = line.substr(1, line.find(' ') - 1);
      const std::array<std::string, 8> known = {"TH", "SH", "TP", "B", "I", "BR", "nf", "fi"};
      EXPECT_NE(std::find(known.begin(), known.end(), macro), known.end()) << line;
      ++at;
    }
  }
}

TEST_F(ManualTest, TheFirstPageListsTheCommands) {
  const std::string page = manual_page(program_, program_);
  for (const Command& each : commands_)
    EXPECT_NE(page.find(".B " + each.options->get_name() + "\n"), std::string::npos)
        << each.options->get_name();
}

TEST_F(ManualTest, BashCompletesCommandsOptionsAndFiles) {
  const std::string script = written("memwhy.bash", completion(program_, Shell::kBash));
  const auto completed = [&](const std::string& words, int at) {
    return output_of("bash --norc -c 'source " + script + "; COMP_WORDS=(" + words +
                     "); COMP_CWORD=" + std::to_string(at) + "; _memwhy; echo ${COMPREPLY[@]}'");
  };
  EXPECT_EQ(completed("memwhy expl", 1), "explain\n");
  EXPECT_EQ(completed("memwhy check --max-", 2), "--max-rss --max-owner --max-memory --max-time\n");
  EXPECT_EQ(completed("memwhy check --max-rss \"\"", 3), "\n");
  EXPECT_EQ(completed("memwhy diff " + script.substr(0, script.size() - 3), 2), script + "\n");
}

// Whether the shell itself takes the script for one of its own.
TEST_F(ManualTest, TheShellsCanReadThem) {
  const std::array<std::pair<const char*, Shell>, 3> shells = {
      {{"bash", Shell::kBash}, {"zsh", Shell::kZsh}, {"fish", Shell::kFish}}};
  for (const auto& [name, shell] : shells) {
    if (output_of(std::string("command -v ") + name).empty()) {
      EXPECT_EQ(std::getenv("CI"), nullptr) << name << " is not installed";
      continue;
    }
    const std::string script = written(std::string("memwhy.") + name, completion(program_, shell));
    EXPECT_EQ(output_of(std::string(name) + " -n " + script), "");
  }
}

TEST_F(ManualTest, OtherShellsNameEveryOption) {
  for (const Shell shell : {Shell::kZsh, Shell::kFish}) {
    const std::string script = completion(program_, shell);
    for (const Command& each : commands_)
      for (const CLI::Option* option : each.options->get_options(nullptr))
        for (const std::string& name : option->get_lnames())
          EXPECT_NE(script.find(shell == Shell::kZsh ? "--" + name + "[" : " -l " + name), std::string::npos)
              << name;
  }
}

}  // namespace
}  // namespace memwhy::app
