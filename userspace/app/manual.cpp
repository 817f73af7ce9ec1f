// SPDX-License-Identifier: Apache-2.0
#include "app/manual.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <sstream>
#include <string_view>

namespace memwhy::app {
namespace {

using Options = std::vector<const CLI::Option*>;

// What troff would act on: backslashes, hyphens that are to be copied, a dot or a quote at the start of a line.
std::string troff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
    line_start = c == '\n';
  }
  return out;
}

Options options_of(const CLI::App& command) {
  return command.get_options(
      [](const CLI::Option* option) { return !option->get_positional() || !option->get_lnames().empty(); });
}
Options positionals_of(const CLI::App& command) {
  return command.get_options([](const CLI::Option* option) { return option->get_positional(); });
}
std::vector<const CLI::App*> commands_of(const CLI::App& program) {
  return program.get_subcommands([](const CLI::App*) { return true; });
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// "-p", "--pid".
std::vector<std::string> flags_of(const CLI::Option& option) {
  std::vector<std::string> out;
  for (const std::string& name : option.get_snames()) out.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) out.push_back("--" + name);
  return out;
}

std::string full_name(const CLI::App& program, const CLI::App& command) {
  return &program == &command ? program.get_name() : program.get_name() + " " + command.get_name();
}

// The usage as --help prints it, without the word.
std::string usage_of(const CLI::App& command) {
  constexpr std::string_view kBefore = "Usage: ";
  const std::string help = command.help();
  const size_t at = help.find(kBefore);
  return at == std::string::npos
             ? ""
             : help.substr(at + kBefore.size(), help.find('\n', at) - at - kBefore.size());
}

void add_option_entries(const CLI::App& command, std::string& out) {
  for (const CLI::Option* option : positionals_of(command))
    out += fmt::format(".TP\n.I {}\n{}\n", troff(option->get_name(true)), troff(option->get_description()));
  for (const CLI::Option* option : options_of(command)) {
    std::string names;
    for (const std::string& flag : flags_of(*option)) names += (names.empty() ? "" : ", ") + flag;
    const std::string value = takes_value(*option) ? " \\fI" + troff(option->get_type_name()) + "\\fR" : "";
    out += fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", troff(names), value, troff(option->get_description()));
  }
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// With a backslash before each of these.
std::string escaped(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

// Between single quotes of zsh, in a specification of its completion.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : escaped(text, "[]:\\")) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out;
}

// Between double quotes of fish.
std::string fish_text(std::string_view text) { return escaped(text, "\"$\\"); }

bool names_a_file(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type == "FILE" || type == "OUT" || type == "BASE" || type == "PAGE" || type == "DIR";
}

std::string bash(const CLI::App& program) {
  std::string commands, cases;
  for (const CLI::App* command : commands_of(program)) {
    commands += (commands.empty() ? "" : " ") + command->get_name();
    std::string words, files, values;
    for (const CLI::Option* option : options_of(*command))
      for (const std::string& flag : flags_of(*option)) {
        words += (words.empty() ? "" : " ") + flag;
        if (!takes_value(*option)) continue;
        std::string& list = names_a_file(*option) ? files : values;
        list += (list.empty() ? "" : "|") + flag;
      }
    cases += fmt::format("    {}) options=\"{}\" files=\"{}\" values=\"{}\" ;;\n", command->get_name(), words,
                         files, values);
  }
  return fmt::format(R"(# bash completion of {0}
_{0}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} options="--help --version" files="" values=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{1} $options" -- "$word"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{2}  esac
  if [[ "|$values|" == *"|$before|"* && -n $values ]]; then return; fi
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _{0} {0}
)",
                     program.get_name(), commands, cases);
}

std::string zsh(const CLI::App& program) {
  std::string commands, cases;
  for (const CLI::App* command : commands_of(program)) {
    commands +=
        fmt::format("    '{}:{}'\n", command->get_name(), zsh_text(first_line(command->get_description())));
    cases += fmt::format("    {})\n      _arguments -s \\\n", command->get_name());
    for (const CLI::Option* option : options_of(*command)) {
      const std::string value = !takes_value(*option)
                                    ? ""
                                    : fmt::format(":{}:{}", zsh_text(option->get_type_name()),
                                                  names_a_file(*option) ? "_files" : " ");
      for (const std::string& flag : flags_of(*option))
        cases += fmt::format("        '{}[{}]{}' \\\n", flag, zsh_text(option->get_description()), value);
    }
    cases += "        '*:file:_files' ;;\n";
  }
  return fmt::format(R"(#compdef {0}
_{0}() {{
  local -a commands=(
{1}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{2}  esac
}}
_{0} "$@"
)",
                     program.get_name(), commands, cases);
}

