// SPDX-License-Identifier: Apache-2.0
// EarlierMoments: a recording explained again as of some of its earlier scans, so that a reader can go back in time.
//
// What it is: the choice of scans, and the answer at each, with what was known by then (without names or heaps that were
// learned later). What it is not: the answer at the end (Explainer::finish), or its format. What comes next: memwhy report.
//
//   scans at 0, 10, 20 … 120 s    last answer: 120 s    moments, max 4: 0, 30, 70, 110
#pragma once

#include <functional>
#include <vector>

#include "base/result.h"
#include "explain/explanation.h"
#include "trace/reader.h"

namespace memwhy::app {

// Times of scans of the largest process before its last one, evenly chosen, the first and the last of them included.
std::vector<TimeNs> earlier_scans(const explain::Explanation& explanation, size_t most);

// Reads the file once; `told` receives the answer as of each of `times` (ascending), one after the other.
Status explain_moments(const trace::Reader& reader, const std::vector<TimeNs>& times,
                       const std::function<void(const explain::Explanation&)>& told);

}  // namespace memwhy::app
