// SPDX-License-Identifier: Apache-2.0
// Writes memwhy's manual pages and the completions of shells into a directory: what the build installs. A lint too: every
// command and every option says what it does.
//
//   memwhy_manual DIRECTORY EXPORTS     memwhy.1 memwhy-explain.1 … memwhy.bash _memwhy memwhy.fish
//
// EXPORTS: userspace/export/README.md, whose tables and queries of SQL are in memwhy-export.1 too.
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "app/command.h"
#include "app/manual.h"

namespace {

// From the tables to the end of the first queries; "" is not what it was.
std::string about_sql(const char* readme) {
  std::ostringstream text;
  text << std::ifstream(readme).rdbuf();
  const std::string all = text.str();
  const size_t tables = all.find("## Tables of sqlite"), queries = all.find("```sql\n", tables);
  const size_t end = all.find("```\n", queries + 1);
  return end == std::string::npos ? "" : all.substr(tables, end + 4 - tables);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace memwhy::app;
  if (argc != 3) {
    std::cerr << "usage: memwhy_manual DIRECTORY EXPORTS\n";
    return 2;
  }
  const std::string sql = about_sql(argv[2]);
  if (sql.empty()) {
    std::cerr << argv[2] << " has no tables and queries\n";
    return 1;
  }
  CLI::App program("", "memwhy");
  const auto commands = add_commands(program);
  for (const std::string& nothing : undescribed(program))
    std::cerr << "memwhy " << nothing << " says nothing of what it does\n";
  if (!undescribed(program).empty()) return 1;
  const std::string directory = std::string(argv[1]) + "/";
  std::ofstream(directory + "memwhy.1") << manual_page(program, program);
  for (const Command& command : commands) {
    const std::string name = command.options->get_name();
    std::ofstream(directory + "memwhy-" + name + ".1")
        << manual_page(program, *command.options, name == "export" ? manual_sections(sql) : "");
  }
  std::ofstream(directory + "memwhy.bash") << completion(program, Shell::kBash);
  std::ofstream(directory + "_memwhy") << completion(program, Shell::kZsh);
  std::ofstream(directory + "memwhy.fish") << completion(program, Shell::kFish);
  return std::ifstream(directory + "memwhy.fish").good() ? 0 : 1;
}
