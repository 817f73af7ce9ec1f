// SPDX-License-Identifier: Apache-2.0
#include "app/app.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "app/agent_answer.h"
#include "app/agent_front.h"
#include "app/command.h"
#include "app/crash.h"
#include "app/limits.h"
#include "app/signals.h"
#include "app/terminal.h"
#include "app/units.h"
#include "base/exit_status.h"
#include "files/child.h"

namespace memwhy::app {
namespace {

constexpr const char* kAbout =
    "memwhy says why a process's memory (RSS) is what it is: from outside, while it runs, without stopping "
    "it.\n"
    "Every resident byte goes to an owner; the causes come as sentences with bytes and evidence.";

constexpr const char* kMore = R"(Examples:
  memwhy explain -p 4711                     record pid 4711 for 10 s and explain it
  memwhy explain -p 4711 -d 5m -o web.memwhy the same for 5 minutes, and keep the recording
  memwhy explain web.memwhy --json           explain a recording, as JSON
  memwhy export -f pprof web.memwhy -o web.pb.gz   for tools that you know: pprof, Perfetto, SQL …
  memwhy record -o run.memwhy -- ls -lR /usr record a program from its start to its end
  memwhy report web.memwhy -o web.html       a recording as a page, to look at in a browser
  memwhy doctor                              what this machine and your privileges allow

Recording needs root, or CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (before Linux 6.7
CAP_SYS_ADMIN too), and a kernel with BTF.
Explaining a file needs nothing. The result is on stdout, everything else on stderr.
Exit status: 0 done, 1 a bug in memwhy, 2 command line, 3 what was demanded (--fail-on, a limit) is not so, 4 target missing or gone, 5 environment (privilege, kernel),
6 bad input file, 7 output (exists, disk full).)";

int fail(const Error& error) {
  say_error(error);
  return exit_status(error.code());
}

// CLI11's own errors are of the command line, but for the requests for help.
int usage(const CLI::App& program, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    program.exit(error);
    return 0;
  }
  std::string what = error.what();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::vector<std::string> extras = program.remaining(true);
    what = fmt::format("{} means nothing here", fmt::join(extras, " "));
  }
  std::string command = "memwhy";
  for (const CLI::App* chosen : program.get_subcommands()) command += " " + chosen->get_name();
  return fail({ErrorCode::kUsage, fmt::format("{}; see {} --help", what, command)});
}

int run_checked(const std::vector<std::string>& words, const std::vector<std::string>& command_line) {
  CLI::App program("", "memwhy");
  const std::vector<Command> commands = add_commands(program);
  try {
    // CLI11 takes the words last to first, without the program's name.
    program.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    return usage(program, error);
  }
  for (const Command& command : commands) {
    if (!command.options->parsed()) continue;
    if (!command_line.empty() && !command.takes_command_line) {
      return fail(
          {ErrorCode::kUsage, fmt::format("memwhy {0} takes no command after --; see memwhy {0} --help",
                                          command.options->get_name())});
    }
    const Status status = command.run(command_line);
    return status ? 0 : fail(status.error());
  }
  std::cerr << program.help();
  return exit_status(ErrorCode::kUsage);
}

constexpr size_t kHelpColumn = 30;

class HelpWithUsage : public CLI::Formatter {
 public:
  explicit HelpWithUsage(std::string usage) : usage_(std::move(usage)) { column_width(kHelpColumn); }
  std::string make_usage(const CLI::App* /*app*/, std::string /*name*/) const override {
    return "Usage: " + usage_ + "\n";
  }

 private:
  std::string usage_;
};

// CLI::ValidationError becomes exit status 2 with this text.
[[noreturn]] void refuse(const std::string& name, const std::string& text, const char* expected) {
  throw CLI::ValidationError(fmt::format("{} {}: {}", name, text, expected));
}

}  // namespace

