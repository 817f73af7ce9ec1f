// SPDX-License-Identifier: Apache-2.0
// ndjson: every row of every table (rows.h) as one line of JSON, for DuckDB, ClickHouse, jq.
//
//   {"row":"cell","process":0,"owner":"anon.other","how":"fault","mapping":"anonymous","bytes":33554432,…,"stack":["work","main"]}
#include <nlohmann/json.hpp>

#include "export/exporter.h"
#include "export/rows.h"

namespace memwhy::exports {
namespace {

nlohmann::ordered_json json_of(const Value& value) {
  return std::visit(
      [](const auto& held) -> nlohmann::ordered_json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>)
          return nullptr;
        else
          return held;
      },
      value);
}

}  // namespace

void write_ndjson(const Material& material, Output& out) {
  for_each_row(material.explanation, [&](const Table& table, const Row& row) {
    nlohmann::ordered_json line = {{"row", table.name}};
    for (size_t i = 0; i < row.size(); ++i) line[table.columns[i].name] = json_of(row[i]);
    out.put(line.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
    out.put("\n");
  });
}

}  // namespace memwhy::exports
