// SPDX-License-Identifier: Apache-2.0
// One pass over all processes, printed: a table for a terminal or a pipe, memwhy.top/1 for scripts. Not how it is measured.
//
//   1,023 processes, 12,300.4 MiB resident, of that 10,240.1 MiB anonymous
//          PID   anon MiB    RSS MiB   MiB/min  name
//         4711    1,024.0    1,100.2     +12.0  race_service
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "report/page.h"

namespace memwhy::report {

struct TopRow {
  Pid pid = 0;
  std::string comm;
  uint64_t rss_bytes = 0, anon_bytes = 0;
  std::optional<double> growth_bytes_per_s;  // of anon_bytes
};

enum class TopOrder : uint8_t { kAnon, kRss, kGrowth };
constexpr size_t kTopOrders = 3;
std::string_view word(TopOrder order);  // "anon", "rss", "growth"

struct TopView {
  size_t processes = 0;  // all of them
  uint64_t rss_bytes = 0, anon_bytes = 0;
  TopOrder order = TopOrder::kAnon;
  std::vector<TopRow> rows;  // the first ones in this order
};

std::string to_text(const TopView& view, const Style& style);
// One line.
std::string to_json(const TopView& view, int64_t realtime_ns);

}  // namespace memwhy::report
