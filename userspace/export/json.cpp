// SPDX-License-Identifier: Apache-2.0
// json: what memwhy explain --json --cells prints (report/README.md), into a file.
#include "report/json.h"
#include "export/exporter.h"

namespace memwhy::exports {

void write_json(const Material& material, Output& out) {
  out.put(report::to_json(material.explanation, {.cells = true}));
}

}  // namespace memwhy::exports
