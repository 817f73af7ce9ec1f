// SPDX-License-Identifier: Apache-2.0
// memwhy diff: two recordings, or two moments of one, side by side. The differences of each table sum to that of RSS.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "app/command.h"
#include "app/explained.h"
#include "app/file_limits.h"
#include "app/moments.h"
#include "app/terminal.h"
#include "explain/compare/difference.h"
#include "report/diff.h"

namespace memwhy::app {
namespace {

constexpr const char* kDiffExamples = R"(Examples:
  memwhy diff before.memwhy after.memwhy        two recordings, also of two builds
  memwhy diff web.memwhy --from +30s --to -1m   two moments of one
  memwhy diff before.memwhy after.memwhy --json | jq '.programs[0].by.owner.lines'

Processes are matched by the name of their executable; several of one name are added up. Functions are matched by name,
whatever line they are on.)";

struct DiffRequest {
  std::vector<std::string> files;
  Part part;
  FileLimits limits;
  bool json = false, full = false;
  Colour colour = Colour::kAuto;
};

Status check(const DiffRequest& request) {
  if (request.files.size() == 2 && !request.part.whole())
    return Error(ErrorCode::kUsage, "--from and --to are two moments of one recording; there are two FILEs");
  if (request.files.size() == 1 && !request.part.from)
    return Error(ErrorCode::kUsage,
                 "give a second FILE, or two moments of this one: --from MOMENT [--to MOMENT]");
  return {};
}

Result<std::vector<ExplainedSide>> two_files(const DiffRequest& request) {
  std::vector<ExplainedSide> sides;
  for (const std::string& path : request.files) {
    Result<explain::Explanation> explanation = explained(path);
    if (!explanation) return std::move(explanation).error();
    sides.push_back({path, *std::move(explanation)});
  }
  return sides;
}

Result<std::vector<ExplainedSide>> two_moments(const DiffRequest& request) {
  const std::string& path = request.files.front();
  const Result<trace::Reader> reader = trace::Reader::open(path);
  if (!reader) return reader.error();
  return two_moments(*reader, path, request.part);
}

Status diff(const DiffRequest& request) {
  const Result<std::vector<ExplainedSide>> sides =
      request.files.size() == 2 ? two_files(request) : two_moments(request);
  if (!sides) return sides.error();
  const ExplainedSide &a = sides->front(), &b = sides->back();
  const std::vector<explain::ProgramDifference> changes = explain::difference(a.explanation, b.explanation);
  const report::DiffSide before{a.name, &a.explanation}, after{b.name, &b.explanation};
  if (request.json) return print(report::to_json(changes, before, after));
  return print(report::to_text(changes, before, after, {request.full, style_of_stdout(request.colour)}));
}

}  // namespace

Command add_diff(CLI::App& program) {
  CLI::App* options = program.add_subcommand("diff", "Compare two recordings, or two moments of one");
  options->footer(kDiffExamples);
  set_usage(*options, "memwhy diff (BEFORE AFTER | FILE --from MOMENT [--to MOMENT]) [OPTIONS]");
  const auto request = std::make_shared<DiffRequest>();
  options->add_option("FILE", request->files, "recordings (.memwhy)")
      ->type_name("")
      ->expected(1, 2)
      ->required();
  add_part_options(*options, request->part, "the first moment", "the second one; default the end");
  options->add_flag("--full", request->full, "every line that changed");
  options->add_flag("--json", request->json, "as JSON, format memwhy.diff/1");
  add_colour(*options, request->colour);
  add_file_limits(*options, request->limits, "explaining");
  return {options, false, [request](const std::vector<std::string>&) -> Status {
            if (Status asked = check(*request); !asked) return asked;
            return within(request->limits, request->files.front(), [&] { return diff(*request); });
          }};
}

}  // namespace memwhy::app
