// SPDX-License-Identifier: Apache-2.0
// memwhy check: is a recording within its limits, and no worse than others? For CI: exit status 0 or 3.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "app/command.h"
#include "app/explained.h"
#include "app/file_limits.h"
#include "app/runtimes.h"
#include "app/terminal.h"
#include "app/units.h"
#include "explain/compare/limits.h"
#include "report/check.h"

namespace memwhy::app {
namespace {

constexpr const char* kCheckExamples = R"(Examples:
  memwhy check run.memwhy --max-rss 512M --fail-on any-problem
  memwhy check run.memwhy --max-owner go.heap=200M --max-owner race.shadow=0
  memwhy check run.memwhy --against base-*.memwhy       noise is what the bases differ by among themselves

A workflow of GitHub Actions, as root on the runner; the bases are recordings of the main branch, kept as an artifact:
  - run: sudo memwhy record -o run.memwhy -q -- ./integration-test
  - run: memwhy check run.memwhy --against base/*.memwhy --max-rss 512M --fail-on any-problem
  - uses: actions/upload-artifact@v4
    if: always()
    with: {name: memory, path: run.memwhy}

A base is exceeded by what is more than --tolerance above the mean of the bases, and more than three standard deviations of
them: with several runs of the same program as bases, its own noise is no failure.
Exit status: 0 all of it is kept, 3 something is not, each with a sentence.)";

struct CheckRequest {
  std::string path;
  std::vector<std::string> bases;
  explain::Limits limits;
  explain::BaseOptions base;
  FileLimits file_limits;
  bool json = false;
  Colour colour = Colour::kAuto;
};

bool is_owner(const std::string& id) {
  const explain::OwnerTable table = owner_table();
  for (size_t i = 0; i < table.owners(); ++i) {
    const std::string_view known = table.name(static_cast<explain::Owner>(i)).id;
    if (known == id || known.starts_with(id + ".")) return true;
  }
  return false;
}

// "go.heap=200M"
void parse_owner_limit(const std::string& text, std::vector<explain::OwnerLimit>& out) {
  const size_t sign = text.find('=');
  const auto size = sign == std::string::npos ? std::nullopt : parse_size(text.substr(sign + 1));
  if (!size) throw CLI::ValidationError("--max-owner " + text + ": write ID=SIZE, as go.heap=200M");
  if (!is_owner(text.substr(0, sign)))
    throw CLI::ValidationError("--max-owner " + text + ": no line of a ledger has this id");
  out.push_back({text.substr(0, sign), *size});
}

size_t limits_set(const explain::Limits& limits) {
  return (limits.max_rss_bytes ? 1 : 0) + limits.max_owners.size() + limits.fail_on.size();
}

Status check(const CheckRequest& request) {
  if (limits_set(request.limits) == 0 && request.bases.empty())
    return Error(ErrorCode::kUsage,
                 "say what to check: --max-rss, --max-owner, --fail-on, or --against other recordings");
  return check_finding_ids(request.limits.fail_on);
}

Status run_check(const CheckRequest& request) {
  report::Checked checked;
  checked.limits = limits_set(request.limits);
  checked.bases = request.bases.size();
  {
    const Result<explain::Explanation> now = explained(request.path);
    if (!now) return now.error();
    checked.programs = explain::totals_of(*now);
    checked.broken = explain::broken_limits(*now, request.limits);
  }
  std::vector<std::vector<explain::ProgramTotals>> bases;
  for (const std::string& path : request.bases) {  // one at a time: what is kept of each is small
    const Result<explain::Explanation> base = explained(path);
    if (!base) return base.error();
    bases.push_back(explain::totals_of(*base));
    if (bases.back().empty())
      return Error(ErrorCode::kBadInput, path + ": no process of it was scanned, so it is no base");
  }
  if (!bases.empty())
    for (explain::BrokenLimit& each : explain::broken_against(checked.programs, bases, request.base))
      checked.broken.push_back(std::move(each));
  const Status printed = print(request.json ? report::to_json(checked)
                                            : report::to_text(checked, style_of_stdout(request.colour)));
  return printed ? unmet(checked.broken) : printed;
}

}  // namespace

Command add_check(CLI::App& program) {
  CLI::App* options =
      program.add_subcommand("check", "Hold a recording against limits and other recordings, for CI");
  options->footer(kCheckExamples);
  set_usage(*options, "memwhy check FILE [LIMITS] [--against BASE…]");
  const auto request = std::make_shared<CheckRequest>();
  options->add_option("FILE", request->path, "a recording (.memwhy)")->type_name("")->required();
  options
      ->add_option_function<std::string>(
          "--max-rss",
          [request](const std::string& text) {
            request->limits.max_rss_bytes = parse_size(text);
            if (!request->limits.max_rss_bytes)
              throw CLI::ValidationError("--max-rss " + text + ": not a size; write 500M or 2G");
          },
          "RSS of each process at the last scan")
      ->type_name("SIZE");
  options
      ->add_option_function<std::vector<std::string>>(
          "--max-owner",
          [request](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) parse_owner_limit(text, request->limits.max_owners);
          },
          "a line of the ledger, or all that begin with it: go.heap=200M; may be repeated")
      ->allow_extra_args(false)
      ->type_name("ID=SIZE");
  add_fail_on(*options, request->limits.fail_on);
  options->add_option("--against", request->bases, "recordings that it must not be worse than")
      ->type_name("BASE");
  add_share(*options, "--tolerance", request->base.tolerance,
            "of --against: what more is allowed; default 10%");
  options->add_flag("--json", request->json, "as JSON, format memwhy.check/1");
  add_colour(*options, request->colour);
  add_file_limits(*options, request->file_limits, "explaining all of them");
  return {options, false, [request](const std::vector<std::string>&) -> Status {
            if (Status asked = check(*request); !asked) return asked;
            return within(request->file_limits, request->path, [&] { return run_check(*request); });
          }};
}

}  // namespace memwhy::app
