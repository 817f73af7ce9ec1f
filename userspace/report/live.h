// SPDX-License-Identifier: Apache-2.0
// The answer of a recording that still runs, for repeated display: the same sentences and the same ledger as the report
// (text.h), cut to the available lines. Not the terminal itself.
#pragma once

#include <cstdint>
#include <string>

#include "explain/explanation.h"
#include "report/page.h"

namespace memwhy::report {

struct LiveOptions {
  size_t lines = 24;
  std::optional<uint64_t> rss_bytes;  // now: the ledger is of the last scan
  Style style = {};
};

// Max so many lines: the verdict, findings as far as the ledger leaves room, the ledger.
std::string to_live_text(const explain::Explanation& all, const LiveOptions& options);
// One line without colour: "+12.3 s web (pid 4711): 431.0 MiB resident; …".
std::string to_live_line(const explain::Explanation& all);

}  // namespace memwhy::report
