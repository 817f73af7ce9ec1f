// SPDX-License-Identifier: Apache-2.0
// Exporter: the answer in the format of another tool. It gets the whole answer and the scans of the recording, and writes a
// stream; it computes nothing: the bytes of an export sum to rss.bytes because the cells do. The table of exporters is in
// app/cmd_export.cpp; what each writes is in README.md.
#pragma once

#include <string_view>
#include <vector>

#include "explain/explanation.h"
#include "export/output.h"
#include "export/scan_series.h"

namespace memwhy::exports {

struct Material {
  const explain::Explanation& explanation;
  const ScanSeries& scans;  // empty unless the exporter wants them
};

struct Exporter {
  std::string_view format;  // "pprof", as in -f pprof
  std::string_view about;   // what it is, and what opens it
  bool text = false;        // fit for a terminal
  void (*write)(const Material&, Output&) = nullptr;
  bool scans = false;  // it wants Material::scans, which are a second reading
};

void write_folded(const Material& material, Output& out);
void write_json(const Material& material, Output& out);
void write_pprof(const Material& material, Output& out);
void write_perfetto(const Material& material, Output& out);
void write_speedscope(const Material& material, Output& out);
void write_firefox(const Material& material, Output& out);
void write_otlp(const Material& material, Output& out);
void write_sqlite(const Material& material, Output& out);
void write_ndjson(const Material& material, Output& out);

// The processes that an export of stacks covers. What a process was before an exec is left out: its memory is gone, and
// the sum would be of no moment.
inline std::vector<const explain::ProcessExplanation*> present(const explain::Explanation& all) {
  std::vector<const explain::ProcessExplanation*> out;
  for (const explain::ProcessExplanation& process : all.processes)
    if (!process.replaced) out.push_back(&process);
  return out;
}

}  // namespace memwhy::exports