std::string fish(const CLI::App& program) {
  const std::string name = program.get_name();
  std::string out = fmt::format("# fish completion of {}\n", name);
  for (const CLI::App* command : commands_of(program))
    out += fmt::format("complete -c {} -f -n __fish_use_subcommand -a {} -d \"{}\"\n", name,
                       command->get_name(), fish_text(first_line(command->get_description())));
  for (const CLI::App* command : commands_of(program))
    for (const CLI::Option* option : options_of(*command)) {
      out += fmt::format("complete -c {} -n \"__fish_seen_subcommand_from {}\"", name, command->get_name());
      for (const std::string& each : option->get_snames()) out += " -s " + each;
      for (const std::string& each : option->get_lnames()) out += " -l " + each;
      if (takes_value(*option)) out += names_a_file(*option) ? " -r -F" : " -x";
      out += fmt::format(" -d \"{}\"\n", fish_text(option->get_description()));
    }
  return out;
}

}  // namespace

std::string manual_page(const CLI::App& program, const CLI::App& command, std::string_view more) {
  const bool whole = &program == &command;
  std::string name = full_name(program, command);
  std::replace(name.begin(), name.end(), ' ', '-');
  std::string title = name;
  std::transform(title.begin(), title.end(), title.begin(), [](unsigned char c) { return std::toupper(c); });
  std::string about = command.get_description();
  std::string out =
      fmt::format(".TH {} 1 \"\" memwhy \"User Commands\"\n.SH NAME\n{} \\- {}\n", troff(title), troff(name),
                  troff(whole ? "say why the memory of a process is what it is" : about));
  out += fmt::format(".SH SYNOPSIS\n.B {}\n", troff(usage_of(command)));
  out += fmt::format(".SH DESCRIPTION\n{}.\n",
                     troff(whole ? about.substr(0, about.find_last_not_of('.') + 1) : about));
  if (whole) {
    out += ".SH COMMANDS\n";
    for (const CLI::App* each : commands_of(program))
      out += fmt::format(".TP\n.B {}\n{}\n", troff(each->get_name()), troff(each->get_description()));
  }
  out += ".SH OPTIONS\n";
  add_option_entries(command, out);
  if (!command.get_footer().empty()) out += ".SH NOTES\n.nf\n" + troff(command.get_footer()) + "\n.fi\n";
  out += more;
  out += ".SH SEE ALSO\n";
  std::string others;
  for (const CLI::App* each : commands_of(program))
    if (each != &command)
      others +=
          fmt::format("{}.BR {} (1)", others.empty() ? "" : " ,\n", troff("memwhy-" + each->get_name()));
  return out + (whole ? "" : ".BR memwhy (1) ,\n") + others + "\n";
}

std::string manual_sections(std::string_view markdown) {
  std::string out;
  bool code = false;
  std::istringstream lines{std::string(markdown)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      code = !code;
      out += code ? ".nf\n" : ".fi\n";
    } else if (code) {
      out += troff(line) + "\n";
    } else if (line.starts_with("## ")) {
      std::transform(line.begin(), line.end(), line.begin(), [](unsigned char c) { return std::toupper(c); });
      out += ".SH " + troff(line.substr(3)) + "\n";
    } else if (line.starts_with("| `")) {
      std::erase(line, '`');
      const size_t second = line.find(" | ");
      out += fmt::format(".TP\n.B {}\n{}\n", troff(line.substr(2, second - 2)),
                         troff(line.substr(second + 3, line.size() - second - 5)));
    } else if (!line.starts_with("|")) {
      std::erase(line, '`');
      out += line.empty() ? ".PP\n" : troff(line) + "\n";
    }
  }
  return out;
}

std::string completion(const CLI::App& program, Shell shell) {
  switch (shell) {
    case Shell::kBash:
      return bash(program);
    case Shell::kZsh:
      return zsh(program);
    case Shell::kFish:
      break;
  }
  return fish(program);
}

std::vector<std::string> undescribed(const CLI::App& program) {
  std::vector<std::string> out;
  for (const CLI::App* command : commands_of(program)) {
    if (command->get_description().empty()) out.push_back(command->get_name());
    for (const CLI::Option* option : command->get_options(nullptr))
      if (option->get_description().empty()) out.push_back(command->get_name() + " " + option->get_name());
  }
  return out;
}

}  // namespace memwhy::app
