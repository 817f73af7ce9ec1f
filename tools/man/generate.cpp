// SPDX-License-Identifier: Apache-2.0
// Writes memwhy's manual pages and the completions of shells into a directory: what the build installs. A lint too: every
// command and every option says what it does.
//
//   memwhy_manual DIRECTORY     memwhy.1 memwhy-explain.1 … memwhy.bash _memwhy memwhy.fish
#include <fstream>
#include <iostream>
#include <string>

#include "app/command.h"
#include "app/manual.h"

int main(int argc, char** argv) {
  using namespace memwhy::app;
  if (argc != 2) {
    std::cerr << "usage: memwhy_manual DIRECTORY\n";
    return 2;
  }
  CLI::App program("", "memwhy");
  const auto commands = add_commands(program);
  for (const std::string& nothing : undescribed(program))
    std::cerr << "memwhy " << nothing << " says nothing of what it does\n";
  if (!undescribed(program).empty()) return 1;
  const std::string directory = std::string(argv[1]) + "/";
  std::ofstream(directory + "memwhy.1") << manual_page(program, program);
  for (const Command& command : commands)
    std::ofstream(directory + "memwhy-" + command.options->get_name() + ".1")
        << manual_page(program, *command.options);
  std::ofstream(directory + "memwhy.bash") << completion(program, Shell::kBash);
  std::ofstream(directory + "_memwhy") << completion(program, Shell::kZsh);
  std::ofstream(directory + "memwhy.fish") << completion(program, Shell::kFish);
  return std::ifstream(directory + "memwhy.fish").good() ? 0 : 1;
}
