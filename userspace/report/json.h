// SPDX-License-Identifier: Apache-2.0
// The explanation as JSON, format memwhy.explain/1. Every key is always there; what is unknown is null.
// README.md of this folder lists the keys beyond the base of the format, and those of JsonOptions::cells.
#pragma once

#include <string>

#include "explain/explanation.h"

namespace memwhy::report {

struct JsonOptions {
  bool cells =
      false;  // with the whole attribution table: "frames", "stacks", "mappings", "cells", "allocated"
  bool spaces = true;  // indented by two; else in one line without any
};

// Pure ASCII, with a newline at the end.
std::string to_json(const explain::Explanation& explanation, const JsonOptions& options = {});

// Of each process where its pages were at its last scan, and its goroutines: for an earlier moment on the page of memwhy
// report. The keys of an entry are those of processes[] with `cells`, and "rss_bytes". Its times are by the clock of the answer
// that it accompanies, so that a scan has one time in both. Pure ASCII, without spaces.
std::string moment_to_json(const explain::Explanation& explanation, const timeline::WallClock& clock);

}  // namespace memwhy::report
