// SPDX-License-Identifier: Apache-2.0
// Manual: manual pages and shell completions, generated from the one description of the command line (command.h) when memwhy is
// built, and installed with it; `memwhy completion` prints the same.
//
//   add_commands(program) ─► manual_page(program) memwhy.1, manual_page(command) memwhy-explain.1 …
//                         └► completion(program, Shell::kBash) …
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace memwhy::app {

enum class Shell : uint8_t { kBash, kZsh, kFish };

// In troff (man(7)). `command`: the program itself, or one of its commands. `more`: sections that follow its own.
std::string manual_page(const CLI::App& program, const CLI::App& command, std::string_view more = "");
// A chapter of a README as sections of a page: headings, tables of two columns, paragraphs and code.
std::string manual_sections(std::string_view markdown);
std::string completion(const CLI::App& program, Shell shell);

// Commands and options without a description, as "explain --json".
std::vector<std::string> undescribed(const CLI::App& program);

}  // namespace memwhy::app
