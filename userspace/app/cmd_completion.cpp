// SPDX-License-Identifier: Apache-2.0
// memwhy completion SHELL: what a shell needs to complete memwhy's command line, generated from its description.
#include <memory>

#include "app/command.h"
#include "app/manual.h"

namespace memwhy::app {
namespace {

constexpr const char* kCompletionExamples = R"(Examples:
  source <(memwhy completion bash)
  memwhy completion zsh > "${fpath[1]}/_memwhy"
  memwhy completion fish > ~/.config/fish/completions/memwhy.fish

cmake --install puts them where the shells look for them.)";

}  // namespace

Command add_completion(CLI::App& program) {
  CLI::App* options =
      program.add_subcommand("completion", "Print the completion of memwhy's command line for a shell");
  options->footer(kCompletionExamples);
  set_usage(*options, "memwhy completion (bash | zsh | fish)");
  const auto shell = std::make_shared<Shell>(Shell::kBash);
  options->add_option("SHELL", *shell, "bash, zsh or fish")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, Shell>{
                                      {"bash", Shell::kBash}, {"zsh", Shell::kZsh}, {"fish", Shell::kFish}})
              .description(""))
      ->type_name("")
      ->required();
  return {options, false,
          [shell, &program](const std::vector<std::string>&) { return print(completion(program, *shell)); }};
}

}  // namespace memwhy::app
