// SPDX-License-Identifier: Apache-2.0
// folded: one line for each stack, as flamegraph.pl, inferno and speedscope read them. Lines, files and how the pages are known
// are only in the other formats.
//
//   server;anon.other;main;work 33554432
//   server;file.text;[/usr/lib/x86_64-linux-gnu/libc.so.6] 1572864
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "export/exporter.h"
#include "export/samples.h"

namespace memwhy::exports {
namespace {

// A semicolon would be a frame more; Rust has it in names: [u8; 32].
std::string one_frame(std::string name) {
  std::replace(name.begin(), name.end(), ';', ':');
  return name;
}

}  // namespace

void write_folded(const Material& material, Output& out) {
  for (const explain::ProcessExplanation* process : present(material.explanation)) {
    const SampleTable table(*process);
    const std::string root = one_frame(process_name(material.explanation, *process));
    std::map<std::string, uint64_t> lines;  // cells of one stack that differ in what is not written
    for (const Sample& sample : table.resident()) {
      std::string line = fmt::format("{};{}", root, sample.owner);
      for (auto place = sample.places.rbegin(); place != sample.places.rend(); ++place)
        line += ';' + one_frame(table.places()[*place].name);
      lines[std::move(line)] += sample.bytes;
    }
    for (const auto& [line, bytes] : lines) out.put(fmt::format("{} {}\n", line, bytes));
  }
}

}  // namespace memwhy::exports
