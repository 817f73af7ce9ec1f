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
#include "app/file_limits.h"
#include "app/live_output.h"
#include "app/runtimes.h"
#include "app/terminal.h"
#include "explain/explainer.h"
#include "export/exporter.h"
#include "trace/reader.h"

namespace memwhy::app {
namespace {

constexpr std::array kExporters = {
    exports::Exporter{"pprof", "resident bytes by stack, .pb.gz: go tool pprof, Pyroscope, Parca", false,
                      exports::write_pprof},
    exports::Exporter{"perfetto", "owners and mappings over time, flame graphs: ui.perfetto.dev", false,
                      exports::write_perfetto},
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

struct ExportRequest {
  std::string path, format, output = "-";
  FileLimits limits;
};

const exports::Exporter* exporter_of(const std::string& format) {
  const auto* const found = std::find_if(kExporters.begin(), kExporters.end(),
                                         [&](const auto& each) { return each.format == format; });
  return found == kExporters.end() ? nullptr : found;
}

// What both the explanation and the formats with mappings over time are made of.
class Both : public events::EventSink {
 public:
  void on_event(const events::Event& event) override {
    scans.on_event(event);
    explainer.on_event(event);
  }
  explain::Explainer explainer{owner_table()};
  exports::ScanSeries scans;
};

Status write_export(const trace::Reader& reader, const exports::Exporter& exporter, int fd,
                    const std::string& name) {
  Both both;
  Result<trace::ReadSummary> summary = reader.read_all(both);
  if (!summary) return std::move(summary).error();
  if (!summary->damage.empty())
    warn(fmt::format("the recording is damaged ({} finding{}), what is there is exported: {}",
                     summary->damage.size(), summary->damage.size() == 1 ? "" : "s",
                     summary->damage.front()));
  const explain::Explanation explanation = both.explainer.finish(summary->damage);
  exports::Output out([&](std::string_view bytes) { return write_result(fd, bytes, name); });
  exporter.write({explanation, both.scans}, out);
  return out.finish();
}

Status export_file(const ExportRequest& request) {
  const exports::Exporter* const exporter = exporter_of(request.format);
  if (exporter == nullptr) {
    std::vector<std::string_view> formats;
    for (const exports::Exporter& each : kExporters) formats.push_back(each.format);
    return Error(ErrorCode::kUsage, fmt::format("there is no format \"{}\"; there are {}", request.format,
                                                fmt::join(formats, ", ")));
  }
  const bool to_stdout = request.output == "-";
  if (to_stdout && !exporter->text && ::isatty(STDOUT_FILENO) != 0)
    return Error(ErrorCode::kUsage,
                 fmt::format("{} is not for a terminal; name a file with -o FILE", exporter->format));
  Result<trace::Reader> reader = trace::Reader::open(request.path);
  if (!reader) return std::move(reader).error();
  if (to_stdout)
    return within(request.limits, request.path,
                  [&] { return write_export(*reader, *exporter, STDOUT_FILENO, "stdout"); });
  Result<NewFile> file = NewFile::create(request.output);
  if (!file) return std::move(file).error();
  const Fd fd = file->take();
  Status done = within(request.limits, request.path,
                       [&] { return write_export(*reader, *exporter, fd.get(), request.output); });
  if (done) file->keep();
  return done;
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
