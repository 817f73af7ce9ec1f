// SPDX-License-Identifier: Apache-2.0
// Rows: the answer as tables, which ndjson and sqlite write: the same names and numbers in both. README.md describes each
// column. Not the keys of JSON (report/), which nest; here every row is complete, and `process` joins them: the place of
// the process in the answer, since a pid may be there twice (before and after an exec).
//
//   cell    process  owner       how    bytes     stack                    process  owner      bytes   …
//                 0  anon.other  fault  33554432  ["work","main"]          ledger   0  anon.other  …
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "explain/explanation.h"

namespace memwhy::exports {

enum class ColumnType : uint8_t { kInteger, kReal, kText, kTexts };

struct Column {
  const char* name;
  ColumnType type;
};

struct Table {
  const char* name;
  std::span<const Column> columns;
};

// monostate: unknown. Of a frame list: names, innermost first.
using Value = std::variant<std::monostate, int64_t, double, std::string, std::vector<std::string>>;
using Row = std::vector<Value>;  // in the order of the table's columns

std::span<const Table> tables();
void for_each_row(const explain::Explanation& all, const std::function<void(const Table&, const Row&)>& take);

}  // namespace memwhy::exports
