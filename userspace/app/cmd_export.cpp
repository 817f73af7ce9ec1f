// SPDX-License-Identifier: Apache-2.0
// memwhy export: a recording in the format of another tool. The table of formats is here; what each writes is export/.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "app/command.h"
#include "app/explained.h"
#include "app/file_limits.h"
#include "app/live_output.h"
#include "app/terminal.h"
#include "export/exporter.h"
#include "trace/reader.h"

namespace memwhy::app {
namespace {

constexpr std::array kExporters = {
    exports::Exporter{"pprof", "resident bytes by stack, .pb.gz: go tool pprof, Pyroscope, Parca", false,
                      exports::write_pprof},
    exports::Exporter{"perfetto", "owners and mappings over time, flame graphs: ui.perfetto.dev", false,
                      exports::write_perfetto, true},
    exports::Exporter{"folded", "a line for each stack: flamegraph.pl, inferno", true, exports::write_folded},
    exports::Exporter{"speedscope", "a profile for each owner, .speedscope.json: speedscope.app", true,
                      exports::write_speedscope},
    exports::Exporter{"firefox", "owners over time, stacks: profiler.firefox.com", true,
                      exports::write_firefox},
    exports::Exporter{"sqlite", "tables, .db: sqlite3, Datasette", false, exports::write_sqlite},
    exports::Exporter{"ndjson", "the same tables, a line of JSON for each row: DuckDB, ClickHouse, jq", true,
                      exports::write_ndjson},
    exports::Exporter{"otlp", "OpenTelemetry profiles, protobuf (in development there)", false,
                      exports::write_otlp},
    exports::Exporter{"json", "the same as memwhy explain --json --cells", true, exports::write_json},
};

constexpr const char* kExportExamples = R"(
Examples:
  memwhy export -f pprof web.memwhy -o web.pb.gz; go tool pprof -top -tagroot=owner web.pb.gz
  memwhy export -f folded web.memwhy | flamegraph.pl --countname bytes > web.svg)";

constexpr const char* kStdout = "-";

struct ExportRequest {
  std::string path, format, output = kStdout;
  FileLimits limits;
};

const exports::Exporter* exporter_of(const std::string& format) {
  const auto* const found = std::find_if(kExporters.begin(), kExporters.end(),
                                         [&](const auto& each) { return each.format == format; });
  return found == kExporters.end() ? nullptr : found;
}

Status write_all(const exports::Exporter& exporter, const exports::Material& material, int fd,
                 const std::string& name) {
  exports::Output out([&](std::string_view bytes) { return write_result(fd, bytes, name); });
  exporter.write(material, out);
  return out.finish();
}

// The file is made when there is something to write: a recording that takes too long or too much leaves none.
Status read_and_write(const trace::Reader& reader, const exports::Exporter& exporter,
                      const std::string& output) {
  const Result<explain::Explanation> explanation = explained(reader);
  if (!explanation) return explanation.error();
  exports::ScanSeries scans;
  if (exporter.scans) {
    const Result<trace::ReadSummary> read = reader.read_all(scans);
    if (!read) return read.error();
  }
  const exports::Material material{*explanation, scans};
  if (output == kStdout) return write_all(exporter, material, STDOUT_FILENO, "stdout");
  Result<NewFile> file = NewFile::create(output);
  if (!file) return std::move(file).error();
  Status done = write_all(exporter, material, file->take().get(), output);
  if (done) file->keep();
  return done;
}

Status export_file(const ExportRequest& request) {
  const exports::Exporter* const exporter = exporter_of(request.format);
  if (exporter == nullptr) {
    std::vector<std::string_view> formats;
    for (const exports::Exporter& each : kExporters) formats.push_back(each.format);
    return Error(ErrorCode::kUsage, fmt::format("there is no format \"{}\"; there are {}", request.format,
                                                fmt::join(formats, ", ")));
  }
  if (request.output == kStdout && !exporter->text && ::isatty(STDOUT_FILENO) != 0)
    return Error(ErrorCode::kUsage,
                 fmt::format("{} is not for a terminal; name a file with -o FILE", exporter->format));
  Result<trace::Reader> reader = trace::Reader::open(request.path);
  if (!reader) return std::move(reader).error();
  return within(request.limits, request.path,
                [&] { return read_and_write(*reader, *exporter, request.output); });
}

std::string list_of_formats() {
  std::string out = "Formats:\n";
  for (const exports::Exporter& each : kExporters)
    out += fmt::format("  {:<10}  {}\n", each.format, each.about);
  return out;
}

}  // namespace

Command add_export(CLI::App& program) {
  CLI::App* options = program.add_subcommand(
      "export", "Write a recording in the format of another tool: pprof, Perfetto, SQL …");
  options->footer(list_of_formats() + kExportExamples);
  set_usage(*options, "memwhy export -f FORMAT FILE [-o OUT]");
  const auto request = std::make_shared<ExportRequest>();
  options->add_option("FILE", request->path, "a recording (.memwhy)")->type_name("")->required();
  options->add_option("-f,--format", request->format, "one of the formats below")
      ->type_name("FORMAT")
      ->required();
  options
      ->add_option("-o,--output", request->output, "the file to make, which must not exist; default stdout")
      ->type_name("OUT");
  add_file_limits(*options, request->limits, "exporting");
  return {options, false, [request](const std::vector<std::string>&) { return export_file(*request); }};
}

}  // namespace memwhy::app
