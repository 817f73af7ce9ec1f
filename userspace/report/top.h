// SPDX-License-Identifier: Apache-2.0
// One pass over all processes, printed: a table for a terminal or a pipe, memwhy.top/1 for scripts. Not how it is measured.
//
//   1,023 processes, 12,300.4 MiB resident, of that 10,240.1 MiB anonymous
//      pid   anon MiB    RSS MiB   MiB/min  name
//     4711     1024.0     1100.2     +12.0  race_service  1091.7 unseen, 7.2 idle
//
// Of a Go program, once its runtime was read: what of RSS no heap profile shows (all but the live heap), and what the runtime
// holds free, the maximum that debug.FreeOSMemory() returns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "report/page.h"

namespace memwhy::report {

struct TopGo {
  uint64_t live_bytes = 0;  // by the last collection: what a heap profile shows
  uint64_t idle_bytes = 0;  // free and not given back
  uint64_t goal_bytes = 0;
};

struct TopRow {
  Pid pid = 0;
  std::string comm;
  uint64_t rss_bytes = 0, anon_bytes = 0;
  std::optional<double> growth_bytes_per_s;  // of anon_bytes
  std::optional<TopGo> go;                   // absent: no Go program, or not read
  // What no heap profile shows, as far as is known: of others all that is anonymous.
  uint64_t unseen_bytes() const {
    if (!go) return anon_bytes;
    return rss_bytes > go->live_bytes ? rss_bytes - go->live_bytes : 0;
  }
};

enum class TopOrder : uint8_t { kUnseen, kAnon, kRss, kGrowth };
constexpr size_t kTopOrders = 4;
std::string_view word(TopOrder order);  // "unseen", "anon", "rss", "growth"
bool before(TopOrder order, const TopRow& a, const TopRow& b);

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