std::vector<Command> add_commands(CLI::App& program) {
  program.description(kAbout);
  program.footer(kMore);
  program.set_version_flag("--version", "memwhy " MEMWHY_VERSION);
  set_usage(program, "memwhy COMMAND [OPTIONS]");
  program.require_subcommand(0, 1);  // in "memwhy agent top" the second word is not a command
  return {
      add_explain(program), add_record(program),     add_report(program), add_info(program),
      add_top(program),     add_live(program),       add_diff(program),   add_check(program),
      add_export(program),  add_anonymize(program),  add_mcp(program),    add_agent(program),
      add_doctor(program),  add_completion(program),
  };
}

void set_usage(CLI::App& command, std::string usage) {
  command.formatter(std::make_shared<HelpWithUsage>(std::move(usage)));
}

CLI::Option* add_duration(CLI::App& command, const std::string& name, std::chrono::nanoseconds& value,
                          const std::string& help) {
  return command
      .add_option_function<std::string>(
          name,
          [&value, name](const std::string& text) {
            const auto parsed = parse_duration(text);
            if (!parsed || parsed->count() == 0)
              refuse(name, text, "not a duration; write 30, 30s, 5m or 2h");
            value = *parsed;
          },
          help)
      ->type_name("TIME");
}

CLI::Option* add_size(CLI::App& command, const std::string& name, uint64_t& value, const std::string& help) {
  return command
      .add_option_function<std::string>(
          name,
          [&value, name](const std::string& text) {
            const auto parsed = parse_size(text);
            if (!parsed || *parsed == 0)
              refuse(name, text, "not a size; write 500M or 2G (K, M, G are 1024 each)");
            value = *parsed;
          },
          help)
      ->type_name("SIZE");
}

CLI::Option* add_share(CLI::App& command, const std::string& name, double& value, const std::string& help) {
  return command
      .add_option_function<std::string>(
          name,
          [&value, name](const std::string& text) {
            const auto parsed = parse_share(text);
            if (!parsed) refuse(name, text, "not a share; write 5% or 0.05");
            value = *parsed;
          },
          help)
      ->type_name("SHARE");
}

void add_colour(CLI::App& command, Colour& value) {
  command.add_option("--color", value, "auto, always or never; auto respects NO_COLOR")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Colour>{{"auto", Colour::kAuto},
                                                                        {"always", Colour::kAlways},
                                                                        {"never", Colour::kNever}})
                      .description(""))
      ->type_name("WHEN");
}

void add_fail_on(CLI::App& command, std::vector<std::string>& ids) {
  command
      .add_option("--fail-on", ids,
                  "exit status 3 when a finding with this id is a problem; any-problem: any")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("ID");
}

Status write_result(int fd, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EPIPE) return {};  // "| head" has seen enough
    if (written < 0) return errno_error(ErrorCode::kOutput, "writing the result to " + name, errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Status print(const std::string& text) { return write_result(STDOUT_FILENO, text, "stdout"); }

int run(int argc, const char* const* argv) {
  hold_standard_descriptors();
  ignore_write_signals();
  // A split at "--": after it nothing is an option or a command of memwhy's, whatever it looks like.
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (files::is_child(words)) return files::run_child(words);
  report_crashes();
  if (words.size() == 1 && words.front() == kFrontWord) return run_front();
  if (!words.empty() && words.front() == kCloserWord) return run_closer(words);
  // Else malloc raises the size that has a mapping of its own as large blocks are freed, and a peak is kept for good.
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  const auto dashes = std::find(words.begin(), words.end(), "--");
  const std::vector<std::string> command_line(dashes == words.end() ? dashes : dashes + 1, words.end());
  if (dashes != words.end() && command_line.empty()) {
    return fail({ErrorCode::kUsage, "there is no command after --; see memwhy record --help"});
  }
  try {
    return run_checked({words.begin(), dashes}, command_line);
  } catch (const std::exception& bug) {
    return fail({ErrorCode::kInternal,
                 fmt::format("a bug in memwhy: {}; please report it, with the command line", bug.what())});
  }
}

}  // namespace memwhy::app
