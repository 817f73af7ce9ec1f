// SPDX-License-Identifier: Apache-2.0
// A command of memwhy: its options, and what it does. Each has one file, cmd_NAME.cpp, and is listed in
// app.cpp.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/terminal.h"
#include "base/result.h"

namespace memwhy::app {

struct Command {
  CLI::App* options = nullptr;
  bool takes_command_line = false;  // the words after "--" are its own
  std::function<Status(const std::vector<std::string>& words)> run;
};

Command add_explain(CLI::App& program);
Command add_record(CLI::App& program);
Command add_report(CLI::App& program);
Command add_info(CLI::App& program);
Command add_top(CLI::App& program);
Command add_live(CLI::App& program);
Command add_diff(CLI::App& program);
Command add_check(CLI::App& program);
Command add_export(CLI::App& program);
Command add_anonymize(CLI::App& program);
Command add_agent(CLI::App& program);
Command add_mcp(CLI::App& program);
Command add_doctor(CLI::App& program);
Command add_completion(CLI::App& program);

// All of them, with the description of the program itself. The one description of the command line: manual pages and completion
// are made of it (manual.h).
std::vector<Command> add_commands(CLI::App& program);

// Options of several commands, as CLI11 callbacks with a sentence on errors.
CLI::Option* add_duration(CLI::App& command, const std::string& name, std::chrono::nanoseconds& value,
                          const std::string& help);
CLI::Option* add_size(CLI::App& command, const std::string& name, uint64_t& value, const std::string& help);
// "5%" or "0.05".
CLI::Option* add_share(CLI::App& command, const std::string& name, double& value, const std::string& help);
// --color and --fail-on.
void add_colour(CLI::App& command, Colour& value);
void add_fail_on(CLI::App& command, std::vector<std::string>& ids);

// What --help prints after "Usage: ", where CLI11's own line would not be enough.
void set_usage(CLI::App& command, std::string usage);

// The whole of `bytes` into `fd`, which is called `name`. kOutput: the reader of a pipe is gone is no error; a full disk is.
Status write_result(int fd, std::string_view bytes, const std::string& name);
Status print(const std::string& text);  // on stdout

}  // namespace memwhy::app
